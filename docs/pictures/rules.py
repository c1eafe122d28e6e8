"""Every rule's convergence with its default settings: python docs/pictures/rules.py [--steps N] writes rules.png here.

A cell is log10 of (f - f*)/(f at the start - f*): full gradients, no schedule, the same start for all rules.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import fastopt as fo
from fastopt import rules

HERE = Path(__file__).parent
LOWEST = -12.0
AROUND = {
    "Cautious(AdamW)": fo.Cautious(fo.AdamW()),
    "Averaged(SGD)": fo.Averaged(fo.SGD(), 0.99),
    "Lookahead(Adam)": fo.Lookahead(fo.Adam()),
    "ScheduleFree(RMSProp)": fo.ScheduleFree(fo.RMSProp()),
    "SAM(SGD)": fo.SAM(fo.SGD()),
}


def quadratic(x):
    a = np.array([1.0, 10.0])
    return 0.5 * float(a @ x**2), a * x


def rosenbrock(x):
    r = x[1] - x[0] ** 2
    return float((1 - x[0]) ** 2 + 100 * r**2), np.array([-2 * (1 - x[0]) - 400 * x[0] * r, 200 * r])


def beale(x):
    powers, targets = np.array([x[1], x[1] ** 2, x[1] ** 3]), np.array([1.5, 2.25, 2.625])
    r = targets - x[0] + x[0] * powers
    slopes = np.array([1.0, 2 * x[1], 3 * x[1] ** 2])
    return float(r @ r), np.array([2 * r @ (powers - 1), 2 * r @ (x[0] * slopes)])


def logistic(l2=1e-2):
    """200 rows in two classes, ten features."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 10))
    z = np.where(X @ rng.standard_normal(10) + rng.standard_normal(200) > 0, 1.0, -1.0)

    def f(w):
        margin = z * (X @ w)
        return float(np.mean(np.logaddexp(0, -margin)) + l2 * w @ w), -(
            z / (1 + np.exp(margin))
        ) @ X / 200 + 2 * l2 * w

    w = np.zeros(10)
    for _ in range(20_000):
        w -= 0.5 * f(w)[1]
    return f, np.zeros(10), f(w)[0]


def problems():
    return {
        "quadratic": (quadratic, np.array([3.0, 2.0]), 0.0),
        "Rosenbrock": (rosenbrock, np.array([-1.2, 1.0]), 0.0),
        "Beale": (beale, np.array([1.0, 1.0]), 0.0),
        "logistic": logistic(),
    }


def ends(rule, problem, counts):
    """log10 of what is left after so many steps; NaN where the run is no longer finite."""
    f, start, lowest = problem
    p = start.copy().reshape(2, -1) if rules.is_whole(rule) else start.copy()
    flat, first, found = p.reshape(-1), f(start)[0] - lowest, []
    opt = fo.Optimizer(p, rule, backend="numpy")
    for t in range(1, counts[-1] + 1):
        if not (np.isfinite(flat).all() and np.abs(flat).max() < 1e6):
            return found + [np.nan] * (len(counts) - len(found))
        if hasattr(rule, "ascent") or isinstance(rule, fo.SAM):
            opt.ascend(f(flat)[1].reshape(p.shape))
        opt.step(f(flat)[1].reshape(p.shape))
        if t in counts:
            at = opt.averaged() if hasattr(rule, "averaged") else p
            found.append(np.log10(max((f(at.reshape(-1))[0] - lowest) / first, 10**LOWEST)))
    return found


def draw(counts=(100, 1000, 5000)):
    plain = {cls.__name__: cls() for cls in (*rules.RULES, *rules.FURTHER)}
    names, shown = zip(*(plain | AROUND).items(), strict=True)
    figure = Figure(figsize=(11, 11), layout="constrained")
    panels = figure.subplots(1, 4, sharey=True)
    with np.errstate(all="ignore"):
        for axes, (title, problem) in zip(panels, problems().items(), strict=True):
            values = np.array([ends(rule, problem, counts) for rule in shown])
            image = axes.imshow(values, aspect="auto", cmap="viridis_r", vmin=LOWEST, vmax=0)
            for (i, j), v in np.ndenumerate(values):
                text = "diverged" if np.isnan(v) else f"{v:.1f}"
                axes.text(
                    j, i, text, ha="center", va="center", fontsize=7, color="white" if v > -6 else "black"
                )
            axes.set_title(title, fontsize=11)
            axes.set_xticks(range(len(counts)), counts, fontsize=8)
            axes.set_xlabel("steps")
            axes.set_yticks(range(len(names)), names, fontsize=8)
    figure.colorbar(image, ax=panels, shrink=0.5, label="log10 of what is left of f - f*")
    figure.suptitle("Every rule with its default settings")
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5000)
    last = parser.parse_args().steps
    draw((max(1, last // 50), max(1, last // 5), last)).savefig(HERE / "rules.png", dpi=80)
