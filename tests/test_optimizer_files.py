"""Optimizer.save and load, copies and pickles: what goes on from them has the bits of one that was never stopped."""

import copy
import pickle
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest

import fastopt as fo

S = fo.schedules


class Sign(NamedTuple):
    lr: float = 0.1
    slots = ()

    @staticmethod
    def coefficients(h, t):
        return (h.lr,)

    @staticmethod
    def update(h, k, p, g, s):
        return p - k[0] * np.sign(g), ()


CASES = {
    "adam": lambda p: fo.Optimizer(p, fo.Adam(0.1), clip=1.0, nonfinite="skip"),
    "schedules": lambda p: fo.Optimizer(
        p,
        fo.AdamW(0.1),
        schedules={
            "lr": S.Warmup(3, S.Chain(((4, S.Cosine(4)), (None, S.Piecewise(((0, 1.0), (9, 0.5))))))),
            "weight_decay": S.Milestones((2, 5)),
        },
    ),
    "groups": lambda p: fo.Optimizer(
        p, fo.Momentum(0.1), groups=[("a", {"lr": 0.5}), ("b", fo.Adam()), ("c", "frozen")]
    ),
    "around": lambda p: fo.Optimizer(p, fo.Averaged(fo.Lookahead(fo.RMSProp(0.1), every=2), decay=0.9)),
    "sam": lambda p: fo.Optimizer(p, fo.SAM(fo.Adam(0.1), rho=0.1, p=np.inf)),
    "norms": lambda p: fo.Optimizer(p, fo.LAMB(0.1)),
    "whole": lambda p: fo.Optimizer(p, fo.Adafactor()),
}


def arrays(seed=0, empty=True):
    rng = np.random.default_rng(seed)
    return {
        "a": np.asfortranarray(rng.standard_normal((5, 4))),
        "b": rng.standard_normal(7).astype("f4"),
        "c": rng.standard_normal(()),
        "d": np.zeros((0, 3) if empty else (2,)),
        "e": rng.standard_normal((4, 6))[:, ::2],
    }


def steps(opt, begin, end, missing=False):
    for i in range(begin, end):
        rng = np.random.default_rng(i)
        grads = {k: rng.standard_normal(p.shape).astype(p.dtype) for k, p in opt.params.items()}
        if missing and i % 2:
            grads["a"] = None
        if opt._sam is not None:
            opt.ascend(grads)
        opt.step(grads)


def bits(opt):
    slots = [opt.state[k][s].tobytes() for k in opt.params for s in sorted(opt.state[k])]
    return [p.tobytes() for p in opt.params.values()], slots, opt.t, opt.skipped


def through_a_file(opt, path):
    opt.save(path)
    return fo.Optimizer.load(path)


def into_arrays(opt, path):
    opt.save(path)
    return fo.Optimizer.load(path, arrays(9, empty=opt.params["d"].size == 0))


WAYS = {
    "file": through_a_file,
    "file into arrays": into_arrays,
    "pickle": lambda opt, path: pickle.loads(pickle.dumps(opt)),
    "copy": lambda opt, path: copy.copy(opt),
    "deepcopy": lambda opt, path: copy.deepcopy(opt),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_goes_on_with_the_same_bits(case, way, tmp_path):
    opt = CASES[case](arrays(empty=case != "whole"))
    steps(opt, 0, 5, missing=True)
    before = bits(opt)
    again = WAYS[way](opt, tmp_path / "run.safetensors")
    steps(again, 5, 9)
    assert bits(opt) == before, "it has arrays of its own"
    steps(opt, 5, 9)
    assert bits(again) == bits(opt)
    assert again.clip == opt.clip and again.rule == opt.rule and again.nonfinite == opt.nonfinite


@pytest.mark.parametrize("way", WAYS)
def test_between_ascend_and_step(way, tmp_path):
    opt = CASES["sam"](arrays())
    grads = {k: np.ones_like(p) for k, p in opt.params.items()}
    opt.ascend(grads)
    again = WAYS[way](opt, tmp_path / "run.safetensors")
    assert bits(again) == bits(opt)
    again.step(grads), opt.step(grads)
    assert bits(again) == bits(opt)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.ones(3),
        lambda: [np.ones(3), np.zeros((2, 2), "f4")],
        lambda: {3: np.ones(3), "3": np.ones(2)},
        lambda: {"a": [np.ones(2), {"b": np.ones(1)}], "a.b": np.ones(1), "x#1": (np.ones(1),)},
    ],
)
def test_forms(make, tmp_path):
    path, params = tmp_path / "run.safetensors", make()
    fo.Optimizer(params, fo.Adam()).save(path)
    again = fo.Optimizer.load(path).params
    assert str(again) == str(params) and type(again) is type(params)
    fo.Optimizer.load(path, make())


