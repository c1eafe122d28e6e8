"""The linear-classifier page: its numbers are the engine's, its points can be dragged."""

import numpy as np
import pytest
from browser import LIMIT, WIDTHS, browser, opened, until  # noqa: F401

import fastopt as fo
from fastopt.reports.classifier import classifier

LOSSES = {"softmax": fo.Softmax(), "svm": fo.MulticlassHinge(), "squared": fo.MulticlassHinge(squared=True)}


def engine(page):
    """(value, dW, db) by fastopt at what the page holds."""
    state = page.evaluate("state")
    X = np.array([(p["x"], p["y"]) for p in state["points"]])
    y = np.array([p["label"] for p in state["points"]])
    W, b = np.array(state["W"], float), np.array(state["b"], float)
    return fo.value_and_grad(LOSSES[state["loss"]], W, X, y, b, l2=state["l2"])


@pytest.mark.parametrize("loss", LOSSES)
def test_numbers_are_the_engines_while_it_trains(opened, loss):  # noqa: F811
    page = opened(classifier())
    page.check(f"[value={loss}]")
    for steps in (0, 1, 50):
        page.evaluate(f"step({steps})")
        value, dW, db = engine(page)
        now = page.evaluate("evaluate()")
        np.testing.assert_allclose(now["total"], value, rtol=1e-13)
        np.testing.assert_allclose(now["dW"], dW, rtol=0, atol=1e-14)
        np.testing.assert_allclose(now["db"], db, rtol=0, atol=1e-14)
        assert float(page.locator("#total").text_content()) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_drags_runs_and_regularises(opened, width, theme):  # noqa: F811
    page = opened(classifier(), width, theme)
    box = page.locator("#plane").bounding_box()
    x, y = page.evaluate("[place.x(state.points[0].x), place.y(state.points[0].y)]")
    before = page.evaluate("evaluate().total")
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 50, steps=4)
    page.mouse.up()
    point = page.evaluate("state.points[0]")
    assert point["x"] < -1 and point["y"] > 1 and page.evaluate("evaluate().total") != before
    assert len(page.evaluate("state.points")) == 12

    page.focus("#plane")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("state.points[0].x") == pytest.approx(point["x"] + 0.04)
    page.keyboard.press("n")
    assert page.evaluate("state.chosen") == 1
    page.keyboard.press("Delete")
    assert len(page.evaluate("state.points")) == 11
    page.touchscreen.tap(box["x"] + 6, box["y"] + box["height"] - 6)
    assert len(page.evaluate("state.points")) == 12

    first = page.evaluate("evaluate().total")
    page.click("#run")
    until(page, "state.steps > 20")
    page.click("#run")
    assert page.evaluate("evaluate().total") < first
    page.focus("#l2")
    page.keyboard.press("End")
    assert page.evaluate("state.l2") == 1 and float(page.locator("#penalty").text_content()) > 0
    page.fill("#w-0-0", "3")
    assert page.evaluate("state.W[0][0]") == 3
    np.testing.assert_allclose(page.evaluate("evaluate().total"), engine(page)[0], rtol=1e-13)


def test_size_and_refusals():
    assert len(classifier().encode()) < LIMIT
    with pytest.raises(ValueError, match="0, 1 or 2"):
        classifier(np.zeros((2, 2)), [0, 5])
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        classifier(np.zeros((2, 3)), [0, 1])
