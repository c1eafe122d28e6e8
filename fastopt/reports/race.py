"""The race of optimizers: update rules on a surface of two numbers, recomputed in the page."""

import functools
import time

import numpy as np

from fastopt import rules
from fastopt.algorithms import state
from fastopt.algorithms.lbfgs import lbfgs
from fastopt.optimizer import Optimizer
from fastopt.reports import page, surfaces
from fastopt.reports.translate import Untranslatable, function_script, program_script, rule_script

RULES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "lbfgs")
GRID = 97  # points a side of a function that the page cannot compute
SCRIPTS = ("dual.js", "chart.js", "contour.js", "vectors.js", "lbfgs.js", "engine.js", "race.js")
SOLVER = "lbfgs"  # by minimize, not by a rule


def race(function="lectures", rules=RULES, *, steps=200, box=None, start=None):
    """The text of the page on which `rules` race on `function`.

    function: a name of surfaces.SURFACES, "module:function" of the user's own, or a Surface. rules: names in
    lower case. box: (low0, high0, low1, high1), start: (2,), for the user's own. Raises ValueError for what
    is unknown.
    """
    names = [_known(name) for name in dict.fromkeys(rules)]
    if not names:
        raise ValueError("rules: name at least one")
    if not 1 <= steps <= 2000:
        raise ValueError(f"steps must be 1 to 2000, not {steps}")
    shown = dict(surfaces.SURFACES)
    chosen = function if isinstance(function, surfaces.Surface) else shown.get(function)
    if chosen is None:
        chosen = surfaces.own(function, box, start)
    shown = {chosen.name: chosen} | shown
    described = [_surface(s) for s in shown.values()]
    data = {
        "surface": chosen.name,
        "surfaces": described,
        "rules": names,
        "steps": int(steps),
        "kinds": {name: slot_kinds(_RULES[name]) for name in names if name != SOLVER},
        "seconds": {
            "step": {
                name: _seconds_an_iteration() if name == SOLVER else _seconds_a_step(_RULES[name])
                for name in names
            },
            "gradient": {s.name: _seconds_a_call(s) for s in shown.values()},
        },
    }
    title = f"Race: {', '.join('L-BFGS' if n == SOLVER else _RULES[n].__name__ for n in names)}"
    return page.page(title, _BODY, lead=_LEAD, script=_formulas(names, shown), scripts=SCRIPTS, data=data)


def _translatable(rule):
    try:
        return bool(rule_script(rule))
    except Untranslatable:
        return False


_RULES = {rule.__name__.lower(): rule for rule in (*rules.RULES, *rules.FURTHER) if _translatable(rule)}


def _known(name):
    name = name.strip().lower()
    if name not in _RULES and name != SOLVER:
        raise ValueError(f"no rule {name!r}; known: {', '.join(_RULES)}, {SOLVER}")
    return name


def _surface(s):
    entry = {
        "name": s.name, "title": s.title, "text": s.text, "box": s.box, "start": s.start, "lowest": s.lowest,
        "minima": s.minima, "presets": s.presets,
    }  # fmt: skip
    if s.batches is not None:
        entry |= {"u": s.batches.u, "y": s.batches.y, "batches": s.batches.batches}
    elif _script(s) is None:
        entry["text"] += (
            f" The page knows it on a grid of {GRID} x {GRID} points and follows a cubic interpolation."
        )
        entry["grid"] = _sampled(s)
    return entry


def _script(s):
    return _translated(s.value)


@functools.cache
def _translated(function):
    try:
        return function_script(function)
    except Untranslatable:
        return None


def _sampled(s):
    x, y = (np.linspace(s.box[i], s.box[i + 1], GRID) for i in (0, 2))
    return [[float(f"{float(s.value(np.array([a, b]))):.10g}") for a in x] for b in y]


def _formulas(names, shown):
    """The rules and functions as JavaScript."""
    written = ",\n".join(f"{name}: {rule_script(_RULES[name])}" for name in names if name != SOLVER)
    places = {k: v for k, v in vars(state).items() if isinstance(v, int)} | {"SIZE": state.HEAD}
    scripts = {s.name: _script(s) for s in shown.values() if s.batches is None}
    functions = ",\n".join(f"{page.as_json(name)}: {text}" for name, text in scripts.items() if text)
    return (
        f"const RULES = {{{written}}};\nconst FUNCTIONS = {{{functions}}};\n"
        f"const HEAD_OF = {page.as_json(places)};\n{program_script(lbfgs, 'LBFGS')}"
    )