def test_copies_keep_what_is_shared():
    params = arrays()
    both = copy.deepcopy({"params": params, "opt": fo.Optimizer(params, fo.Adam())})
    assert all(both["opt"].params[k] is p for k, p in both["params"].items())
    both = pickle.loads(pickle.dumps([params, fo.Optimizer(params, fo.Adam())]))
    assert all(both[1].params[k] is p for k, p in both[0].items())


def test_rules_and_schedules_of_ones_own(tmp_path):
    path = tmp_path / "run.safetensors"
    p = np.ones(3)
    fo.Optimizer(p, fo.Averaged(Sign(0.25)), schedules={"lr": lambda t, base: base}).save(path)
    with pytest.raises(ValueError, match=r"rule Sign is not one of fastopt: pass rule=Sign\(...\)"):
        fo.Optimizer.load(path)
    with pytest.raises(ValueError, match="schedule of lr is a function of yours"):
        fo.Optimizer.load(path, rule=Sign())
    opt = fo.Optimizer.load(path, rule=Sign(), schedules={"lr": S.Constant()})
    assert opt.rule == fo.Averaged(Sign(0.25))

    class Other(NamedTuple):
        lr: float = 0.1
        slots = ()
        coefficients = Sign.coefficients

        @staticmethod
        def update(h, k, p, g, s):
            return p + k[0] * np.sign(g), ()

    Other.__name__ = "Sign"
    with pytest.raises(ValueError, match="code of Sign is another"):
        fo.Optimizer.load(path, rule=Other(), schedules={"lr": S.Constant()})


def test_plateau_is_saved(tmp_path):
    path, plateau = tmp_path / "run.safetensors", S.Plateau(drop=0.5, patience=0)
    opt = fo.Optimizer(np.ones(2), fo.SGD(1.0), schedules={"lr": plateau})
    for metric in (1.0, 2.0, 3.0):
        plateau.report(metric)
    opt.save(path)
    again = fo.Optimizer.load(path)
    again.step(np.ones(2))
    assert (again.params == 0.75).all()


def test_every_bit_counts(tmp_path):
    """A file of which one bit was changed, or the end is gone, is refused; the parameters stay as they were."""
    path, p = tmp_path / "run.safetensors", np.arange(3.0)
    opt = fo.Optimizer({"p": p}, fo.Momentum())
    opt.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    places = {*range(0, 400, 7), *rng.integers(0, len(content), 150).tolist(), len(content) - 1}
    for place in sorted(places):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=f"{path.name} is no file that fastopt wrote, or was changed"):
            fo.Optimizer.load(path, {"p": p})
    for length in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="changed or cut off"):
            fo.Optimizer.load(path, {"p": p})
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="changed or cut off"):
        fo.Optimizer.load(path)
    assert (p == np.arange(3.0)).all()
    with pytest.raises(FileNotFoundError):
        fo.Optimizer.load(tmp_path / "none")
    with pytest.raises(ValueError, match="folder"):
        fo.Optimizer.load(tmp_path)


def test_params_that_do_not_fit(tmp_path):
    path = tmp_path / "run.safetensors"
    fo.Optimizer({"a": np.ones(3), "b": np.ones(2)}, fo.Adam()).save(path)
    for params, words in (
        ({"a": np.zeros(3)}, r"missing \['b'\], unknown \[\]"),
        ({"a": np.zeros(3), "b": np.zeros(3)}, r"params\['b'\] is float64\(3,\), was saved as float64\(2,\)"),
        ({"a": np.zeros(3), "b": np.zeros(2, "f4")}, "float32"),
        ({"b": np.zeros(2), "a": np.zeros(3)}, "order"),
    ):
        with pytest.raises(ValueError, match=words):
            fo.Optimizer.load(path, params)
        assert not any(p.any() for p in params.values())
    with pytest.raises(TypeError, match=r"key \(1, 2\)"):
        fo.Optimizer({(1, 2): np.ones(1)}, fo.SGD()).save(path)


