"""The README's pictures: python docs/pictures/make.py writes them beside this file."""

from pathlib import Path

from matplotlib.figure import Figure

import fastopt as fo
from fastopt.reports.pictures import loss_picture, race_picture

HERE = Path(__file__).parent
RATES = ((0.01, "too low"), (0.10, "right"), (0.11, "it oscillates"), (0.12, "too high"))


def learning_rates():
    """The lectures' quadratic, whose limit is 2/18 = 0.111."""
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    for axes, (lr, text) in zip(figure.subplots(1, 4, sharey=True), RATES, strict=True):
        race_picture("lectures", {text: fo.SGD(lr)}, steps=40, start=(-6, 8), axes=axes)
        axes.set_title(f"learning rate {lr:.2f}: {text}", fontsize=10)
    figure.savefig(HERE / "learning_rates.png", dpi=100)


def momentum():
    """In a ravine with curvatures 1 and 100, both at a rate that suits them."""
    rules = {"SGD, lr 0.018": fo.SGD(0.018), "Momentum 0.85, lr 0.015": fo.Momentum(0.015, momentum=0.85)}
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    race_picture("ravine", rules, steps=60, axes=left).legend(loc="upper right")
    left.set_title("the first 60 steps in a ravine (curvatures 1 and 100)", fontsize=10)
    loss_picture("ravine", rules, steps=150, axes=right).legend()
    figure.savefig(HERE / "momentum.png", dpi=100)


if __name__ == "__main__":
    learning_rates()
    momentum()
