"""Wrong gradients are caught and named, right ones are not reported."""

import json

import gradient_cases
import numpy as np
import pytest

from fastopt.checking import GradcheckError, gradcheck, gradgradcheck


def _check(case):
    return gradcheck(case.problem.f, case.grad, case.problem.x, raise_exception=False, **case.tolerance)


def test_every_mutant_is_caught_and_named():
    for case in gradient_cases.mutants(200):
        report = _check(case)
        assert not report, case.kind
        shape = case.problem.x.shape
        named = {int(np.ravel_multi_index(r.index, shape)) for r in report.rows[:5] if r.verdict == "wrong"}
        assert named and named <= set(case.wrong.tolist()), (case.problem.name, case.kind, report.text())
        assert report.causes, case.kind


def test_right_gradients_pass():
    for case in gradient_cases.correct(200):
        report = _check(case)
        assert report, (case.problem.name, report.text())
        assert not report.warnings


@pytest.mark.parametrize("part", [0, *(pytest.param(i, marks=pytest.mark.long) for i in (1, 2, 3))])
@pytest.mark.parametrize("strict", [False, True], ids=["float64 accepted", "float32 only"])
def test_no_false_alarm_in_float32(strict, part):
    """1,000 random cases in all; data, x and results in float32."""

    def only(function):
        def strictly(x):
            if x.dtype != np.float32:
                raise TypeError("float32 only")
            return function(x)

        return strictly if strict else function

    for j in range(125 * part, 125 * part + 125):
        rng = np.random.default_rng([7, j, strict])
        problem = gradient_cases.PROBLEMS[j % 8](gradient_cases.Single(rng))
        assert problem.x.dtype == np.float32
        report = gradcheck(only(problem.f), only(problem.grad), problem.x, raise_exception=False)
        assert report, (problem.name, report.text())


@pytest.mark.parametrize("factor", [-1, 2, 1.05])
def test_float32_mistakes_are_seen(factor):
    for j in range(16):
        rng = np.random.default_rng([8, j])
        problem = gradient_cases.PROBLEMS[j % 8](gradient_cases.Single(rng))
        k = np.unravel_index(np.abs(problem.grad(problem.x)).argmax(), problem.x.shape)

        def wrong(x, problem=problem, k=k):
            if x.dtype != np.float32:
                raise TypeError("float32 only")
            g = problem.grad(x).copy()
            g[k] *= np.float32(factor)
            return g

        assert not gradcheck(problem.f, wrong, problem.x, raise_exception=False), problem.name


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda g, x: -g, "wrong sign"),
        (lambda g, x: 2 * g, "factor 2"),
        (lambda g, x: g / 2, "half"),
        (lambda g, x: 40 * g, "missing 1/n"),
        (lambda g, x: g / 40, "divided by n"),
        (lambda g, x: g - 0.1 * x, "regulariser"),
        (lambda g, x: np.ascontiguousarray(g.T).reshape(g.shape), "transpose"),
        (lambda g, x: np.roll(g, 1, axis=0), "index off by one"),
        (lambda g, x: g * (np.arange(5) != 3)[:, None], "row 3 is wrong (one class)"),
        (lambda g, x: g * np.where(np.arange(7) == 2, -1, 1), "column 2 is wrong (one feature)"),
        (lambda g, x: g + 0.5, "constant"),
    ],
)
def test_cause(change, word):
    problem = gradient_cases.softmax(np.random.default_rng(3))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(problem.f, lambda x: change(problem.grad(x), x), problem.x)
    assert word in str(caught.value)


def test_kinks():
    x = np.array([0.0, 1.0, -2.0, 0.0])
    report = gradcheck(lambda x: np.abs(x).sum(), lambda x: np.array([0.3, 1, -1, -1]), x)
    assert report.counts["subgradients"] == 2
    kinks = {row.index: (row.left, row.right) for row in report.rows if row.left is not None}
    for left, right in kinks.values():
        assert left == pytest.approx(-1, abs=1e-6) and right == pytest.approx(1, abs=1e-6)
    outside = gradcheck(
        lambda x: np.abs(x).sum(), lambda x: np.array([1.3, 1, -1, 0]), x, raise_exception=False
    )
    assert not outside and outside.rows[0].index == (0,) and "one-sided" in outside.rows[0].cause


