"""fastopt check, and assert_gradient."""

import json

import numpy as np
import pytest

from fastopt.testing import assert_gradient

click_testing = pytest.importorskip("click.testing")


@pytest.fixture
def run(tmp_path):
    from fastopt.checking.command import check

    source = tmp_path / "mine.py"
    source.write_text(
        "import numpy as np\n"
        "def f(x): return np.sum(x**3)\n"
        "def good(x): return 3*x**2\n"
        "def bad(x): return -3*x**2\n"
        "def pair(x): return f(x), good(x)\n"
        "def two(a, b): return np.sum(a) * np.sum(b)\n"
        "def two_grad(a, b): return {'a': np.full_like(a, b.sum()), 'b': np.full_like(b, a.sum())}\n"
    )
    np.save(tmp_path / "x.npy", np.arange(1.0, 4.0))
    np.save(tmp_path / "n.npy", np.arange(3))
    np.savez(tmp_path / "ab.npz", a=np.ones(2), b=np.ones(3))

    def invoke(*names, at="x.npy", options=()):
        arguments = [f"{source}:{n}" for n in names] + ["--at", str(tmp_path / at), *options]
        return click_testing.CliRunner().invoke(check, arguments)

    return invoke


def test_exit_status(run):
    assert run("f", "good").exit_code == 0
    wrong = run("f", "bad")
    assert wrong.exit_code == 1 and "wrong sign" in wrong.output
    assert run("f", "missing").exit_code == 2
    assert run("f", "good", at="n.npy").exit_code == 2
    text = run("f", "good", at="mine.py")
    assert text.exit_code == 2 and "mine.py cannot be read: it is no .npy or .npz file" in text.output
    assert run("pair").exit_code == 0
    assert run("two", "two_grad", at="ab.npz").exit_code == 0


def test_json_and_html(run, tmp_path):
    result = run("f", "bad", options=["--json", "--html", str(tmp_path / "r.html")])
    found = json.loads(result.output)
    assert result.exit_code == 1 and found["ok"] is False and found["counts"]["wrong"] == 3
    assert "FAILED" in (tmp_path / "r.html").read_text()
    assert json.loads(run("f", "missing", options=["--json"]).output)["ok"] is None


def test_assert_gradient():
    assert_gradient(lambda x: np.sum(x**2), lambda x: 2 * x, np.ones(3))
    with pytest.raises(AssertionError, match="factor 2"):
        assert_gradient(lambda x: np.sum(x**2), lambda x: 4 * x, np.ones(3))


def test_rows_beyond_those_shown_can_be_asked_for(run, tmp_path):
    np.save(tmp_path / "long.npy", np.arange(1.0, 15.0))
    usual = run("f", "good", at="long.npy").output
    assert "4 more (--rows" in usual and usual.count("x[") == 10
    assert run("f", "good", at="long.npy", options=["--rows", "14"]).output.count("x[") == 14
