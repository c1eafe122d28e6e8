"""What Optimizer refuses, naming the parameter; and its state, saved and taken back."""

import copy
import json
import math

import numpy as np
import pytest

import fastopt as fo
from fastopt.rules import RULES, checked

BASE = np.zeros((4, 6))


def readonly():
    a = np.zeros(3)
    a.flags.writeable = False
    return a


PARAMETERS = {
    "int64": (lambda: np.zeros(3, int), TypeError, "int64.*astype"),
    "bool": (lambda: np.zeros(3, bool), TypeError, "bool"),
    "complex": (lambda: np.zeros(3, complex), TypeError, "complex128"),
    "longdouble": (lambda: np.zeros(3, np.longdouble), TypeError, str(np.dtype(np.longdouble))),
    "object": (lambda: np.zeros(3, object), TypeError, "object"),
    "swapped": (lambda: np.zeros(3, np.dtype("f8").newbyteorder()), TypeError, "byte order.*'float64'"),
    "list": (lambda: [1.0, 2.0], TypeError, "not list"),
    "scalar": (lambda: np.float64(1), TypeError, "not float64"),
    "number": (lambda: 1.0, TypeError, "not float"),
    "None": (lambda: None, TypeError, "not NoneType"),
    "readonly": (readonly, ValueError, "read-only"),
    "broadcast": (lambda: np.lib.stride_tricks.as_strided(BASE, (3, 4), (0, 8)), ValueError, "itself"),
    "windows": (lambda: np.lib.stride_tricks.as_strided(BASE, (4, 3), (8, 8)), ValueError, "itself"),
}


@pytest.mark.parametrize("case", PARAMETERS)
@pytest.mark.parametrize("form", ["sequence", "dict"])
def test_parameters(case, form):
    make, error, message = PARAMETERS[case]
    good = np.zeros(2)
    params = [good, make()] if form == "sequence" else {"w": good, "hidden.b": make()}
    name = r"params\[1\]" if form == "sequence" else r"params\['hidden.b'\]"
    with pytest.raises(error, match=f"{name}.*{message}"):
        fo.Optimizer(params, fo.SGD())


OVERLAPS = {
    "twice": lambda a: (a, a),
    "view": lambda a: (a, a[1:3]),
    "rows": lambda a: (a[:3], a[2:]),
    "reversed": lambda a: (a[:3], a[::-1][1:3]),
    "crossing": lambda a: (a[1], a[:, 2]),
    "other dtype": lambda a: (a[0], a[0].view("f4")),
}
APART = {
    "rows": lambda a: (a[:2], a[2:]),
    "columns": lambda a: (a[:, :3], a[:, 3:]),
    "combed": lambda a: (a[:, ::2], a[:, 1::2]),
    "empty": lambda a: (a, a[4:], a[:0]),
}


@pytest.mark.parametrize("case", OVERLAPS)
def test_overlapping_parameters(case):
    a, b = OVERLAPS[case](np.zeros((4, 6)))
    with pytest.raises(ValueError, match=r"params\['[ab]'\] and params\['[ab]'\] overlap"):
        fo.Optimizer({"a": a, "between": np.zeros(3), "b": b}, fo.SGD())


@pytest.mark.parametrize("case", APART)
def test_parameters_side_by_side(case):
    a = np.zeros((4, 6))
    params = APART[case](a)
    fo.Optimizer(params, fo.SGD(1)).step([np.ones(p.shape) for p in params])
    assert (a == -1).all()


@pytest.mark.parametrize("params", [[], (), {}])
def test_no_parameters(params):
    with pytest.raises(ValueError, match="empty"):
        fo.Optimizer(params, fo.SGD())


