"""A table of data and the ravine that it makes, before and after standardising."""

import numpy as np

from fastopt.reports.page import page

MOST = 24  # columns on the page
# The two tables of the lectures: columns of very different sizes, and columns far from zero.
SIZES = np.array([[114.8, 0.00323, 5.1], [338.1, 0.00183, 3.2], [98.8, 0.00279, 4.1]])
OFFSETS = np.array([[1003.2, 1005.1, 3.3], [1001.1, 1008.2, 4.8], [998.3, 1003.4, 2.9]])


def normalisation(X=None, y=None, *, names=None, title="Your data"):
    """The text of the page: the lectures' two tables and, with X (n, columns) and y (n,), the user's.

    Of more than 24 columns those are shown whose mean squares differ most. A column that never changes is left out.
    """
    sets = [
        _described(SIZES[:, :2], SIZES[:, 2], ["x1", "x2"], "Columns of different sizes",
                   "x1 is some 60,000 times as large as x2, so the loss curves 10⁹ times as much along its weight."),
        _described(OFFSETS[:, :2], OFFSETS[:, 2], ["x1", "x2"], "Columns far from zero",
                   "Both columns lie near 1,000: the sum of the weights matters a thousand times as much as their difference."),
    ]  # fmt: skip
    if X is not None:
        sets.insert(0, _users(X, y, names, title))
    return page("A table of data and its ravine", _BODY, lead=_LEAD,
                scripts=("chart.js", "contour.js", "table.js"), data={"sets": sets})  # fmt: skip


def _users(X, y, names, title):
    X, y = np.asarray(X, float), np.asarray(y, float)
    if X.ndim != 2 or y.shape != X.shape[:1] or len(X) < 3:
        raise ValueError(
            f"X must be (n, columns) and y (n,) with three rows at least, not {X.shape} and {y.shape}"
        )
    if not (np.isfinite(X).all() and np.isfinite(y).all()):
        raise ValueError("X and y must be finite")
    names = np.array([f"x{i + 1}" for i in range(X.shape[1])] if names is None else list(map(str, names)))
    if len(names) != X.shape[1]:
        raise ValueError(f"names must have {X.shape[1]} entries, one a column, not {len(names)}")
    moving = np.flatnonzero(X.std(axis=0) > 0)
    order = moving[np.argsort(np.mean(X[:, moving] ** 2, axis=0))]
    half = MOST // 2
    chosen = order if len(order) <= MOST else np.concatenate([order[:half], order[-half:]])
    if len(chosen) < 2:
        raise ValueError("X has fewer than two columns that change")
    pair = (
        int(np.flatnonzero(np.sort(chosen) == order[-1])[0]),
        int(np.flatnonzero(np.sort(chosen) == order[0])[0]),
    )
    chosen = np.sort(chosen)
    return _described(X[:, chosen], y, names[chosen].tolist(), title, "", pair)


def _described(X, y, names, title, text, pair=(0, 1)):
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    after = (X - mean) / deviation
    return {
        "title": title, "text": text, "names": names, "mean": mean, "deviation": deviation, "pair": pair,
        "rows": np.column_stack([X, y])[:8], "before": _moments(X, y), "after": _moments(after, y - y.mean()),
    }  # fmt: skip


def _moments(X, y):
    products = X.T @ X / len(X)
    sizes = np.linalg.svd(X, compute_uv=False)
    small = sizes[-1] if len(sizes) == X.shape[1] else 0.0
    condition = (sizes[0] / small) ** 2 if small > 0 else np.inf
    return {"products": products, "targets": X.T @ y / len(X), "condition": condition}


_LEAD = """<p class="soft">A linear model y ≈ w·x with squared error, and gradient descent from w = 0. The loss curves along a weight as
its column's mean square says; columns of other sizes or far from zero make a ravine, standardised ones do not.</p>"""
_BODY = """
<div class="bar"><label for="set">Data <select id="set"></select></label>
<label for="first">columns <select id="first"></select></label><label for="second">and <select id="second"></select></label></div>
<p id="about" class="small"></p>
<div class="columns half">
<label for="share">Learning rate: <output id="share-text" for="share">0.9</output> of 2 / largest curvature
<input type="range" id="share" min="0.05" max="1.1" step="0.01" value="0.9"></label>
<label for="steps">Steps: <output id="steps-text" for="steps">60</output>
<input type="range" id="steps" min="1" max="300" step="1" value="60"></label></div>
<div class="columns half">
<figure><h3>As they are</h3><canvas id="before" tabindex="0" role="img"></canvas><figcaption id="before-text"></figcaption></figure>
<figure><h3>Standardised: mean 0, deviation 1</h3><canvas id="after" tabindex="0" role="img"></canvas><figcaption id="after-text"></figcaption></figure>
</div>
<div class="columns half"><figure><h3>Loss</h3><canvas id="loss"></canvas><figcaption>Dashed: as they are. Solid: standardised.</figcaption></figure>
<div><h3>Columns</h3><p id="whole" class="small"></p>
<div class="wide"><table id="columns" class="numbers"><caption>Curvature along a weight is its column's mean square</caption><thead><tr>
<th scope="col">column</th><th scope="col">mean</th><th scope="col">deviation</th><th scope="col">mean square</th><th scope="col">standardised</th>
</tr></thead><tbody></tbody></table></div>
<h3>First rows</h3><div class="wide"><table id="rows" class="numbers"><caption>Data as they are</caption><thead><tr></tr></thead><tbody></tbody></table></div>
</div></div>
"""
