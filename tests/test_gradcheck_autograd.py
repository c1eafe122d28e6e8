"""gradcheck(f, inputs): the automatic gradients of torch and JAX against differences."""

import subprocess
import sys

import numpy as np
import pytest

import fastopt as fo


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def jnp():
    return pytest.importorskip("jax.numpy")


@pytest.fixture(scope="module")
def cube(torch):
    """x^3 with a backward that is wrong where x > 1."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * torch.where(x > 1, 3.3 * x**2, 3 * x**2)

    return Cube.apply


# ---- torch ----


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("projection", [None, "random", "jacobian"])
def test_torch_right_and_wrong(torch, cube, dtype, projection):
    x = torch.tensor([0.3, 1.7, -2.0, 0.9], dtype=getattr(torch, dtype))
    assert fo.gradcheck(lambda x: x**3 + x, x, projection=projection)
    report = fo.gradcheck(cube, x, projection=projection, raise_exception=False)
    wrong = [row.name for row in report.rows if row.verdict == "wrong"]
    assert wrong == (["f[1] by x[1]"] if projection == "jacobian" else ["x[1]"])
    assert "factor 1.1" in report.rows[0].cause
    assert any("v random" in w for w in report.warnings) == (projection != "jacobian")
    assert x.grad is None and not x.requires_grad


def test_torch_inputs_by_name(torch):
    def model(weight, bias, data, labels, scale=2.0):
        return scale * torch.nn.functional.cross_entropy(data @ weight + bias, labels)

    rng = torch.Generator().manual_seed(0)
    weight, data = torch.randn(4, 3, generator=rng), torch.randn(6, 4, generator=rng)
    bias, labels = torch.zeros(3), torch.tensor([0, 1, 2, 0, 1, 2])
    report = fo.gradcheck(model, (weight.requires_grad_(), bias.requires_grad_(), data, labels))
    assert report.counts["entries"] == 15 and not report.rows[0].name.startswith("x")
    assert {row.name.partition("[")[0] for row in report.rows} == {"weight", "bias"}
    assert "held fixed: data, labels" in report.warnings

    layers = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    call = torch.func.functional_call
    report = fo.gradcheck(lambda p: call(layers, p, (data,)).square().mean(), dict(layers.named_parameters()))
    assert report.counts["entries"] == 31
    assert {row.name.partition("[")[0] for row in report.rows} >= {"0.weight", "2.bias"}
    nested = {"a": [torch.ones(2), {"b": torch.ones(1)}], "n": 3}
    report = fo.gradcheck(lambda p: (p["a"][0] ** p["n"]).sum() * p["a"][1]["b"].exp(), nested)
    assert {row.name for row in report.rows} == {"a[0][0]", "a[0][1]", "a[1]['b'][0]"}


def test_torch_projection_given_and_several_outputs(torch):
    x = torch.tensor([0.5, -0.25], dtype=torch.float64)
    report = fo.gradcheck(lambda x: (x.sin(), x.prod()), x, projection=(torch.tensor([1.0, 2.0]), 3.0))
    found = {row.name: row.analytic for row in report.rows}
    assert np.isclose(found["x[0]"], np.cos(0.5) - 0.75) and np.isclose(found["x[1]"], 2 * np.cos(0.25) + 1.5)
    assert any("v as given" in w for w in report.warnings)
    a, b = (fo.gradcheck(torch.sin, x, seed=s).rows[0].analytic for s in (0, 1))
    assert a != b
    with pytest.raises(ValueError, match=r"projection has the shapes \(3,\), the output \(2,\)"):
        fo.gradcheck(torch.sin, x, projection=np.ones(3))
    with pytest.raises(ValueError, match="projection must be"):
        fo.gradcheck(torch.sin, x, projection="all")


def test_where_torch_itself_fails_or_passes_wrongly(torch, cube):
    """Beside torch.autograd.gradcheck: false alarms on float32, kinks and expanded inputs, and what it misses."""

    def torch_says(f, *x, **options):
        x = [t.clone().requires_grad_() if t.is_contiguous() else t.requires_grad_() for t in x]
        with pytest.warns(UserWarning) if x[0].dtype == torch.float32 else _nothing():
            return torch.autograd.gradcheck(f, x, raise_exception=False, **options)

    single = torch.tensor([0.3, 1.7, -2.0])
    assert not torch_says(lambda x: x.exp() * x.sin(), single)
    assert fo.gradcheck(lambda x: x.exp() * x.sin(), single)

    kink = torch.tensor([0.0, 1.0], dtype=torch.float64)
    assert not torch_says(torch.relu, kink)
    assert fo.gradcheck(torch.relu, kink).counts["subgradients"] == 1

    expanded = torch.tensor([2.0], dtype=torch.float64).expand(3)
    with pytest.raises(RuntimeError, match="stride 0"):
        torch_says(lambda x: x**2, expanded.detach())
    assert fo.gradcheck(lambda x: x**2, expanded)

    class Scaled(torch.autograd.Function):  # a loss in small units, its gradient wrong in sign
        @staticmethod
        def forward(ctx, x):
            return (1e-6 * x**2).sum()

        @staticmethod
        def backward(ctx, g):
            return -2e-6 * g * torch.ones(3, dtype=torch.float64)

    small = torch.ones(3, dtype=torch.float64)
    assert torch_says(Scaled.apply, small)
    assert not fo.gradcheck(Scaled.apply, small, raise_exception=False)

    class Wave(torch.autograd.Function):  # of period 1e-6, the step of torch's differences
        @staticmethod
        def forward(ctx, x):
            return torch.sin(2e6 * np.pi * x).sum()

        @staticmethod
        def backward(ctx, g):
            return 0 * g * torch.ones(2, dtype=torch.float64)

    wave = torch.zeros(2, dtype=torch.float64)
    assert torch_says(Wave.apply, wave)
    assert not fo.gradcheck(Wave.apply, wave, raise_exception=False)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


def test_torch_notes_and_refusals(torch):
    x = torch.ones(3, dtype=torch.float64)
    report = fo.gradcheck(lambda x, y: (x**2).sum(), (x, x.clone()))
    assert any("no way from y to the output" in w for w in report.warnings)
    dropped = fo.gradcheck(lambda x: torch.dropout(x, 0.5, True).sum(), torch.ones(64), raise_exception=False)
    assert not dropped and "not deterministic" in dropped.verdict

    def in_place(x):
        with torch.no_grad():
            x += 1
        return x.sum()

    for f, given, error, words in (
        (lambda x: x.detach().sum(), x, fo.EvaluationError, "has no graph"),
        (in_place, x, fo.EvaluationError, "modifies its argument"),
        (lambda x: 3.0, x, TypeError, "returned float without a floating tensor"),
        (lambda x: x.sum(), x.to(torch.bfloat16), TypeError, "x is torch.bfloat16"),
        (lambda x: x.to(torch.complex128), x, TypeError, "complex"),
        (lambda x: x.sum(), torch.arange(3), TypeError, "no floating tensor"),
        (lambda x: x.sum(), np.ones(3), TypeError, r"for NumPy arrays pass the gradient too"),
        (lambda x: x.sum(), torch.tensor([np.inf]), ValueError, "not finite"),
    ):
        with pytest.raises(error, match=words):
            fo.gradcheck(f, given)
    with pytest.raises(TypeError, match="projection is for torch"):
        fo.gradcheck(np.sum, np.ones(3), np.ones(3), projection="random")
    with pytest.raises(ValueError, match="bounds"):
        fo.gradcheck(torch.log, x, bounds=(2.0, None))
    assert fo.gradcheck(lambda x: x.sqrt().sum(), torch.tensor([1e-9, 1.0]), bounds=(0.0, None))


# ---- JAX ----


@pytest.mark.parametrize("projection", [None, "jacobian"])
def test_jax_right_and_wrong(jnp, projection):
    import jax

    @jax.custom_vjp
    def square(x):
        return x**2

    square.defvjp(lambda x: (x**2, x), lambda x, g: (g * jnp.where(x > 2, 2.2, 2.0) * x,))
    x = jnp.array([1.0, 3.0, -1.0])
    assert x.dtype == np.float32
    assert fo.gradcheck(jax.jit(lambda x: x**2 + jnp.sin(x)), x, projection=projection)
    report = fo.gradcheck(square, x, projection=projection, raise_exception=False)
    assert [row.name for row in report.rows if row.verdict == "wrong"] == [
        "f[1] by x[1]" if projection else "x[1]"
    ]
    assert report.settings["dtype"] == "float32"
    assert jnp.ones(1).dtype == np.float32  # the process's width stays


def test_jax_trees_and_fixed_inputs(jnp):
    def loss(params, batch):
        x, labels = batch
        scores = jnp.tanh(x @ params["w"]) @ params["v"][0]
        return jnp.mean((scores - labels) ** 2)

    rng = np.random.default_rng(0)
    params = {"w": jnp.array(rng.normal(size=(3, 2))), "v": [jnp.array(rng.normal(size=2))]}
    report = fo.gradcheck(loss, (params, (jnp.ones((4, 3)), jnp.arange(4))))
    assert report.counts["entries"] == 20 and "held fixed: batch[1]" in report.warnings
    assert any(row.name.startswith("params['w'][") for row in report.rows)
    with pytest.raises(TypeError, match="no floating array"):
        fo.gradcheck(lambda x: x, jnp.arange(3))


# ---- the command ----

CODE = """
import {framework}

def right(x):
    return (x ** 2).sum()

def loss(weight, bias):
    return (weight * bias) ** 3

def detached(x):
    return {detach}(x).sum()
"""


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_command(framework, tmp_path):
    pytest.importorskip(framework)
    detach = "(lambda x: x.detach())" if framework == "torch" else "jax.lax.stop_gradient"
    (tmp_path / "mine.py").write_text(CODE.format(framework=framework, detach=detach))
    np.savez(tmp_path / "x.npz", weight=np.ones((2, 3), np.float32), bias=np.ones(3, np.float32))

    def run(*options):
        main = [sys.executable, "-c", "from fastopt.cli import main; main()"]
        command = [*main, "check", *options, "--autograd", framework]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    done = run("mine.py:loss", "--at", "x.npz", "--jacobian")
    assert done.returncode == 0 and "all 54 entries agree" in done.stdout, done.stdout + done.stderr
    done = run("mine.py:detached", "--shape", "2,2")
    assert done.returncode == (2 if framework == "torch" else 1), done.stdout
    assert ("has no graph" if framework == "torch" else "4 of 4 entries wrong") in done.stdout + done.stderr