GRADIENTS = {
    "shape": (np.zeros((3, 2)), ValueError, r"shape \(3, 2\).*\(2, 3\)"),
    "broadcastable": (np.zeros(3), ValueError, "shape"),
    "dtype": (np.zeros((2, 3), "f4"), TypeError, "float32.*float64.*astype"),
    "integers": (np.zeros((2, 3), int), TypeError, "int64"),
    "swapped": (np.zeros((2, 3), np.dtype("f8").newbyteorder()), TypeError, "f8"),
    "list": ([[0.0] * 3] * 2, TypeError, "not list"),
    "text": ("x", TypeError, "not str"),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients(case):
    g, error, message = GRADIENTS[case]
    params = {"a": np.zeros(2), "b": np.zeros((2, 3))}
    opt = fo.Optimizer(params, fo.Momentum())
    with pytest.raises(error, match=r"grads\['b'\].*" + message):
        opt.step({"a": np.ones(2), "b": g})
    assert opt.t == 0 and not params["a"].any()
    opt.step({"a": np.ones(2), "b": np.ones((2, 3))})
    assert opt.t == 1 and params["a"].all() and params["b"].all()
    alone = fo.Optimizer(np.zeros((2, 3)), fo.SGD())
    with pytest.raises(error, match="^grads .*" + message):
        alone.step(g)


@pytest.mark.parametrize(
    "params, grads, error, message",
    [
        ([BASE.copy()], BASE, TypeError, "sequence"),
        ([BASE.copy()], {"a": BASE}, TypeError, "sequence"),
        ([BASE.copy()], iter([BASE]), TypeError, "sequence"),
        ([BASE.copy()], [BASE, BASE], ValueError, "2 arrays, params 1"),
        ({"a": BASE.copy()}, [BASE], TypeError, "dict"),
        ({"a": BASE.copy()}, {"b": BASE}, ValueError, r"missing \['a'\]"),
        ({"a": BASE.copy()}, {"a": BASE, "b": BASE}, ValueError, r"unknown \['b'\]"),
    ],
)
def test_form_of_gradients(params, grads, error, message):
    opt = fo.Optimizer(params, fo.SGD())
    with pytest.raises(error, match=message):
        opt.step(grads)
    assert opt.t == 0


OWN_RANGES = {"alpha", "etaplus", "step_max", "t0"}  # any sign, above 1, or up to inf


@pytest.mark.parametrize("cls", RULES, ids=lambda c: c.__name__)
def test_hyperparameters(cls):
    for field in cls._fields:
        if field in ("bias_correction", "undamped_start"):
            continue
        if field in OWN_RANGES:
            for value in (math.nan,):
                with pytest.raises(ValueError, match=f"{cls.__name__}.*{field}"):
                    checked(cls(**{field: value}))
            continue
        for value in (-0.1, math.nan, math.inf, -math.inf):
            with pytest.raises(ValueError, match=f"{cls.__name__}.*{field}"):
                checked(cls(**{field: value}))
        for value in ("0.1", np.float32(0.25), np.array(0.25), 0):
            assert getattr(checked(cls(**{field: value})), field) in (0.0, 0.1, 0.25)
        for value in ("fast", None, [0.1, 0.2], 1j):
            with pytest.raises(TypeError, match=f"{cls.__name__}.*{field}"):
                checked(cls(**{field: value}))
    for field in {"beta1", "beta2"} & set(cls._fields):
        with pytest.raises(ValueError, match=field):
            checked(cls(**{field: 1.0}))


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"nonfinite": "ignore"}, ValueError, "nonfinite"),
        ({"clip": 0}, ValueError, "clip"),
        ({"clip": math.nan}, ValueError, "clip"),
        ({"clip": "a"}, TypeError, "clip must be a number above 0, or None, not 'a'"),
        ({"backend": "cuda"}, ValueError, "backend"),
        ({"schedules": {"beta1": fo.schedules.Constant()}}, ValueError, "SGD has no 'beta1'"),
        ({"schedules": {"lr": 0.1}}, TypeError, r"schedules\['lr'\]"),
    ],
)
def test_options(options, error, message):
    with pytest.raises(error, match=message):
        fo.Optimizer(np.zeros(2), fo.SGD(), **options)


@pytest.mark.parametrize("rule", [fo.SGD, "sgd", None, (1, 2), 0.1])
def test_no_rule(rule):
    with pytest.raises(TypeError, match="rule"):
        fo.Optimizer(np.zeros(2), rule)


# ---------------------------------------------------------------------- state


def make(form):
    values = {"a": np.linspace(-1, 1, 5, dtype="f4"), "b": np.ones((2, 3))}
    return {"array": values["b"], "sequence": list(values.values()), "dict": values}[form]


def some_gradients(params, steps):
    rng = np.random.default_rng(5)

    def like(p):
        return rng.standard_normal(p.shape).astype(p.dtype)

    for _ in range(steps):
        if isinstance(params, dict):
            yield {k: like(p) for k, p in params.items()}
        else:
            yield [like(p) for p in params] if isinstance(params, list) else like(params)