def test_points_exactly_on_hinges():
    """Every margin of every row is on its kink; the inactive side's gradient passes."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(-2, 3, (12, 4)).astype(float), rng.integers(0, 3, 12)
    rows = np.arange(12)

    def margins(W):
        t = X @ W.T
        t = t - t[rows, y][:, None]
        return t

    def f(W):
        t = np.maximum(0, margins(W))
        return t.sum() / 12

    def grad(W):
        d = (margins(W) > 0).astype(float)
        d[rows, y] = -d.sum(1)
        return d.T @ X / 12

    report = gradcheck(f, grad, np.zeros((3, 4)))
    assert report.counts["subgradients"] > 8


def test_curvature_is_not_a_kink():
    report = gradcheck(lambda x: 1e4 * np.sum(x**2), lambda x: 2e4 * x, np.array([0.0, 1e-3, 2.0]))
    assert report.counts["subgradients"] == 0


def test_nan_always_fails():
    for bad in (np.nan, np.inf):
        report = gradcheck(
            np.sum, lambda x, bad=bad: np.array([1, bad, 1]), np.ones(3), atol=np.inf, raise_exception=False
        )
        assert not report and report.rows[0].index == (1,)
    assert not gradcheck(lambda x: np.nan, np.ones_like, np.ones(3), raise_exception=False)


def test_noise_is_measured_and_reported():
    rng = np.random.default_rng(0)
    report = gradcheck(
        lambda x: np.sum(x * x) + 1e-7 * rng.random(), lambda x: 2 * x, np.ones(3), raise_exception=False
    )
    assert not report and not report.deterministic and "not deterministic" in report.verdict
    allowed = gradcheck(
        lambda x: np.sum(x * x) + 1e-10 * rng.random(), lambda x: 2 * x, np.ones(3), nondet_tol=1e-8
    )
    assert allowed and not allowed.deterministic and allowed.noise > 1e-11
    report = gradcheck(
        lambda x: np.sum(x * x), lambda x: 2 * x + 1e-4 * rng.random(3), np.ones(3), raise_exception=False
    )
    assert not report and "gradient is not deterministic" in report.verdict


def test_tolerance_rule_is_torchs():
    """|a - n| <= atol + rtol*|n|, both sides of the edge."""
    x = np.array([2.0])
    for atol, rtol in ((1e-3, 0), (0, 1e-3), (1e-4, 1e-4)):
        edge = atol + rtol * 4
        for share, passes in ((0.98, True), (1.02, False)):
            report = gradcheck(
                lambda x: np.sum(x * x), lambda x, d=share * edge: 2 * x + d, x, atol=atol, rtol=rtol,
                raise_exception=False,
            )  # fmt: skip
            assert bool(report) is passes


def test_what_atol_hides_is_said():
    report = gradcheck(lambda x: 1e-6 * np.sum(x * x), lambda x: 4e-6 * x, np.ones(3), atol=1e-5)
    assert report and "atol" in report.warnings[0]


def test_value_and_gradient_in_one_and_an_array_as_gradient():
    x = np.arange(1.0, 4.0)
    assert gradcheck(lambda x: (np.sum(x**3), 3 * x**2), None, x)
    assert gradcheck(lambda x: np.sum(x**3), 3 * x**2, x)


def test_several_arrays():
    rng = np.random.default_rng(0)
    W, b, X = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(5, 4))

    def pair(W, b):
        s = X @ W.T + b
        return np.sum(s**2), 2 * s.T @ X, 2 * s.sum(0)

    assert gradcheck(pair, None, (W, b))
    assert gradcheck(lambda p: pair(p["W"], p["b"])[0],
                     lambda p: dict(zip("Wb", pair(p["W"], p["b"])[1:], strict=True)), {"W": W, "b": b})  # fmt: skip
    report = gradcheck(
        lambda p: pair(*p)[0], lambda p: [pair(*p)[1], -pair(*p)[2]], [W, b], raise_exception=False
    )
    assert (
        report.counts["wrong"] == 3 and report.rows[0].name.startswith("x[1][") and "sign" in report.causes[0]
    )


def test_jacobian():
    A = np.random.default_rng(0).normal(size=(4, 3))
    assert gradcheck(lambda x: np.sin(A @ x), lambda x: np.cos(A @ x)[:, None] * A, np.ones(3))
    report = gradcheck(lambda x: np.sin(A @ x), lambda x: A, np.ones(3), raise_exception=False)
    assert not report and report.rows[0].name.startswith("f[")


def test_gradgradcheck():
    A = np.random.default_rng(0).normal(size=(5, 5))
    A = A + A.T
    x = np.random.default_rng(1).normal(size=5)

    def grad(x):
        return A @ x + 3 * x**2

    def hess(x):
        return A + np.diag(6 * x)

    assert gradgradcheck(grad, hess, x)
    assert gradgradcheck(grad, lambda x, v: hess(x) @ v, x, product=True)
    with pytest.raises(GradcheckError):
        gradgradcheck(grad, lambda x: hess(x) + np.triu(np.ones((5, 5))), x)
    with pytest.raises(GradcheckError):
        gradgradcheck(grad, lambda x, v: A @ v, x, product=True)


def test_report(tmp_path):
    problem = gradient_cases.softmax(np.random.default_rng(3))
    report = gradcheck(problem.f, lambda x: -problem.grad(x), problem.x, raise_exception=False)
    assert max(map(len, report.text().splitlines())) <= 110
    assert json.loads(report.json())["counts"]["wrong"] == report.counts["wrong"]
    report.save_html(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "FAILED" in page and "http" not in page.replace("http-equiv", "") and "<script" not in page
    with pytest.raises(GradcheckError) as caught:
        gradcheck(problem.f, lambda x: -problem.grad(x), problem.x)
    lines = str(caught.value).splitlines()
    assert len(lines) <= 12 and caught.value.report.rows


def test_picture(tmp_path):
    pytest.importorskip("matplotlib")
    report = gradcheck(np.sum, lambda x: 2 * np.ones(3), np.ones(3), raise_exception=False)
    report.plot(tmp_path / "h.png")
    assert (tmp_path / "h.png").stat().st_size > 1000
