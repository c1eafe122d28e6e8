"""The slice of a loss and the normalisation table: numbers against NumPy and the engine, pages in a browser."""

import numpy as np
import pytest
from browser import LIMIT, WIDTHS, browser, opened, until  # noqa: F401

import fastopt as fo
from fastopt.reports.normalisation import OFFSETS, SIZES, normalisation
from fastopt.reports.slice import flat_value, loss_slice, slice_page, trained_path


@pytest.fixture(scope="module")
def trained():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    y = X[:, :3].argmax(axis=1)
    objective = fo.Objective(fo.Softmax(), X, y, l2=1e-3)
    path, steps = trained_path(objective, fo.Momentum(0.1), steps=60, batch_size=20)
    return objective, path, steps, loss_slice(flat_value(objective), path, grid=21)


def test_slice_of_a_path_in_a_plane():
    """A path that lies in a plane is seen whole, at its true distances."""
    rng = np.random.default_rng(1)
    plane, _ = np.linalg.qr(rng.normal(size=(6, 2)))
    flat = rng.normal(size=(30, 2)) * (3, 1)
    path = flat @ plane.T + rng.normal(size=6)
    found = loss_slice(lambda p: float(p @ p), path, grid=11)
    assert found.explained.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.true, found.projected)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(found.coordinates, axis=0), axis=1),
        np.linalg.norm(np.diff(flat, axis=0), axis=1),
    )
    corner = found.origin + found.box[0] * found.directions[0] + found.box[2] * found.directions[1]
    assert found.grid[0, 0] == pytest.approx(corner @ corner)


def test_slice_against_principal_components(trained):
    objective, path, steps, found = trained
    moved = path - path[-1]
    values, vectors = np.linalg.eigh(moved.T @ moved)
    np.testing.assert_allclose(found.explained, values[::-1][:2] / values.sum(), rtol=1e-10)
    overlap = np.abs(found.directions @ vectors[:, ::-1][:, :2])
    np.testing.assert_allclose(overlap, np.eye(2), atol=1e-6)
    W, b = path[-1][:15].reshape(3, 5), path[-1][15:]
    X, y = objective.rows.X, objective.rows.y
    assert found.true[-1] == pytest.approx(fo.value_and_grad(fo.Softmax(), W, X, y, b, l2=1e-3)[0], rel=1e-12)
    assert found.true[-1] < found.true[0] and steps[0] == 0 and steps[-1] == 60


def test_slice_refusals():
    with pytest.raises(ValueError, match="three points"):
        loss_slice(np.sum, np.zeros((2, 5)))
    with pytest.raises(ValueError, match="does not move"):
        loss_slice(np.sum, np.zeros((4, 5)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_slice_page(opened, trained, width, theme):  # noqa: F811
    _, _, steps, found = trained
    text = slice_page(found, steps)
    assert len(text.encode()) < LIMIT
    page = opened(text, width, theme)
    assert float(page.locator("#numbers td").nth(1).text_content()) == pytest.approx(found.true[-1], rel=1e-5)
    page.fill("#step", "3")
    assert float(page.locator("#numbers td").nth(2).text_content()) == pytest.approx(
        found.projected[3], rel=1e-5
    )
    page.click("#play")
    until(page, "state.t > 4")
    page.click("#play")
    assert not page.evaluate("state.playing")


def test_normalisation_numbers(opened):  # noqa: F811
    """Condition numbers are NumPy's, the path is the engine's gradient descent."""
    page = opened(normalisation())
    for k, table in enumerate((SIZES, OFFSETS)):
        page.select_option("#set", str(k))
        X, y = table[:, :2], table[:, 2]
        for kind, A, t in (("before", X, y), ("after", (X - X.mean(0)) / X.std(0), y - y.mean())):
            found = page.evaluate(
                f"(() => {{ const p = problem(DATA.sets[{k}], '{kind}'); return {{...p, ...descend(p)}}; }})()"
            )
            assert found["condition"] == pytest.approx(np.linalg.cond(A) ** 2, rel=1e-4)
            W = np.zeros((1, 2))
            optimizer = fo.Optimizer(W, fo.SGD(lr=found["lr"]))
            for _ in range(page.evaluate("state.steps")):
                optimizer.step(fo.value_and_grad(fo.SquaredError(), W, A, t)[1])
            np.testing.assert_allclose(found["path"][-1], W[0], rtol=1e-9)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_normalisation_page(opened, width, theme):  # noqa: F811
    rng = np.random.default_rng(2)
    X = rng.normal(size=(50, 4)) * (1, 100, 1e-3, 5) + (0, 20, 0, 0)
    text = normalisation(X, X[:, 0] + rng.normal(size=50), names=["age", "pay", "share", "<b>"])
    assert len(text.encode()) < LIMIT
    page = opened(text, width, theme)
    assert page.evaluate("[state.i, state.j]") == [1, 2]
    assert "pay" in page.locator("#columns").text_content()
    before = page.locator("#after-text").text_content()
    page.focus("#share")
    page.keyboard.press("End")
    assert page.locator("#after-text").text_content() != before
    page.select_option("#first", "3")
    assert page.evaluate("state.i") == 3
    page.select_option("#second", "3")
    assert page.evaluate("state.j") == 2


def test_normalisation_refusals():
    with pytest.raises(ValueError, match="finite"):
        normalisation([[1, 2], [3, np.nan], [1, 1]], [1, 2, 3])
    with pytest.raises(ValueError, match="two columns"):
        normalisation([[1, 2], [3, 2], [1, 2]], [1, 2, 3])


@pytest.mark.parametrize(
    "arguments",
    [("race", "beale", "--rules", "sgd,adam"), ("demo", "classifier"), ("demo", "slice"), ("demo", "table")],
)
def test_commands(tmp_path, arguments):
    testing = pytest.importorskip("click.testing")
    from fastopt.cli import main

    out = tmp_path / "page.html"
    done = testing.CliRunner().invoke(main, [*arguments, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_text().startswith("<!doctype html>") and out.stat().st_size < LIMIT
    refused = testing.CliRunner().invoke(main, [*arguments, "-o", str(tmp_path / "no" / "page.html")])
    assert refused.exit_code == 2 and "no directory" in refused.output
