"""Detectors find their own disease in sick runs and are silent on healthy ones; the table of it in docs/diagnostics.md."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from diagnosed_runs import SICK, blobs, count, healthy, quadratic

import fastopt as fo
from fastopt.diagnostics import DETECTORS, lanczos

PAGE = Path(__file__).parents[1] / "docs" / "diagnostics.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def test_every_detector_has_a_disease_and_says_its_rule():
    assert set(DETECTORS) == set(SICK)
    for found in DETECTORS.values():
        assert all(len(text) >= 8 for text in (found.rule, found.window, found.cure))


def test_a_sample_of_runs():
    """Two seeds of each kind of sick run; 20 healthy ones."""
    table, sick, alarms, missed = count(range(0, 100, 5), 2)
    assert sum(map(len, alarms.values())) == 0, alarms
    for disease in SICK:
        assert table[disease].get(disease, 0) >= 0.75 * sick[disease], missed


@pytest.mark.long
def test_the_whole_table():
    """100 healthy runs and 10 seeds of each kind; FASTOPT_WRITE=1 writes the table into docs/diagnostics.md."""
    table, sick, alarms, missed = count(range(100), 10)
    total = sum(map(len, alarms.values()))
    assert total <= 3, alarms
    for disease in SICK:
        assert table[disease].get(disease, 0) >= 0.85 * sick[disease], missed
    if os.environ.get("FASTOPT_WRITE") == "1":
        head, _, tail = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{rows(table, sick, alarms)}\n{END}{tail.partition(END)[2]}")


def rows(table, sick, alarms):
    lines = [
        "| disease | found by its detector | others that spoke | its detector's false alarms |",
        "|---|---|---|---|",
    ]
    for disease in SICK:
        others = ", ".join(f"{k} {v}" for k, v in sorted(table[disease].items()) if k != disease) or "none"
        hits = f"{table[disease].get(disease, 0)} of {sick[disease]}"
        lines.append(f"| {disease} | {hits} | {others} | {len(alarms.get(disease, ()))} of 100 |")
    return "\n".join(lines)


def test_the_page_has_every_detector():
    text = PAGE.read_text()
    for found in DETECTORS.values():
        assert f"**{found.name}**" in text and found.rule in text and found.cure in text, found.name
        assert f"| {found.name} |" in text


def test_lanczos_against_eigh(rng):
    A = rng.normal(size=(60, 60))
    A = A + A.T
    values = np.linalg.eigvalsh(A)
    low, high, error = lanczos(lambda v: A @ v, 60, steps=40)
    np.testing.assert_allclose([low, high], values[[0, -1]], rtol=1e-6)
    assert error < 1e-2
    low, high, _ = lanczos(lambda v: np.diag([3.0, -1.0]) @ v, 2)
    np.testing.assert_allclose([low, high], [-1, 3], rtol=1e-12)


def test_what_is_printed():
    run = {"loss": np.linspace(2.30, 2.25, 30)}
    found = fo.diagnose(run)
    assert found.problems == ["slow progress"] and len(str(found).splitlines()) == 1
    assert "raise the learning rate" in str(found) and "2.2 %" in str(found)
    healthy_run, arguments = healthy(2)
    assert str(fo.diagnose(healthy_run, **arguments)).startswith("nothing found by")


def test_from_a_log(tmp_path):
    """A JSONL log, its last line cut off."""
    lines = [json.dumps({"step": t, "loss": 2.3 - 0.001 * t, "note": "text", "lr": 0.1}) for t in range(40)]
    (tmp_path / "run.jsonl").write_text("\n".join(lines) + '\n{"step": 40, "lo')
    assert fo.diagnose(tmp_path / "run.jsonl").problems == ["slow progress"]


def test_a_log_in_parts(tmp_path, monkeypatch):
    """Names that come and go, over the parts in which a log is read."""
    from fastopt.diagnostics import case

    lines = [
        {"step": t, "loss": 1.0 + t} | ({"lr": 0.5} if t > 4 else {}) | ({"note": "x"} if t == 2 else {})
        for t in range(8)
    ]
    lines[6]["loss"] = None
    (tmp_path / "run.jsonl").write_text('{"run": {}}\n' + "\n".join(map(json.dumps, lines)))
    whole = case.read_log(tmp_path / "run.jsonl")
    monkeypatch.setattr(case, "PART", 3)
    parts = case.read_log(tmp_path / "run.jsonl")
    assert set(whole) == set(parts) == {"step", "loss", "lr"}
    np.testing.assert_array_equal(whole["loss"], [1, 2, 3, 4, 5, 6, np.nan, 8])
    np.testing.assert_array_equal(whole["lr"], [np.nan] * 5 + [0.5] * 3)
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name])


def test_watch_says_it_once_and_early(rng):
    X, y = blobs(rng)
    said, passed = [], []
    watch = fo.Watch(said.append, every=8, then=lambda values, step: passed.append(step))
    fo.train(X, y, rule=fo.SGD(1e-5), epochs=60, batch_size=64, log=watch)
    assert len(said) == 1 and "slow progress" in said[0] and len(passed) == 60
    assert watch.found["slow progress"][0] <= 24 * 5
    quiet = fo.Watch(said.append)
    fo.train(X, y, rule=fo.SGD(0.1), schedule=fo.schedules.Cosine(), epochs=40, log=quiet)
    assert not quiet.found and len(said) == 1
    with pytest.raises(ValueError, match="every"):
        fo.Watch(every=0)


def test_rate_above_its_limit_is_named(rng):
    """The evidence of instability says how far the rate is above 2/largest curvature."""
    X = rng.normal(size=(100, 4))
    fit = fo.train(X, X @ rng.normal(size=4), fo.SquaredError(), fo.SGD(0.05), epochs=5, batch_size=None)
    fit.history = {"loss_train": np.geomspace(1, 100, 10), "lr": np.full(10, 4.0)}
    top = np.linalg.eigvalsh(np.cov(np.column_stack([X, np.ones(100)]).T, bias=True))[-1]
    text = str(fo.diagnose(fit, X, X[:, 0], rule=fo.SGD(4.0)))
    assert "times 2/largest curvature" in text and top > 0


def test_nothing_is_said_of_nothing():
    assert fo.diagnose({"loss": [1.0, 0.9]}).problems == []
    assert fo.diagnose({}).looked == ("ill-conditioning",)
    assert fo.diagnose({"loss": [np.nan] * 9}).problems == []


def test_refusals(rng):
    X, y = blobs(rng)
    fit = fo.train(X, y, epochs=2)
    with pytest.raises(ValueError, match="rows"):
        fo.diagnose(fit, X, y[:-1])
    with pytest.raises(ValueError, match="features"):
        fo.diagnose(fit, X[:, :2], y)
    with pytest.raises(TypeError, match="dict of curves"):
        fo.diagnose(3)
    with pytest.raises(TypeError, match="'lose'"):
        fo.diagnose({}, lose=[1])
    with pytest.raises(ValueError, match="loss must be a vector"):
        fo.diagnose({"loss": np.zeros((2, 2))})


def test_range_test_finds_a_rate_that_trains(rng):
    X, y = blobs(rng, n=600)
    found = fo.lr_range_test(X, y, rule=fo.SGD(), batch_size=64)
    assert found.lr[0] < found.suggestion <= found.highest
    assert len(found.lr) == len(found.loss) == len(found.smooth) <= 120

    def loss_at(lr):
        return fo.train(X, y, rule=fo.SGD(lr), epochs=3, batch_size=64).history["loss_train"][-1]

    assert loss_at(found.suggestion) < 0.7 * loss_at(found.suggestion / 100)
    with pytest.raises(ValueError, match="0 < low < high"):
        fo.lr_range_test(X, y, low=1, high=0.1)
    with pytest.raises(ValueError, match="never falls"):
        fo.lr_range_test(X * 1e6, rng.permutation(y), low=1e3, high=1e5)


def test_batch_sizes(rng):
    """The gradient's variance falls as 1/size; larger batches take fewer steps and more rows."""
    X, y = blobs(rng, n=500)
    found = fo.batch_size_study(X, y, sizes=(1, 4, 16, 64, 256), most=800, repeats=200)
    assert found.exponent == pytest.approx(-1, abs=0.1)
    reached = np.isfinite(found.steps)
    assert reached.sum() >= 3
    assert (
        found.steps[reached][-1] <= found.steps[reached][0]
        and found.rows[reached][-1] > found.rows[reached][0]
    )


def test_curvature_of_a_function_without_products(rng):
    H = quadratic(rng, n=6, condition=100)
    found = fo.diagnose(
        {}, gradient=lambda x: H @ x, value=lambda x: 0.5 * float(x @ H @ x), point=rng.normal(size=6)
    )
    assert found.problems == []
    assert {"saddle", "incorrect gradient", "ill-conditioning"} <= set(found.looked)


def test_mnist_is_healthy(data):
    """Pixels need no standardising: the columns' rule is silent on them."""
    with np.load(data("mnist.npz")) as file:
        X, y = file["x_train"][::20], file["y_train"][::20].astype(int)
    fit = fo.train(X, y, rule=fo.Momentum(0.02), schedule=fo.schedules.Cosine(), epochs=20)
    assert fo.diagnose(fit, X, y, rule=fo.Momentum(0.02)).problems == []
