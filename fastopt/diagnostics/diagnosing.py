"""fo.diagnose: what is wrong with a run, by all detectors that have what they need."""

import numpy as np

from fastopt.diagnostics import columns, curvature, curves, units  # noqa: F401  they register their detectors
from fastopt.diagnostics.case import CURVES, Case, curves_of
from fastopt.diagnostics.finding import DETECTORS, Diagnosis, Finding

CURVATURE_ROWS = 300  # the Hessian's products are taken on so many rows


def diagnose(
    run, X=None, y=None, *, rule=None, l2=0.0, names=None, value=None, gradient=None, point=None, hessian_product=None,
    activations=None, weights=None, restarts=None, **more,
):  # fmt: skip
    """What is wrong with a run: a Diagnosis, a tuple of findings that prints one line each.

    run: a Fit, a dict of curves (loss, validation, lr, gradient_norm, cosine: vectors, one number a step or an
        epoch; `history`'s names serve too), or the path of a JSONL log.
    X, y: the training rows of a Fit (y class numbers), for the sizes of columns, classes and curvatures.
    rule, l2: what the run was made with. names: of the columns.
    value, gradient, point, hessian_product: a function of your own f(x), g(x), (x, v) -> H v, and where it ended.
    activations: {layer: (rows, units)}; weights: {layer: (units, inputs)}; restarts: final losses of several starts.
    more: curves as in `run`, by name; they come before those of `run`.

    Each detector's rule, window and cure stand in fastopt.diagnostics.DETECTORS. Curves alone take some 0.3 ms, X some
    5 ms more; curvatures are taken only where a finding asks for them. Raises TypeError or ValueError for arguments
    that do not fit.
    """
    known = dict(
        rule=rule, names=names, value=value, gradient=gradient, point=point, hessian_product=hessian_product,
        activations=activations, weights=weights, restarts=restarts,
    )  # fmt: skip
    known |= _model(run, X, y, l2)
    if unknown := set(more) - CURVES:
        raise TypeError(f"diagnose() takes no {sorted(unknown)[0]!r}; curves are {', '.join(sorted(CURVES))}")
    case = Case(curves_of(run) | more, **known)
    looking = [d for d in DETECTORS.values() if case.has(d.needs)]
    findings = []
    for found in looking:
        evidence = found.look(case)
        if evidence is not None:
            findings.append(Finding(found.name, evidence, found.cure))
    return Diagnosis(findings, [d.name for d in looking])


def _model(run, X, y, l2):
    """What the rows and the Fit give: X, y, W, b and an objective on some rows."""
    if X is None:
        return {}
    if getattr(X, "ndim", 0) != 2:
        raise ValueError(f"X must be (n, features), not {np.shape(X)}")
    if y is not None and len(y) != X.shape[0]:
        raise ValueError(f"y has {len(y)} entries, X has {X.shape[0]} rows")
    known = {"X": X, "y": None if y is None else np.asarray(y)}
    if not hasattr(run, "W") or y is None:
        return known
    if X.shape[1] != run.W.shape[1]:
        raise ValueError(f"X has {X.shape[1]} features, the model {run.W.shape[1]}")
    return known | {
        "W": run.W, "b": run.b, "classes": run.classes, "objective": _LazyObjective(run, X, known["y"], l2),
    }  # fmt: skip


class _LazyObjective:
    """fo.Objective on some rows, made when a curvature is asked for."""

    def __init__(self, fit, X, y, l2):
        self._given, self._made = (fit, X, y, l2), None

    def hessian_product(self, *arguments):
        if self._made is None:
            from fastopt.objective import Objective

            fit, X, y, l2 = self._given
            rows = slice(None, None, -(-X.shape[0] // CURVATURE_ROWS))
            part = X[rows]
            if not hasattr(part, "indptr"):
                part = np.ascontiguousarray(part * fit.scale if part.dtype == np.uint8 else part, fit.W.dtype)
            self._made = Objective(
                fit.loss,
                part,
                y[rows],
                l2=l2,
                classes=len(fit.W),
                backend=getattr(fit, "backend", None) or "auto",
            )
        return self._made.hessian_product(*arguments)