@pytest.mark.parametrize("cls", RULES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("form", ["array", "sequence", "dict"])
def test_state_dict_goes_on_where_it_was(cls, form):
    through, broken = make(form), make(form)
    schedules = {"lr": fo.schedules.Cosine(12)}
    one = fo.Optimizer(through, cls(0.05), schedules=schedules)
    first = fo.Optimizer(broken, cls(0.05), schedules=schedules)
    gradients = list(some_gradients(through, 10))
    for g in gradients[:5]:
        one.step(g)
        first.step(g)
    saved = first.state_dict()
    for g in gradients[5:]:
        first.step(g)  # what was saved is a copy
    restored = make(form)
    again = fo.Optimizer(restored, cls(0.7), schedules=schedules)
    for g in gradients[:5]:
        again.step(g)
    for mine, theirs in zip(again._params.arrays, one._params.arrays, strict=True):
        mine[...] = theirs
    again.load_state_dict(saved)
    assert again.t == 5 and again.rule == one.rule
    for g in gradients[5:]:
        one.step(g)
        again.step(g)
    for mine, theirs in zip(again._params.arrays, one._params.arrays, strict=True):
        assert mine.tobytes() == theirs.tobytes()


def damaged(change):
    saved = fo.Optimizer({"a": np.zeros(3), "b": np.zeros(2)}, fo.Adam()).state_dict()
    change(saved)
    return saved


DAMAGES = {
    "another rule": (lambda d: d.update(rule="AdamW"), "AdamW"),
    "no state": (lambda d: d.pop("state"), "state"),
    "no t": (lambda d: d.pop("t"), "'t'"),
    "t below 0": (lambda d: d.update(t=-1), "-1"),
    "another hyperparameter": (lambda d: d["hyperparameters"].update(gamma=1), "gamma"),
    "a bad hyperparameter": (lambda d: d["hyperparameters"].update(lr=-1.0), "lr"),
    "a broken t": (lambda d: d.update(t=1.5), "1.5"),
    "the state of one array": (lambda d: d.update(state=d["state"]["b"]), "state must have the keys"),
    "no slots": (lambda d: d["state"].update(b=np.zeros(2)), r"params\['b'\] must be a dict"),
    "a missing array": (lambda d: d["state"].pop("b"), "missing.*'b'"),
    "a missing slot": (lambda d: d["state"]["b"].pop("v"), r"params\['b'\].*'v'"),
    "another slot": (lambda d: d["state"]["b"].update(u=np.zeros(2)), r"params\['b'\].*'u'"),
    "another shape": (lambda d: d["state"]["b"].update(v=np.zeros(3)), r"params\['b'\].*'v'"),
    "another dtype": (lambda d: d["state"]["b"].update(v=np.zeros(2, "f4")), r"params\['b'\].*'v'"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_load_state_dict_refuses_before_it_changes(case):
    change, message = DAMAGES[case]
    params = {"a": np.zeros(3), "b": np.zeros(2)}
    opt = fo.Optimizer(params, fo.Adam(0.5))
    opt.step({"a": np.ones(3), "b": np.ones(2)})
    before, t, rule = copy.deepcopy(opt.state), opt.t, opt.rule
    with pytest.raises(ValueError, match=message):
        opt.load_state_dict(damaged(change))
    for name, slots in opt.state.items():
        for slot, value in slots.items():
            np.testing.assert_array_equal(value, before[name][slot])
    assert (opt.t, opt.rule) == (t, rule)


def test_state_dict_is_plain_data():
    opt = fo.Optimizer(np.zeros(2), fo.Adam())
    opt.step(np.ones(2))
    saved = opt.state_dict()
    saved["state"] = {k: v.tolist() for k, v in saved["state"].items()}
    assert json.loads(json.dumps(saved)) == saved
    assert saved["t"] == 1 and saved["rule"] == "Adam" and saved["hyperparameters"]["beta1"] == 0.9


W_SMALL = np.zeros((3, 4))
X_SMALL, Y_SMALL = np.random.default_rng(0).standard_normal((40, 4)), np.arange(40) % 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda bad: fo.Averaged(bad), "Averaged: base must be a rule"),
        (lambda bad: fo.Lookahead(bad), "Lookahead: base must be a rule"),
        (lambda bad: fo.ScheduleFree(bad), "ScheduleFree: base must be a rule"),
        (lambda bad: fo.ScheduleFree(fo.SGD(), bad), "momentum"),
        (lambda bad: fo.Cautious(bad), "Cautious: base must be a rule"),
        (lambda bad: fo.from_torch(bad), "optimizer must be"),
        (lambda bad: fo.to_torch(bad), "opt must be a fastopt.Optimizer"),
        (lambda bad: fo.to_optax(bad, None), "opt must be a fastopt.Optimizer"),
        (lambda bad: fo.check_loss(bad), "loss must be a loss's value"),
        (lambda bad: fo.train(X_SMALL, Y_SMALL, watch=bad), "watch must be a function"),
        (lambda bad: fo.train(X_SMALL, Y_SMALL, solver="lbfgs", watch=bad), "watch must be a function"),
        (lambda bad: fo.Objective(fo.Softmax(), X_SMALL, Y_SMALL, classes=bad), "classes must be"),
        (lambda bad: fo.random_linear_search(bad, Y_SMALL), "X must"),
        (lambda bad: fo.random_linear_search(X_SMALL, Y_SMALL, classes=bad), "classes must be"),
        (lambda bad: fo.random_linear_search(X_SMALL, Y_SMALL, samples=bad), "samples must be"),
        (lambda bad: fo.random_linear_search(X_SMALL, Y_SMALL, scale=bad), "scale must be"),
        (lambda bad: fo.lr_range_test(X_SMALL, Y_SMALL, rule=bad), "rule"),
        (lambda bad: fo.lr_range_test(X_SMALL, Y_SMALL, high=bad), "high must be"),
        (lambda bad: fo.lr_range_test(X_SMALL, Y_SMALL, steps=bad), "steps must be"),
        (lambda bad: fo.lr_range_test(X_SMALL, Y_SMALL, batch_size=bad), "batch_size must be"),
        (lambda bad: fo.batch_size_study(X_SMALL, Y_SMALL, sizes=[bad]), "sizes must be"),
        (lambda bad: fo.batch_size_study(X_SMALL, Y_SMALL, most=bad), "most must be"),
        (lambda bad: fo.batch_size_study(X_SMALL, Y_SMALL, repeats=bad), "repeats must be"),
        (lambda bad: fo.batch_size_study(X_SMALL, Y_SMALL, target=bad), "target must be"),
        (lambda bad: fo.grid_search(np.sum, [bad]), "axes must be"),
        (lambda bad: fo.least_squares(bad, np.ones(2)), "residual must be a function"),
        (lambda bad: fo.lr_range_test(X_SMALL, Y_SMALL, smooth=bad), "smooth must be"),
        (lambda bad: fo.schedules.Plateau(drop=bad), "Plateau: drop must be"),
        (lambda bad: fo.schedules.Plateau(patience=bad), "Plateau: patience must be"),
        (
            lambda bad: fo.numeric_linear_gradient(fo.Softmax(), W_SMALL, X_SMALL, Y_SMALL, eps=bad),
            "eps must be",
        ),
        (
            lambda bad: fo.numeric_linear_gradient(fo.Softmax(), W_SMALL, X_SMALL, Y_SMALL, l2=bad),
            "l2 must be",
        ),
    ],
)
@pytest.mark.parametrize(
    "bad", ["abc", {"a": 1}, [[1, 2], [3]], 1j], ids=["text", "dict", "ragged", "complex"]
)
def test_what_an_argument_cannot_be_is_said_by_name(call, message, bad):
    with pytest.raises((TypeError, ValueError), match=message):
        call(bad)


def test_steps_and_b_of_differences():
    for bad in ("abc", {1, 2}, np.datetime64("2020-01-01"), abs, 0.0):
        for difference in (fo.numeric_gradient, fo.numeric_hessian):
            with pytest.raises((TypeError, ValueError), match="eps must be"):
                difference(lambda x: float(x @ x), np.ones(2), eps=bad)
    for b in (10**30, np.zeros(2), np.zeros((3, 1))):  # the first was an IndexError
        with pytest.raises(ValueError, match=r"b must have the shape \(3,\)"):
            fo.numeric_linear_gradient(fo.Softmax(), W_SMALL, X_SMALL, Y_SMALL, b)


def test_a_grid_that_no_one_can_search_and_a_file_without_a_name():
    with pytest.raises(ValueError, match="axes make a grid of 1e"):
        fo.grid_search(np.sum, [np.arange(1000.0)] * 10)
    with pytest.raises(TypeError, match="checkpoint must be the path"):
        fo.train(X_SMALL, Y_SMALL, checkpoint="")
