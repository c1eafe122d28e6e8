"""The report of a run, or of several side by side: one file."""

import platform
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from fastopt.diagnostics import diagnose
from fastopt.reports import page, runs

SCRIPTS = ("chart.js", "report.js")


def report(given, X=None, y=None, *, shape=None, names=None, title=None, command=None):
    """The text of the page.

    given: a list of runs: paths of model files (.npz) and JSONL logs, Fits, or runs.Run. X, y: test rows and their
    class numbers, for confusion matrices and ROC. shape: (height, width) of the features where they are pixels; squares
    are found without. names: of the features. command: what made the page, as text.
    """
    loaded = [_run(r, i) for i, r in enumerate(given)]
    if not loaded:
        raise ValueError("report: name at least one run")
    described = [_described(r, X, y, shape, names) for r in _unique(loaded)]
    data = {"runs": described, "machine": _versions(), "command": command}
    title = title or f"Report: {', '.join(r['name'] for r in described[:5])}"
    return page.page(title, _BODY, scripts=SCRIPTS, data=data)


def _run(given, number):
    if isinstance(given, runs.Run):
        return given
    if hasattr(given, "history"):
        return runs.Run(f"run {number + 1}", dict(given.history), {}, given)
    return runs.load(given)


def _unique(loaded):
    """Runs of the same name get a number."""
    seen = {}
    for run in loaded:
        seen[run.name] = seen.get(run.name, 0) + 1
        yield run if seen[run.name] == 1 else run._replace(name=f"{run.name} ({seen[run.name]})")


def _described(run, X, y, shape, names):
    fit = run.fit
    entry = {
        "name": run.name,
        "config": run.config,
        "curves": runs.described_curves(run),
        "summary": _summary(run),
    }
    entry["diagnosis"] = [f._asdict() for f in diagnose(run.curves if run.curves else {})]
    if fit is None:
        return entry
    entry["config"] = {
        "loss": str(fit.loss),
        "rows of W": fit.W.shape[0],
        "features": fit.W.shape[1],
    } | run.config
    classes = (
        [str(c) for c in fit.classes]
        if fit.classes is not None
        else [str(c) for c in range(max(2, len(fit.W)))]
    )
    entry["classes"] = classes
    found = runs.image_shape(fit.W.shape[1], shape)
    if found is not None and (names is None or shape is not None):
        entry["templates"] = runs.templates(fit, found)
    if names is not None:
        if len(names) != fit.W.shape[1]:
            raise ValueError(f"names must have {fit.W.shape[1]} entries, one a feature, not {len(names)}")
        entry["coefficients"] = runs.largest(fit, names)
    if X is not None and y is not None:
        loss, accuracy = fit.evaluate(X, y)
        entry["summary"] |= {"loss_test": loss, "accuracy_test": accuracy, "rows_test": len(y)}
        if np.asarray(y).dtype.kind in "iub" and fit.loss.one_row != "real":
            entry["confusion"] = runs.confusion(fit, X, y)
            entry["thresholds"] = runs.curves_of_thresholds(fit, X, y)
            entry["kind"] = "probability" if hasattr(fit.loss, "probabilities") else "score"
    return entry


def _summary(run):
    """The last finite value of each curve, and what the run took."""
    found = {}
    for name in (*runs.CURVES, "step", "epoch"):
        values = np.asarray(run.curves.get(name, ()), float)
        values = values[np.isfinite(values)]
        if len(values):
            found["loss_train" if name == "loss" else name] = float(values[-1])
    seconds = np.asarray(run.curves.get("seconds", ()), float)
    if np.isfinite(seconds).any():
        found["seconds"] = float(np.nansum(seconds))
    if run.fit is not None:
        found["step"] = run.fit.steps
    return found


def _versions():
    found: dict[str, str | None] = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    for name in ("fastopt", "numpy", "numba"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


_BODY = """
<section><h2>Summary</h2><div class="wide" role="region" tabindex="0" aria-label="Summary"><table id="summary" class="numbers">
<caption>At the end of each run; a box hides its curves</caption><thead><tr></tr></thead><tbody></tbody></table></div></section>
<section><h2>Diagnosis</h2><div id="diagnosis"></div></section>
<section id="curves-section"><h2>Curves</h2><div class="bar">
<label for="log"><input type="checkbox" id="log" checked> logarithmic where all values are positive</label></div>
<div id="curves" class="columns half"></div></section>
<section id="answers" hidden><h2>On test rows</h2><div class="bar">
<label for="run">Run <select id="run"></select></label><label for="class">class against the rest <select id="class"></select></label></div>
<div class="columns half"><figure><h3>ROC</h3><canvas id="roc"></canvas>
<label for="threshold">Threshold of the <span id="kind"></span> <output id="threshold-text" for="threshold"></output>
<input type="range" id="threshold" min="0" value="0"></label>
<div class="wide"><table id="rates" class="numbers"><caption>At this threshold</caption><thead><tr><th scope="col"></th><th scope="col">value</th></tr></thead><tbody></tbody></table></div></figure>
<div><h3>Confusion matrix</h3><div class="wide" role="region" tabindex="0" aria-label="Confusion matrix"><table id="confusion" class="numbers">
<caption>True classes along the rows, predicted ones along the columns</caption><thead><tr></tr></thead><tbody></tbody></table></div></div></div></section>
<section id="weights" hidden><h2>Weights</h2><p class="soft small">Of each class, as an image: <span style="color:var(--c2)">■</span> speaks for
it, <span style="color:var(--c1)">■</span> against it.</p><div id="templates"></div><div id="coefficients" class="columns"
style="grid-template-columns:repeat(auto-fill,minmax(230px,1fr))"></div></section>
<section><h2>How to get it again</h2><div id="configs" class="columns half"></div><dl id="machine"></dl></section>
"""