def test_other_programs_read_it(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "run.safetensors"
    opt = CASES["groups"](arrays())
    steps(opt, 0, 2)
    opt.save(path)
    found = library.load_file(path)
    assert set(found) == {f"params.{k}" for k in "abcde"} | {"state.a.v", "state.b.m", "state.b.v", "state.d.v",
                                                              "state.e.v"}  # fmt: skip
    for k, p in opt.params.items():
        assert found[f"params.{k}"].tobytes() == p.tobytes() and found[f"params.{k}"].shape == p.shape
    library.save_file(found, path)
    with pytest.raises(ValueError, match="no file that fastopt wrote"):
        fo.Optimizer.load(path)


KILLED = """
import sys
import numpy as np
import fastopt as fo
path, end = sys.argv[1], int(sys.argv[2])
try:
    opt = fo.Optimizer.load(path, backend="numpy")
except FileNotFoundError:
    opt = fo.Optimizer({"w": np.ones(20_000, np.float32)}, fo.Adam(0.1), backend="numpy",
                       schedules={"lr": fo.schedules.Cosine(200)}, clip=1.0)
print("ready", flush=True)
while opt.t < end:
    opt.step({"w": np.random.default_rng(opt.t).standard_normal(20_000, dtype=np.float32)})
    opt.save(path)
print("done", flush=True)
"""


def test_killed_and_resumed(tmp_path):
    path, whole, last = tmp_path / "run.safetensors", tmp_path / "whole.safetensors", 60
    command = [sys.executable, "-c", KILLED]
    subprocess.run([*command, str(whole), str(last)], check=True, capture_output=True, cwd=tmp_path)
    rng, kills = np.random.default_rng(0), 0
    for _ in range(8):
        run = subprocess.Popen(
            [*command, str(path), str(last)], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        assert run.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0.002, 0.03))
        run.send_signal(signal.SIGKILL)
        kills += "done" not in run.communicate()[0]
        if path.exists():
            fo.Optimizer.load(path)
    assert kills >= 3
    subprocess.run([*command, str(path), str(last)], check=True, capture_output=True, cwd=tmp_path)
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(f.name for f in tmp_path.iterdir()) == [path.name, whole.name], (
        "nothing is left of killed runs"
    )


def test_a_later_format_is_refused(tmp_path):
    from fastopt import safetensors

    path = tmp_path / "run.safetensors"
    fo.Optimizer(np.ones(1), fo.SGD()).save(path)
    values, members = safetensors.read(path)
    safetensors.write(path, {**values, "version": 99}, members)
    with pytest.raises(ValueError, match="later version"):
        fo.Optimizer.load(path)
    safetensors.write(path, {"kind": "cake"}, members)
    with pytest.raises(ValueError, match="holds no optimizer"):
        fo.Optimizer.load(path)


def test_bfloat16_arrays_are_of_the_kind_that_numpy_calculates_with(tmp_path):
    half = pytest.importorskip("ml_dtypes").bfloat16
    opt = fo.Optimizer({"w": np.asfortranarray(np.ones((3, 2), half))}, fo.Adam(0.1))
    again = through_a_file(opt, tmp_path / "run.safetensors")
    for each in (opt, again):
        each.step({"w": 2 * each.params["w"]})
    assert again.params["w"].dtype == half
    assert again.params["w"].tobytes() == opt.params["w"].tobytes()


def test_torch_parameters(tmp_path):
    torch = pytest.importorskip("torch")
    path, model = tmp_path / "run.safetensors", torch.nn.Linear(3, 2)
    opt = fo.Optimizer(model.named_parameters(), fo.Adam(0.1))
    grads = {k: torch.ones_like(p) for k, p in model.named_parameters()}
    opt.step(grads)
    opt.save(path)
    other = torch.nn.Linear(3, 2)
    again = fo.Optimizer.load(path, other.named_parameters())
    pair = copy.deepcopy([model, opt])
    for o, m in ((opt, model), (again, other), (pair[1], pair[0])):
        o.step(grads)
        assert m.weight.requires_grad
    for m in (other, pair[0]):
        assert torch.equal(m.weight, model.weight) and torch.equal(m.bias, model.bias)
