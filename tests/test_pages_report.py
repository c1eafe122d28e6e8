"""Reports of runs and logs: numbers against naive counts, pages in a browser."""

import json

import numpy as np
import pytest
from browser import LIMIT, WIDTHS, browser, opened, until  # noqa: F401
from diagnosed_runs import blobs

import fastopt as fo
from fastopt.reports import runs
from fastopt.reports.report import report


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(two model files with logs, test rows): digits' size of features, so that there are images."""
    rng = np.random.default_rng(0)
    X, y = blobs(rng, n=400, features=64)
    folder = tmp_path_factory.mktemp("runs")
    for name, rule in (("plain", fo.SGD(0.05)), ("quick", fo.Adam(0.01))):
        with fo.JsonLog(folder / f"{name}.jsonl", {"rule": str(rule), "command": "fastopt train x"}) as log:
            fit = fo.train(X[:300], y[:300], rule=rule, epochs=12, log=log, validation=0.2)
        fit.save(folder / f"{name}.npz")
    return [folder / "plain.npz", folder / "quick.npz"], X[300:], y[300:]


def test_log_of_a_run(trained):
    (path, _), _, _ = trained
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    assert lines[0]["run"]["command"] == "fastopt train x"
    fit = runs.load(path).fit
    assert [line["epoch"] for line in lines[1:]] == list(range(1, 13))
    assert lines[-1]["step"] == fit.steps
    np.testing.assert_array_equal([line["loss_train"] for line in lines[1:]], fit.history["loss_train"])


def test_logs(tmp_path, rng):
    X, y = blobs(rng)
    seen = []
    fo.train(X, y, epochs=3, log=lambda values, step: seen.append((step, values["epoch"])))
    assert seen == [(3, 1), (6, 2), (9, 3)]
    fo.train(X, y, epochs=2, log=tmp_path / "run.jsonl")
    assert json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])["loss_validation"] is None
    with pytest.raises(TypeError, match="log must be"):
        fo.train(X, y, log=3)
    with pytest.raises(FileNotFoundError, match="no directory"):
        fo.JsonLog(tmp_path / "no" / "x.jsonl")


def test_tensorboard(tmp_path):
    """Event files that tensorboardX's own reader takes."""
    pytest.importorskip("tensorboardX")
    with fo.TensorBoardLog(tmp_path) as log:
        log({"loss": np.float32(0.5), "name": "text"}, 3)
    files = list(tmp_path.glob("events.out.tfevents.*"))
    assert len(files) == 1 and b"loss" in files[0].read_bytes()


def test_thinned_keeps_ends_and_peaks(rng):
    y = rng.normal(size=100_000)
    y[777], y[50_001] = 50, -50
    x, few = runs.thinned(np.arange(100_000), y, 500)
    assert len(few) <= 500 and {50.0, -50.0, y[0], y[-1]} <= set(few) and (np.diff(x) > 0).all()
    x, few = runs.thinned([1, 2, 3], [1.0, np.nan, 2.0])
    assert list(x) == [1, 3]


def test_counts_against_naive(trained):
    (path, _), X, y = trained
    fit = runs.load(path).fit
    table = runs.confusion(fit, X, y)
    for i in range(3):
        for j in range(3):
            assert table[i, j] == sum(t == i and p == j for t, p in zip(y, fit.predict(X), strict=True))
    share = fit.predict_proba(X)
    for c, found in enumerate(runs.curves_of_thresholds(fit, X, y, most=10_000)):
        for threshold, hits, alarms in zip(found["thresholds"], found["hits"], found["alarms"], strict=True):
            above = share[:, c] >= threshold * (1 - 1e-8)
            assert hits == (above & (y == c)).sum() and alarms == (above & (y != c)).sum()
        pairs = share[y == c, c][:, None] - share[y != c, c]
        assert found["area"] == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_report_page(opened, trained, width, theme):  # noqa: F811
    paths, X, y = trained
    text = report(paths, X, y, command="fastopt report x")
    assert len(text.encode()) < LIMIT
    page = opened(text, width, theme)
    fit = runs.load(paths[0]).fit
    assert f"{fit.evaluate(X, y)[1]:.5g}".rstrip("0") in page.locator("#summary").text_content()
    assert page.locator("#templates canvas").count() == 6
    assert "fastopt train x" in page.locator("#configs").text_content()

    share, accuracy = fit.predict_proba(X)[:, 0], page.locator("#rates td").nth(2)
    page.focus("#threshold")
    for key in ("Home", "End", "ArrowLeft"):
        page.keyboard.press(key)
        at = page.evaluate("state.run.thresholds[state.c].thresholds[state.at]")
        right = ((share >= at * (1 - 1e-8)) == (y == 0)).mean()
        assert float(accuracy.text_content()) == pytest.approx(right, abs=1e-3)

    page.select_option("#class", "2")
    assert page.evaluate("state.c") == 2
    page.select_option("#run", "1")
    assert page.evaluate("state.run.name") == "quick"
    assert page.evaluate("charts.loss_train.series.length") == 2
    page.uncheck("#show-0")
    assert page.evaluate("charts.loss_train.series.length") == 1
    page.focus("#curve-loss_train")
    page.keyboard.press("ArrowRight")
    assert "quick" in page.locator("#text-loss_train").text_content()


def test_names_and_regression(opened, rng):  # noqa: F811
    X = rng.normal(size=(80, 3))
    fit = fo.train(X, X @ [1.0, -2.0, 0.0], fo.SquaredError(), fo.SGD(0.1), epochs=20)
    text = report([fit], X, X @ [1.0, -2.0, 0.0], names=["age", "</script>", "pay"])
    page = opened(text)
    assert "age" in page.locator("#coefficients").text_content() and page.locator("#answers").is_hidden()
    with pytest.raises(ValueError, match="3 entries"):
        report([fit], names=["age"])
    with pytest.raises(ValueError, match="one run"):
        report([])


def test_a_million_steps(opened, tmp_path):  # noqa: F811
    """Of a long log the page holds 1,500 points a curve."""
    with (tmp_path / "long.jsonl").open("w") as file:
        file.writelines(f'{{"step": {t}, "loss": {1 / (1 + t)}, "lr": 0.1}}\n' for t in range(1_000_000))
    text = report([tmp_path / "long.jsonl"])
    assert len(text.encode()) < LIMIT
    page = opened(text)
    assert page.evaluate("RUNS[0].curves.loss_train.x.at(-1)") == 999_999


def test_command(tmp_path, monkeypatch):
    testing = pytest.importorskip("click.testing")
    pytest.importorskip("rich")
    from fastopt.cli import main

    monkeypatch.chdir(tmp_path)
    run = testing.CliRunner().invoke
    done = run(main, ["train", "digits", "--epochs", "5", "--out", "a.npz", "--log", "a.jsonl"])
    assert done.exit_code == 0, done.output
    done = run(main, ["report", "a.npz", "a.jsonl", "--data", "digits", "-o", "r.html"])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "r.html").read_text()
    assert '"accuracy_test"' in text and '"name":"a (2)"' in text and "templates" in text
    assert run(main, ["report", "none.npz"]).exit_code == 2


def test_image_shapes():
    assert runs.image_shape(784) == (28, 28, 1)
    assert runs.image_shape(3072) == (32, 32, 3)
    assert runs.image_shape(10) is None
    assert runs.image_shape(12, (3, 4)) == (3, 4, 1)
    with pytest.raises(ValueError, match="12 pixels"):
        runs.image_shape(13, (3, 4))
