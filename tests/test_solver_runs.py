"""A solver's run, of every solver and loss: the same bits for any number of threads, and the best point after Ctrl-C."""

import os
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import fastopt as fo
from fastopt import engines, native
from fastopt.solvers import SOLVERS, solve
from fastopt.solvers.choose import check_choice
from fastopt.solvers.solve import _Run
from fastopt.solvers.state import State

sparse = pytest.importorskip("scipy.sparse")
pytest.importorskip("numba")

PENALTIES = {"prox-newton": (1e-3, 1e-3), "lbfgs": (0.0, 1e-3), "lbfgs with l1": (1e-3, 0.0)}
LOSSES = {  # (loss, rows of W; 0: soft labels of four classes)
    "softmax": (fo.Softmax(), 4), "soft labels": (fo.Softmax(), 0),
    "logistic": (fo.Logistic(), 1), "logistic, one versus the rest": (fo.Logistic(), 4),
    "hinge": (fo.Hinge(), 1), "hinge, one versus the rest": (fo.Hinge(), 4),
    "squared hinge": (fo.SquaredHinge(), 1), "modified Huber": (fo.ModifiedHuber(), 4),
    "Weston-Watkins": (fo.MulticlassHinge(), 4), "squared Weston-Watkins": (fo.MulticlassHinge(squared=True), 4),
    "Crammer-Singer": (fo.CrammerSinger(), 4), "squared error": (fo.SquaredError(), 1), "Huber": (fo.Huber(), 1),
    "epsilon-insensitive": (fo.EpsilonInsensitive(), 1), "squared epsilon": (fo.EpsilonInsensitive(0.1, True), 1),
    "quantile": (fo.Quantile(0.3), 1), "Poisson": (fo.Poisson(), 1),
}  # fmt: skip


def rows_of(loss, classes, form, n=2500, features=40):
    rng = np.random.default_rng(features + classes)
    X = rng.normal(size=(n, features)) * (rng.random((n, features)) < 0.5)
    s = X[:, :5] @ rng.normal(size=(5, classes or 4)) + rng.gumbel(size=(n, classes or 4))
    if not classes:
        y = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    elif loss.one_row == "real":
        y = np.floor(np.exp(np.clip(s[:, 0], -3, 2))) if isinstance(loss, fo.Poisson) else s[:, 0]
    else:
        y = (s[:, 0] > 0).astype(int) if classes == 1 else s.argmax(axis=1)
    return (sparse.csr_array(X) if form == "csr" else X), y


def pairs():
    for name, (loss, classes) in LOSSES.items():
        X, y = rows_of(loss, classes, "dense", 20, 6)
        for solver in (*SOLVERS, "lbfgs with l1"):
            objective = fo.Objective(loss, X, y, penalty=fo.ElasticNet(*PENALTIES.get(solver, (0.0, 1e-3))))
            try:
                check_choice(solver.split()[0], objective, False)
            except ValueError:
                continue
            yield pytest.param(name, solver, id=f"{name}, {solver}")


PAIRS = list(pairs())


@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize(("name", "solver"), PAIRS)
def test_same_bits_for_any_number_of_threads(name, solver, form):
    loss, classes = LOSSES[name]
    X, y = rows_of(loss, classes, form)
    penalty, ends = fo.ElasticNet(*PENALTIES.get(solver, (0.0, 1e-3))), []
    for threads in (1, 2, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge
            objective = fo.Objective(loss, X, y, penalty=penalty, threads=threads)
            ends.append(solve(objective, solver.split()[0], max_iter=6))
    for end in ends[1:]:
        assert np.array_equal(end.W, ends[0].W) and np.array_equal(end.b, ends[0].b)
        assert end.report.objective == ends[0].report.objective
    assert ends[0].W.any()


@pytest.mark.parametrize(("name", "solver"), PAIRS)
def test_ctrl_c_returns_the_best_point(name, solver):
    loss, classes = LOSSES[name]
    X, y = rows_of(loss, classes, "dense", 600)
    penalty, seen = fo.ElasticNet(*PENALTIES.get(solver, (0.0, 1e-3))), []
    objective = fo.Objective(loss, X, y, penalty=penalty)

    def interrupt(now):
        seen.append(now["objective"])
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="interrupted"):
        W, b, report = solve(objective, solver.split()[0], callback=interrupt, tol=0)
    assert report.reason == "interrupted" and not report.converged and len(seen) == 3
    assert report.objective == pytest.approx(min(seen[:2]), rel=1e-12)
    assert objective.value(W, b) == pytest.approx(report.objective, rel=1e-12)


