"""The linear-classifier demonstration: points in the plane, softmax and SVM, every number shown."""

import numpy as np

from fastopt.reports.page import page

SCRIPTS = ("chart.js", "contour.js", "classifier.js")


def classifier(X=None, y=None, *, seed=0):
    """The text of the page. X: (n, 2) points between -1.5 and 1.5, y: (n,) classes 0, 1, 2; else nine points."""
    rng = np.random.default_rng(seed)
    if X is None:
        centres = np.array([(0.6, 0.5), (-0.7, 0.2), (0.2, -0.8)])
        y = np.repeat([0, 1, 2], 4)
        X = np.round(centres[y] + rng.normal(0, 0.28, (12, 2)), 2)
    X, y = np.asarray(X, float), np.asarray(y)
    if X.ndim != 2 or X.shape[1] != 2 or y.shape != X.shape[:1] or not len(X):
        raise ValueError(f"X must be (n, 2) and y (n,), not {X.shape} and {y.shape}")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() > 2:
        raise ValueError("y must be class numbers 0, 1 or 2")
    data = {
        "points": [{"x": a, "y": b, "label": int(c)} for (a, b), c in zip(X, y, strict=True)],
        "W": np.round(rng.uniform(-1, 1, (3, 2)), 2),
        "b": np.round(rng.uniform(-0.5, 0.5, 3), 2),
    }
    return page("A linear classifier by hand", _BODY, lead=_LEAD, scripts=SCRIPTS, data=data)


_LEAD = """<p class="soft">Scores are W·x + b. The loss is the mean over the points plus λ·ΣW². Drag a point, click an empty place to
add one, or change a weight, and all numbers follow.</p>"""
_BODY = """
<div class="bar">
<button type="button" class="main" id="run">▶ Run</button><button type="button" id="one">One step</button>
<button type="button" id="random">Random weights</button>
<span class="bar" role="radiogroup" aria-label="Loss">
<label><input type="radio" name="loss" value="softmax" checked> softmax</label>
<label><input type="radio" name="loss" value="svm"> SVM</label>
<label><input type="radio" name="loss" value="squared"> squared SVM</label></span>
<span>step <output id="count"></output></span>
</div>
<div class="columns two">
<figure><canvas id="plane" class="grab" tabindex="0" role="img"></canvas>
<div class="bar"><label for="label">Class of the chosen and of new points <select id="label"><option>0</option><option>1</option>
<option>2</option></select></label><button type="button" id="remove">Remove the point</button></div>
<figcaption>Regions are the class with the largest score; a line is where a class's score is 0, its arrow points to where it
grows. A red ring marks a point on the wrong side.</figcaption></figure>
<div>
<div class="columns half"><label for="lr">Learning rate <output id="lr-text" for="lr">0.1</output>
<input type="range" id="lr" min="-3" max="1" step="0.05" value="-1"></label>
<label for="l2">Regularisation λ <output id="l2-text" for="l2">0.01</output>
<input type="range" id="l2" min="-5" max="0" step="0.05" value="-2"></label></div>
<div class="wide"><table class="numbers"><caption>Loss</caption><tbody>
<tr><th scope="row">of the points (mean)</th><td id="data-loss"></td></tr>
<tr><th scope="row">regularisation λ·ΣW²</th><td id="penalty"></td></tr>
<tr><th scope="row"><b>total</b></th><td id="total" style="font-weight:700"></td></tr>
<tr><th scope="row">points on the right side</th><td id="accuracy"></td></tr></tbody></table></div>
<div class="wide"><table id="weights" class="numbers"><caption>Weights, with the gradient (∂) below each</caption>
<thead><tr><th scope="col"></th><th scope="col">w₁</th><th scope="col">w₂</th><th scope="col">b</th></tr></thead><tbody></tbody></table></div>
<canvas id="curve"></canvas>
</div></div>
<section><h2>Points</h2><div class="wide"><table id="points" class="numbers"><caption>Scores of each class (the right one bold) and the loss</caption>
<thead><tr><th scope="col">point</th><th scope="col">x</th><th scope="col">y</th><th scope="col">class</th><th scope="col">s₀</th>
<th scope="col">s₁</th><th scope="col">s₂</th><th scope="col">loss</th></tr></thead><tbody></tbody></table></div></section>
<p id="said" class="hidden" aria-live="polite"></p>
"""
