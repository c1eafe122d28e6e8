"""The static pictures: drawn, and of the points that the engine walks."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import fastopt as fo

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from fastopt.reports import pictures
from fastopt.reports.slice import loss_slice
from fastopt.reports.surfaces import SURFACES


def test_paths_are_gradient_descent():
    s = SURFACES["lectures"]
    path = pictures.engine_path(s, fo.SGD(0.1), 20)
    x = np.array(s.start, float)
    for p in path:
        np.testing.assert_allclose(p, x, rtol=1e-12)
        x = x - 0.1 * s.gradient(x)
    axes = pictures.race_picture("lectures", {"a": fo.SGD(0.1), "b": fo.Adam(0.5)}, steps=20)
    drawn = [line.get_xydata() for line in axes.lines]
    assert any(len(d) == 21 and np.allclose(d, path) for d in drawn)


def test_a_path_that_diverges_and_the_other_pictures(rng):
    assert len(pictures.loss_picture("lectures", {"a": fo.SGD(5.0)}, steps=500).lines) == 1
    fit = fo.train(rng.normal(size=(60, 3)), rng.integers(0, 2, 60), epochs=4)
    assert len(pictures.curves_picture({"run": fit}).lines[0].get_xdata()) == 4
    found = loss_slice(lambda p: float(p @ p), rng.normal(size=(10, 4)).cumsum(axis=0), grid=9)
    assert "%" in pictures.slice_picture(found).get_xlabel()


def test_the_readmes_pictures_are_made_by_their_script(tmp_path, monkeypatch):
    script = Path(__file__).parents[1] / "docs" / "pictures" / "make.py"
    made = runpy.run_path(str(script))
    made["learning_rates"].__globals__["HERE"] = tmp_path
    made["learning_rates"]()
    made["momentum"]()
    for file in tmp_path.iterdir():
        assert (script.parent / file.name).exists() and file.stat().st_size < 200_000
    assert len(list(tmp_path.iterdir())) == 2


def test_the_picture_of_all_rules_has_a_row_for_each(rng):
    made = runpy.run_path(str(Path(__file__).parents[1] / "docs" / "pictures" / "rules.py"))
    axes = made["draw"](counts=(1, 2, 4)).axes
    names = [label.get_text() for label in axes[0].get_yticklabels()]
    assert {cls.__name__ for cls in (*fo.rules.RULES, *fo.rules.FURTHER)} <= set(names)
    falls = made["ends"](fo.SGD(), made["problems"]()["quadratic"], (1, 10, 100))
    # curvatures 1 and 10, lr 0.01: x shrinks by 0.99 a step, y by 0.9
    left = [0.5 * (3 * 0.99**t) ** 2 + 5 * (2 * 0.9**t) ** 2 for t in (1, 10, 100)]
    np.testing.assert_allclose(falls, np.log10(np.array(left) / 24.5), rtol=1e-9)
