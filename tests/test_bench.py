"""The benchmarks' own parts: peers compute the same thing, records become tables, pages and verdicts."""

import importlib.util
import json

import numpy as np
import pytest
from conftest import ROOT

import fastopt as fo
from fastopt.bench import cases, problems, roofline, suite, timing
from fastopt.bench.peers import numpy_linear, numpy_rules
from fastopt.rules import RULES

LIMITS = {
    "moved": {"1": 1e10}, "read": {"1": 1e10}, "float32": {"1": 1e11}, "float64": {"1": 5e10}
}  # fmt: skip


def script(name):
    path = ROOT / "bench" / f"{name}.py"
    if not path.exists():
        pytest.skip("bench/ is not here")
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- peers do the same work ----


@pytest.mark.parametrize(
    "rule", [r for r in RULES if r.__name__ in numpy_rules.UPDATES], ids=lambda r: r.__name__
)
def test_numpy_rules_agree(rule, rng):
    rule, g = rule(), [rng.normal(size=50) for _ in range(6)]
    ours, theirs = rng.normal(size=(2, 50))
    theirs[:] = ours
    optimizer, step = fo.Optimizer(ours, rule, backend="numpy"), numpy_rules.bind(rule, [theirs])
    for each in g:
        optimizer.step(each)
        step([each])
    np.testing.assert_allclose(theirs, ours, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", ["Adam", "NAdam", "Lion", "AdaDelta", "CenteredRMSProp", "Momentum"])
def test_numba_rules_agree(rule, rng, numba):
    check_numba_rule(getattr(fo, rule)(), rng)


@pytest.mark.long
@pytest.mark.parametrize(
    "rule", [r for r in RULES if r.__name__ in numpy_rules.UPDATES], ids=lambda r: r.__name__
)
def test_every_numba_rule_agrees(rule, rng, numba):
    check_numba_rule(rule(), rng)


def check_numba_rule(rule, rng):
    from fastopt.bench.peers import with_numba

    ours, g = rng.normal(size=(7, 9)), [rng.normal(size=(7, 9)) for _ in range(4)]
    theirs = ours.copy()
    optimizer, step = fo.Optimizer(ours, rule, backend="numpy"), with_numba.bind(rule, [theirs])
    for each in g:
        optimizer.step(each)
        step([each])
    np.testing.assert_allclose(theirs, ours, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", ["Softmax", "MulticlassHinge"])
def test_numba_gradient_agrees(loss, numba):
    from fastopt.bench.peers import with_numba_linear

    X, y, W, b = problem = problems.linear(203, 12, 5, "float64")
    expected = fo.value_and_grad(cases.LOSSES[loss], W, X, y, b, backend="numpy")
    for mine, theirs in zip(with_numba_linear.gradient(problem, loss)(), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.__name__)
@pytest.mark.parametrize("package", ["torch", "optax"])
def test_other_rules_agree(rule, package, rng):
    """Where a peer's hyperparameters differ from ours the first steps still go the same way."""
    pytest.importorskip(package)
    peer = importlib.import_module(f"fastopt.bench.peers.with_{package}")
    ours = rng.normal(size=64).astype(np.float32)
    theirs, g = ours.copy(), rng.normal(size=64).astype(np.float32)
    start = ours.copy()
    try:
        step = peer.bind(rule(), [theirs])
    except LookupError:
        pytest.skip(f"{package} has no {rule.__name__}")
    step(peer.as_given([g]))
    fo.Optimizer(ours, rule(), backend="numpy").step(g)
    if package == "torch":  # in place
        assert np.dot(theirs - start, ours - start) > 0


@pytest.mark.parametrize("loss", ["Softmax", "MulticlassHinge", "Hinge"])
def test_numpy_gradient_agrees(loss):
    problem = problems.linear(200, 12, 5, "float64")
    value, dW, db = numpy_linear.Gradient(loss, problem.W, problem.b, 200)(problem.X, problem.y)
    X, y, W, b = problem
    expected = fo.value_and_grad(cases.LOSSES[loss], W, X, y, b, backend="numpy")
    for mine, theirs in zip((value, dW, db), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss", ["Softmax", "MulticlassHinge", "Hinge"])
def test_torch_gradient_agrees(loss):
    pytest.importorskip("torch")
    from fastopt.bench.peers import with_torch

    X, y, W, b = problem = problems.linear(200, 12, 5, "float64")
    expected = fo.value_and_grad(cases.LOSSES[loss], W, X, y, b, backend="numpy")
    for mine, theirs in zip(with_torch.gradient(problem, loss)(), expected, strict=True):
        np.testing.assert_allclose(np.asarray(mine), theirs, rtol=1e-9, atol=1e-12)


def test_sparse_and_numeric_gradients_agree():
    pytest.importorskip("scipy")
    problem = problems.sparse(80, 30, 5, 3, "float64")
    assert problem.X.has_canonical_format and np.all(np.diff(problem.X.indptr) == 5)
    X, y, W, b = problem
    _, dW, _ = numpy_linear.sparse_gradient(problem)()
    np.testing.assert_allclose(dW, fo.value_and_grad(fo.Softmax(), W, X.toarray(), y, b, backend="numpy")[1])
    dense = problem._replace(X=X.toarray())
    np.testing.assert_allclose(numpy_linear.numeric_gradient(dense)(), dW, rtol=1e-5, atol=1e-8)


def test_epochs_of_all_lower_the_loss():
    problem = problems.linear(300, 10, 4)
    runs = [numpy_linear.epoch(problem, "Softmax", 32)]
    if importlib.util.find_spec("torch"):
        from fastopt.bench.peers import with_torch

        runs.append(with_torch.epoch(problem, "Softmax", 32))
    for run in runs:
        run()  # nothing but that it works on its own copies
    assert np.array_equal(problem.W, problems.linear(300, 10, 4).W)


# ---- measuring ----


def test_in_turns_and_summary():
    order = []
    contestants = {n: timing.Contestant(lambda n=n: order.append(n)) for n in "ab"}
    times = timing.in_turns(contestants, 0, least=3, pause=0)
    found = timing.summary(times["a"])
    assert len(times["a"]) == 3 and set(order) == {"a", "b"}
    assert 0 < found["low"] <= found["seconds"] <= found["high"]


@pytest.mark.parametrize("slots", [0, 1, 3])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("numba", [True, False])
def test_traffic_reaches_every_element(slots, threads, numba, monkeypatch, need):
    if numba:
        need("numba")
    monkeypatch.setattr(roofline.choose, "has_numba", lambda: numba)
    p, g = np.zeros(100_003, np.float32), np.ones(100_003, np.float32)
    state = [np.zeros_like(p) for _ in range(slots)]
    roofline.traffic(p, g, state, threads).call()
    for array in (p, *state):
        assert array.min() == array.max() == 1


def test_cases_say_what_is_missing():
    case = cases.step(fo.Lion(), 100)
    names = ["NumPy", "torch, 1 thread", "roof, 1 thread"]
    case = case._replace(makers={name: case.makers[name] for name in names})
    row = suite.measure(case, LIMITS, 0, least=1)
    assert "missing" in row["contestants"]["torch, 1 thread"]  # not installed, or it has no Lion
    assert row["roof_seconds"] == row["contestants"]["roof, 1 thread"]["seconds"] > 0
    assert row["bytes"] == 100 * 4 * 5
    assert row["contestants"]["NumPy"]["rounds"] >= 1


def test_every_case_can_be_made():
    quick, full = list(suite.quick_cases()), list(suite.full_cases())
    assert len(quick) > 10 and len(full) > 40
    assert {group for group, _ in quick + full} == set(suite.GROUPS) - {"first call", "scaling"}
    assert set(numpy_rules.UPDATES) <= {rule.__name__ for rule in RULES}


# ---- what becomes of a record ----


def made_up(factor=1.0):
    def row(seconds):
        return {"seconds": seconds, "low": 0.98 * seconds, "high": 1.02 * seconds, "rounds": 9}

    rows = {
        "fastopt numba": row(1e-5 * factor),
        "NumPy": row(4e-5),
        "torch, 1 thread": {"missing": "torch is not"},
    }
    result = {"bytes": 1000, "operations": 4000, "roof_seconds": 5e-6, "contestants": rows}
    groups = ("rules", "gradient", "epoch", "numeric")
    curve = {
        "axis": "rows",
        "what": "x",
        "contestant": "NumPy",
        "x": [1, 10],
        "seconds": [1e-3, 1e-2],
        "slope": 1.0,
    }
    versions = dict.fromkeys(("numpy", "numba", "torch"), "1.0")
    return {
        "when": "2026-01-01T00:00:00+00:00", "quick": True, "limits": LIMITS, "scaling": [curve],
        "machine": {"cpu": "Some <CPU>", "threads": 1, "cpu_features": "plain", **versions},
        "results": [{"group": g, "name": "a case", **result} for g in groups]
        + [{"group": "first call", "name": "p", "bytes": 0, "operations": 0, "contestants": {"import": row(0.2)}}],
    }  # fmt: skip


def test_table(capsys):
    pytest.importorskip("rich")
    from rich.console import Console

    from fastopt.bench import tables

    tables.print_record(made_up(), Console(width=120))
    text = capsys.readouterr().out
    for piece in ("4.00", "GB/s", "torch is not", "Some <CPU>", "50"):
        assert piece in text
    record = made_up()
    record["results"][0]["name"] = "a long name " * 9
    tables.print_record(record, Console(width=60))
    text = " ".join(capsys.readouterr().out.split())
    assert "…" not in text and "4.00" in text and text.count("a long name") == 9


def test_page_needs_nothing_from_outside(tmp_path):
    pytest.importorskip("rich")
    from fastopt.bench import page

    page.write(made_up(), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") >= 6 and "slope 1.00" in text and "Some &lt;CPU&gt;" in text
    assert not {"http:", "https:", "src=", "@import", "<script"} & set(text.split()) and "://" not in text


@pytest.mark.parametrize("factor, status", [(1.0, 0), (1.02, 0), (1.5, 1), (0.5, 0)])
def test_compare(factor, status, tmp_path, capsys):
    paths = [tmp_path / "before.json", tmp_path / "after.json"]
    for path, f in zip(paths, (1.0, factor), strict=True):
        path.write_text(json.dumps(made_up(f)))
    for options in ([], ["--relative"]):
        assert script("compare").main([*map(str, paths), *options]) == status
    assert ("slower" in capsys.readouterr().out) == bool(status)


def test_readme_figures(tmp_path):
    pytest.importorskip("rich")
    main = script("readme_figures").main
    record, readme = tmp_path / "run.json", tmp_path / "README.md"
    record.write_text(json.dumps(made_up()))
    readme.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    arguments = [str(record), "--readme", str(readme)]
    assert main([*arguments, "--check"]) == 1
    assert main(arguments) == 0 and main([*arguments, "--check"]) == 0
    text = readme.read_text()
    assert text.startswith("before") and text.endswith("after\n") and "old" not in text
    assert "| a case | 10 us |" in text and "Some <CPU>" in text


def test_command_measures(monkeypatch, tmp_path):
    """`fastopt bench` from end to end, with one small case."""
    testing = pytest.importorskip("click.testing")
    pytest.importorskip("rich")
    from fastopt.cli import main

    small = cases.step(fo.SGD(), 100)
    small = small._replace(
        makers={n: m for n, m in small.makers.items() if n.startswith(("fastopt", "NumPy"))}
    )
    monkeypatch.setattr(suite, "quick_cases", lambda: [("rules", lambda: small)])
    monkeypatch.setattr(roofline, "machine", lambda quick: LIMITS)
    monkeypatch.setattr(suite.first_call, "programs", lambda: {"nothing": ("pass", False)})
    arguments = [
        "bench",
        "--quick",
        "--json",
        "--out",
        str(tmp_path / "r.json"),
        "--html",
        str(tmp_path / "r.html"),
    ]
    done = testing.CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "r.json").read_text())
    assert record == json.loads(done.stdout.strip().splitlines()[-1])
    assert [r["group"] for r in record["results"]] == ["rules", "first call"]
    assert (tmp_path / "r.html").exists()
    done = testing.CliRunner().invoke(main, [*arguments, "--only", "rules"])
    record = json.loads((tmp_path / "r.json").read_text())
    assert [r["group"] for r in record["results"]] == ["rules"] and record["scaling"] == []
    done = testing.CliRunner().invoke(main, ["bench", "--only", "rule"])
    assert done.exit_code == 2 and "'gradient', 'epoch'" in done.output