def slot_kinds(rule):
    """What each slot is to the eye: "against" or "with" the step (it changes sign with the gradient),
    "square" (it does not), "other" (it does not follow the gradient at all)."""
    h = rules.checked(rule())
    first = rules.initial(h)

    def after(g):
        p = 1.0
        k = rule.coefficients(h, 1)
        start = tuple(
            p if n in getattr(rule, "copies", ()) else v for n, v in zip(rule.slots, first, strict=True)
        )
        if hasattr(rule, "measure"):
            k += rule.from_norms(h, k, [abs(v) for v in rule.measure(h, k, p, g, start)], 1)
        return rule.update(h, k, p, g, start)

    (p, plus), (_, minus) = after(1.0), after(-1.0)
    kinds = []
    for a, b, zero in zip(plus, minus, first, strict=True):
        if a == zero and b == zero:
            kinds.append("other")
        elif np.sign(a - zero) == -np.sign(b - zero):
            kinds.append("with" if np.sign(a) == np.sign(p - 1.0) else "against")
        else:
            kinds.append("square")
    return kinds


@functools.cache
def _seconds_a_step(rule, repeats=300):
    """Median seconds of a step of the engine with two parameters."""
    p, g = np.ones(2), np.full(2, 1e-3)
    optimizer = Optimizer(p, rule(), backend="auto")
    return _median(lambda: optimizer.step(g), repeats)


@functools.cache
def _seconds_an_iteration():
    """Seconds of an iteration of L-BFGS on two numbers, evaluations not counted."""
    from fastopt.minimization import minimize

    def run():
        spent.clear()
        minimize(value, np.array([-8.5, 6.0]), jac=gradient)

    spent, s = [], surfaces.SURFACES["rosenbrock"]

    def timed(f):
        def call(x):
            began = time.perf_counter()
            result = f(x)
            spent.append(time.perf_counter() - began)
            return result

        return call

    value, gradient = timed(s.value), timed(s.gradient)
    whole = _median(run, 5)
    return max(1e-7, whole - sum(spent)) / max(1, len(spent) // 2)


@functools.cache
def _seconds_a_call(s, repeats=50):
    x = np.array(s.start, float)
    return _median(lambda: s.gradient(x), repeats)


def _median(call, repeats):
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


_LEAD = """<p class="soft">Every path is computed in this page, by the update rules of fastopt translated into its script.
Click the picture (or focus it and use the arrow keys) to choose another start.</p>"""
_BODY = """
<div class="bar">
<label for="surface">Surface <select id="surface"></select></label>
<span class="bar" role="group" aria-label="Learning rates"><span>Learning rates</span>
<button type="button" data-preset="low">too low</button><button type="button" data-preset="right">right</button>
<button type="button" data-preset="edge">at the edge</button><button type="button" data-preset="high">too high</button></span>
<span class="bar" role="group" aria-label="Learning rates of the lectures" id="presets-own"></span>
</div>
<div class="bar">
<button type="button" class="main" id="play">▶ Play</button>
<label class="grow" for="step"><span class="hidden">Step</span><input type="range" id="step" min="0" max="200" value="0"></label>
<output id="step-text" for="step"></output>
<label for="speed">Speed <select id="speed"><option value="0.25">¼</option><option value="0.5">½</option>
<option value="1" selected>1</option><option value="3">3</option><option value="10">10</option></select></label>
<label for="steps">Steps <input type="number" id="steps" min="1" max="2000" style="width:5.5em"></label>
</div>
<div class="columns two">
<figure><canvas id="map" tabindex="0" role="img"></canvas>
<div class="bar"><button type="button" id="view" aria-pressed="false">3-d surface</button>
<label for="arrows"><input type="checkbox" id="arrows" checked> arrows</label>
<button type="button" id="reset">Reset</button></div>
<figcaption><span id="about"></span> A circle marks a minimum, a cross the start.</figcaption></figure>
<div>
<div class="wide"><table id="rules" class="numbers"><caption>At this step; “inside” chooses the rule whose parts are shown</caption>
<thead><tr><th scope="col">rule</th><th scope="col">lr</th><th scope="col">loss</th><th scope="col">position</th>
<th scope="col">inside</th></tr></thead><tbody></tbody></table></div>
<figure><div class="bar"><h3 style="margin:0">Loss</h3><button type="button" id="against">against time</button></div>
<canvas id="loss"></canvas></figure>
<div class="wide"><table id="inside" class="numbers"><caption id="inside-title"></caption>
<thead><tr><th scope="col"></th><th scope="col">x</th><th scope="col">y</th></tr></thead><tbody></tbody></table></div>
</div></div>
<p id="said" class="hidden" aria-live="polite"></p>
<section><h2>Hyperparameters</h2><div id="hyper" class="columns"
style="grid-template-columns:repeat(auto-fill,minmax(210px,1fr))"></div></section>
"""