ALL_FORMS = ("softmax", "soft labels", "logistic", "Huber")
ONE_FORM = (
    "logistic, one versus the rest", "squared hinge", "modified Huber", "squared Weston-Watkins", "squared error",
    "squared epsilon", "Poisson",
)  # fmt: skip


FORMS = [
    ("float64", "dense"),
    ("float64", "csr"),
    ("float32", "dense"),
    ("float32", "csr"),
    ("float32", "uint8"),
]


@pytest.mark.parametrize(
    ("name", "dtype", "form"),
    [*((n, *f) for n in ALL_FORMS for f in FORMS), *((n, "float32", "dense") for n in ONE_FORM)],
)
def test_passes_of_c_have_numbas_bits(name, dtype, form, need, rng):
    """Values, gradients, scores of a direction and searches along it, products with the Hessian at kept scores, Gram matrices."""
    need("c")
    loss, classes = LOSSES[name]
    X, y = rows_of(loss, classes, form, 1013, 53)
    X = rng.integers(0, 256, X.shape).astype(np.uint8) if form == "uint8" else X.astype(dtype)
    weight, D = rng.random(1013), rng.random((2, 1013))
    found = []
    for backend in ("numba", "c"):
        objective = fo.Objective(loss, X, y, sample_weight=weight, backend=backend, threads=2)
        passes = engines.get(backend).bind_passes(loss, objective.rows, 2)
        W, V = np.random.default_rng(1).normal(size=(2, objective.classes, 53)).astype(objective.dtype) / 3
        b, db, dW = W[:, 0].copy(), np.empty(len(W), W.dtype), np.empty_like(W)
        kept, direction = passes.slot(), passes.slot()
        own = [passes.evaluate(W, b, dW, db, 0.1, kept), dW.copy(), db.copy(), passes.by_row(kept).copy()]
        passes.scores(V, None, direction)
        own += [passes.by_row(direction).copy(), *passes.line(kept, direction, 0.3), passes.value_at(kept)]
        kept += direction
        own += [passes.gradient_at(kept, dW, db, 0.2), dW.copy(), db.copy()]
        passes.hessian_product(kept, V, b, dW, db, 0.2)
        own += [dW.copy(), db.copy(), passes.gram(D.astype(objective.dtype)), passes.reads]
        found.append(own)
    for ours, theirs in zip(*found, strict=True):
        assert np.array_equal(ours, theirs)


def test_lbfgs_in_c_reads_no_more_than_twice_an_iteration(need):
    need("c")
    loss, classes = LOSSES["softmax"]
    X, y = rows_of(loss, classes, "dense")
    report = solve(fo.Objective(loss, X, y, l2=1e-4, backend="c"), "lbfgs").report
    assert report.converged and report.reads <= 2 * report.iterations + 3


@pytest.mark.filterwarnings("ignore:.*NOT converged")
@pytest.mark.parametrize("form", ["dense", "csr"])
@pytest.mark.parametrize(
    ("name", "solver"),
    [("hinge", "dual"), ("quantile", "dual"), ("squared Weston-Watkins", "dual"), ("Crammer-Singer", "dual"),
     ("logistic", "prox-newton")],
)  # fmt: skip
def test_same_bits_by_vectors_of_any_width(name, solver, form, need):
    """What solvers do in C beside their passes; dense rows of 40 features have whole vectors and a rest."""
    need("c")
    loss, classes = LOSSES[name]
    X, y = rows_of(loss, classes, form, 600)
    penalty, found = fo.ElasticNet(*PENALTIES.get(solver, (0.0, 1e-3))), []
    try:
        for off in ("", "avx512", "avx512,avx2"):
            native.select_features(off)
            backend = "numba" if isinstance(loss, fo.CrammerSinger) else "c"
            objective = fo.Objective(loss, X.astype(np.float32), y, penalty=penalty, backend=backend)
            solution = solve(objective, solver, max_iter=12, tol=0.0)
            found.append((solution.W.tobytes(), solution.b.tobytes(), *solution.report.history["objective"]))
    finally:
        native.select_features(os.environ.get("FASTOPT_DISABLE_CPU_FEATURES", ""))
    assert found[0] == found[1] == found[2]


def test_a_gap_is_of_the_best_point():
    """An iterate that is far worse is no smaller a gap: it had been divided by that iterate's own value."""
    run = _Run(SimpleNamespace(size=1, reads=0), 1e-6, 100, None, None, 0.0, "gap", None, State(), None)
    best, worse = np.zeros(1), np.ones(1)
    x, lower, reason = run.follow(iter([(best, 1.0, 2e-6), (worse, 10.0, 9.0 + 2e-6)]))
    assert reason.startswith("no smaller value") and x is best and lower == 1.0 - 2e-6
    assert run.history["gap"] == pytest.approx([2e-6, 2e-6])
