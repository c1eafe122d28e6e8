"""Parameters and state of few bits: bits against tests/naive_small_state.py, and what they are worth in training."""

import pickle

import naive_small_state as naive
import numpy as np
import pytest

import fastopt as fo
from fastopt import arrays, rounding
from fastopt.data import load

FORMS = [
    ("float32", "bfloat16"), ("float32", "float8"), ("split", None), ("split", "bfloat16"), ("split", "float8"),
    ("rounded", "float32-no-master"), ("rounded", "bfloat16-no-master"), ("rounded", "float8-no-master"),
    ("float16", None), ("float16", "bfloat16"), ("float16", "float8"),
]  # fmt: skip
RULES = {
    "adamw": (
        fo.AdamW(lr=0.02, weight_decay=0.1), naive.adamw,
        lambda t: naive.adamw_numbers(t, 0.02, 0.9, 0.999, 1e-8, 0.1), (True, False),
    ),
    "lion": (
        fo.Lion(lr=0.01, weight_decay=0.1), naive.lion, lambda t: naive.lion_numbers(t, 0.01, 0.9, 0.99, 0.1), (True,)
    ),
}  # fmt: skip


def as_form(x, parameter):
    """float32 numbers as a parameter or gradient of this form, rounded to nearest."""
    if parameter == "float32":
        return x.copy()
    if parameter == "float16":
        return x.astype(np.float16)
    high, _ = rounding.split(x)
    return arrays.bfloat16_view(high)


def four_decades(rng, n):
    return (rng.standard_normal(n) * 10.0 ** rng.uniform(-4, 0, n)).astype(np.float32)


def bits(array):
    return np.ascontiguousarray(array).view(np.uint8).tobytes()


def everything(opt, p):
    return {"p": bits(p), **{name: bits(a) for name, a in opt.state.items()}}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("parameter, state", FORMS)
def test_bits_are_the_naive_ones(backend, name, parameter, state):
    if name == "lion" and (parameter, state) not in FORMS[1:4]:
        pytest.skip("one slot: the forms that differ")
    rule, formula, numbers, signed = RULES[name]
    for n in (1, 257):
        rng = np.random.default_rng(n)
        p = as_form(four_decades(rng, n) + 1, parameter)
        kept = (state or "float32").removesuffix("-no-master")
        third = naive.Naive(p, signed, parameter, kept)
        opt = fo.Optimizer(p, rule, state_dtype=state, backend=backend)
        for t in range(1, 4):
            g = as_form(four_decades(rng, n), parameter)
            opt.step(g)
            third.step(formula, numbers(t), rounding.as_float32(g))
        whole = np.uint32 if parameter == "float32" else np.uint16
        assert p.view(whole).tolist() == third.p
        if parameter == "split":
            assert opt.state["remainder"].tolist() == third.low
        for j, slot in enumerate(rule.slots):
            assert opt.state[slot].tolist() == third.slots[j]
            if kept == "float8":
                assert opt.state[f"{slot}_base"].tolist() == third.bases[j]


EVERY = [fo.Adam(), fo.AdamW(), fo.AMSGrad(), fo.NAdam(), fo.Adamax(), fo.Lion(), fo.Momentum(), fo.Nesterov(),
         fo.ClassicalMomentum()]  # fmt: skip


def run(backend, n, rule, parameter, state, threads=1, steps=3):
    rng = np.random.default_rng(n)
    p = as_form(four_decades(rng, n), parameter)
    opt = fo.Optimizer(p, rule, state_dtype=state, backend=backend, threads=threads)
    for _ in range(steps):
        opt.step(as_form(four_decades(rng, n), parameter))
    return everything(opt, p)


@pytest.mark.parametrize("rule", EVERY, ids=lambda r: type(r).__name__)
@pytest.mark.parametrize("state", [pytest.param("bfloat16", marks=pytest.mark.long), "float8"])
def test_back_ends_agree(need, rule, state):
    for backend in ("numba", "c"):
        need(backend)
        for n in (1, 300, 2561):
            assert run(backend, n, rule, "split", state) == run("numpy", n, rule, "split", state)


@pytest.mark.long
@pytest.mark.parametrize("state", ["bfloat16", "float8"])
def test_every_size(backend, state):
    for n in (*range(1, 1001, 3), 256 * 256 + 1):
        assert run(backend, n, fo.AdamW(), "split", state) == run("numpy", n, fo.AdamW(), "split", state), n


@pytest.mark.parametrize(
    "parameter, state", [("split", "bfloat16"), ("float32", "float8"), ("rounded", "float8-no-master")]
)
def test_threads_do_not_show(backend, many_threads, parameter, state):
    one = run(backend, 200_001, fo.AdamW(), parameter, state)
    assert one == run(backend, 200_001, fo.AdamW(), parameter, state, threads=3)


@pytest.mark.parametrize("state", ["bfloat16", "float8"])
def test_averages(need, state):
    need("numba")
    rule = fo.Averaged(fo.AdamW(), 0.9)
    assert run("numba", 700, rule, "split", state) == run("numpy", 700, rule, "split", state)
    p = as_form(np.linspace(0, 1, 700, dtype=np.float32), "split")
    opt = fo.Optimizer(p, rule, state_dtype=state)
    opt.step(as_form(np.ones(700, np.float32), "split"))
    average = opt.averaged()
    assert average.dtype == np.float32 and opt.state["average"].dtype == np.float32
    np.testing.assert_allclose(average, rounding.as_float32(p), atol=4e-3)


# ---- numbers ----


def test_split_is_exact_for_every_kind_of_number(rng):
    patterns = rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    patterns = np.concatenate([patterns, [0, 0x80000000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 1, 0x807FFFFF]])
    patterns = patterns.astype(np.uint32)
    patterns[(patterns & 0x7FFFFFFF) > 0x7F800000] |= 0x00400000  # arithmetic gives quiet NaN only
    x = patterns.view(np.float32)
    back = rounding.joined(*rounding.split(x))
    numbers = ~np.isnan(x)
    assert (back.view(np.uint32) == x.view(np.uint32))[numbers].all() and np.isnan(back[~numbers]).all()


def test_float16_is_numpys(rng):
    code = np.arange(2**16, dtype=np.uint16)
    ours, theirs = rounding.from_float16(code), code.view(np.float16).astype(np.float32)
    assert np.array_equal(ours, theirs, equal_nan=True)
    x = (rng.standard_normal(200_000) * 10.0 ** rng.uniform(-9, 6, 200_000)).astype(np.float32)
    x = np.concatenate(
        [x, ours[np.isfinite(ours)], np.array([np.inf, -np.inf, 65519.0, 65520.0, -0.0], np.float32)]
    )
    with np.errstate(over="ignore"):
        assert (rounding.to_float16(x) == x.astype(np.float16).view(np.uint16)).all()


@pytest.mark.parametrize("form, relative", [("bfloat16", 2**-7), ("signed", 2**-3), ("positive", 2**-3)])
def test_rounding_has_no_bias(form, relative):
    """The mean over 4,096 words of noise is within what that many roundings may differ by, and the error within a step."""
    rng = np.random.default_rng(1)
    for x in (rng.uniform(1e-3, 1e3, 30) * (1 if form == "positive" else rng.choice([-1, 1], 30))).astype(
        np.float32
    ):
        words = rounding.words_of(4096, 12345)
        many = np.full(4096, x)
        if form == "bfloat16":
            got = rounding.from_bfloat16(rounding.to_bfloat16(many, words & np.uint32(0xFFFF)))
        else:
            code, base = rounding.to_eight(many, words >> np.uint32(12), form == "signed")
            got = rounding.from_eight(code, base, form == "signed")
        assert np.abs(got / x - 1).max() <= relative
        assert abs(got.astype(np.float64).mean() / float(x) - 1) < relative / 200


def test_second_moments_over_four_decades_stay(backend):
    """In a block with gradients over four decades no v becomes 0, and steps stay what float32 makes them."""
    rng, n = np.random.default_rng(3), 256 * 8
    scale = (10.0 ** -rng.uniform(0, 4, n)).astype(np.float32)
    p, q = np.zeros(n, np.float32), np.zeros(n, np.float32)
    small = fo.Optimizer(p, fo.Adam(lr=1e-3), state_dtype="float8", backend=backend)
    plain = fo.Optimizer(q, fo.Adam(lr=1e-3), backend=backend)
    for _ in range(300):
        g = rng.standard_normal(n).astype(np.float32) * scale
        small.step(g)
        plain.step(g)
    v = rounding.from_eight(small.state["v"], small.state["v_base"], False)
    ratio = v / plain.state["v"]
    assert (
        v.min() > 0
        and 0.9 < np.median(ratio) < 1.1
        and np.quantile(ratio, [0.05, 0.95]).tolist() > [0.5, 0.9]
    )
    assert np.abs(p - q).max() < 0.3 * np.abs(q).max() and np.linalg.norm(p - q) < 0.25 * np.linalg.norm(q)


def test_no_infinity_and_nothing_wraps(backend):
    n = 300
    p = as_form(np.full(n, 1.0, np.float32), "split")
    opt = fo.Optimizer(p, fo.Momentum(lr=0.0, momentum=0.0), state_dtype="bfloat16", backend=backend)
    opt.step(as_form(np.full(n, 3.3e38, np.float32), "split"))
    assert np.isfinite(rounding.from_bfloat16(opt.state["v"])).all()
    for state in ("bfloat16", "float8"):
        p = as_form(np.full(n, 1.0, np.float32), "split")
        opt = fo.Optimizer(p, fo.AdamW(), state_dtype=state, backend=backend, nonfinite="allow")
        g = np.ones(n, np.float32).view(np.uint32)
        g[[0, 200]] = 0x7FFFFFFF  # a NaN with all bits: rounded upwards it would be -0
        opt.step(arrays.bfloat16_view((g >> 16).astype(np.uint16)))
        assert np.flatnonzero(np.isnan(rounding.as_float32(p))).tolist() == [0, 200]


@pytest.mark.parametrize("state", ["bfloat16", "float8"])
def test_numbers_at_every_edge_are_rounded_as_described(backend, state):
    tops = [
        *range(0x7F6FFFFE, 0x7F700003),
        *range(0x7F7EFFFE, 0x7F7F0003),
        0x7F7FFFFF,
        0x7F800000,
        0x7FC00000,
        0x7FFFFFFF,
    ]
    sizes = [0x00800000, 0x3F7FFFFF, 0x3F80FFFF, *tops]
    codes = [code | sign << 31 for code in sizes for sign in (0, 1) for _ in range(6)]
    g = np.array(codes, np.uint32).view(
        np.float32
    )  # one block: 8-bit codes of what is small beside 2^128 are 0
    opt = fo.Optimizer(np.zeros_like(g), fo.Momentum(lr=0.0, momentum=0.0), state_dtype=state, backend=backend,
                       nonfinite="allow")  # fmt: skip
    opt.step(g)
    words = [naive.word(0, 0, 0, 1, i) for i in range(g.size)]
    if state == "bfloat16":
        wanted = [naive.bf16(x, word & 0xFFFF) for x, word in zip(g, words, strict=True)]
    else:
        wanted, base = naive.eight(g, [word << 4 & 0xFFFFF for word in words], True)
        assert opt.state["v_base"].tolist() == [base]
    assert opt.state["v"].tolist() == wanted
    p = np.array(codes, np.uint32).view(np.float32)
    assert rounding.split(p)[0].tolist() == [
        naive.nearest_bf16(x) if x == x else naive.pattern(x) >> 16 for x in p
    ]


# ---- the optimizer around them ----


@pytest.mark.parametrize("parameter", ["split", "float16"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nonfinite_gradients_change_nothing(backend, parameter, bad):
    p = as_form(np.linspace(0.5, 1, 400, dtype=np.float32), parameter)
    opt = fo.Optimizer(p, fo.AdamW(), state_dtype="float8", backend=backend)
    g = np.ones(400, np.float32)
    opt.step(as_form(g, parameter))
    before = everything(opt, p)
    g[333] = bad
    with pytest.raises(FloatingPointError, match="grads has NaN or inf at step 2"):
        opt.step(as_form(g, parameter))
    assert everything(opt, p) == before and opt.t == 1


@pytest.mark.parametrize("parameter", ["float32", "split", "float16"])
def test_nan_is_seen_wherever_it_is(backend, parameter):
    for n in (1, 5, 67, 4099):
        p, clean = as_form(np.ones(n, np.float32), parameter), np.full(n, 1e-3, np.float32)
        opt = fo.Optimizer(p, fo.Momentum(), state_dtype="bfloat16", backend=backend)
        opt.step(as_form(clean, parameter))
        for i in {*range(min(n, 70)), *range(0, n, 97), n - 1}:
            g = clean.copy()
            g[i] = np.nan
            with pytest.raises(FloatingPointError, match="grads has NaN or inf"):
                opt.step(as_form(g, parameter))
        assert opt.t == 1


@pytest.mark.parametrize("parameter", ["split", "float16"])
def test_clipping_is_that_of_the_decoded_gradient(backend, parameter):
    rng = np.random.default_rng(0)
    g = as_form(four_decades(rng, 5000) * 10, parameter)
    decoded = rounding.as_float32(g)
    norm = float(np.linalg.norm(decoded.astype(np.float64)))
    p, q = as_form(np.ones(5000, np.float32), parameter), np.ones(5000, np.float32)
    fo.Optimizer(p, fo.SGD(lr=0.5), clip=norm / 4, backend=backend).step(g)
    fo.Optimizer(q, fo.SGD(lr=0.5), clip=norm / 4, backend=backend).step(decoded)
    assert bits(p) == bits(as_form(q, parameter))


def test_an_optimizer_goes_on_from_its_state_dict_bit_for_bit(backend):
    rng = np.random.default_rng(5)
    for parameter, state in FORMS:
        p = as_form(four_decades(rng, 600), parameter)
        grads = [as_form(four_decades(rng, 600), parameter) for _ in range(6)]
        opt = fo.Optimizer(p, fo.AdamW(), state_dtype=state, backend=backend)
        for g in grads[:3]:
            opt.step(g)
        saved, q = opt.state_dict(), p.copy()
        other = fo.Optimizer(q, fo.AdamW(), state_dtype=state, backend="numpy")
        other.load_state_dict(saved)
        for g in grads[3:]:
            opt.step(g)
            other.step(g)
        assert everything(opt, p) == everything(other, q)


def test_a_state_of_another_form_is_refused_before_anything_changes():
    p = np.ones(300, np.float32)
    opt = fo.Optimizer(p, fo.AdamW(), state_dtype="bfloat16")
    opt.step(np.ones(300, np.float32))
    saved, before = opt.state_dict(), everything(opt, p)
    assert saved["noise"] == {"generator": "weyl", "version": 1, "seed": 0}
    for other in (None, "float8"):
        theirs = fo.Optimizer(np.ones(300, np.float32), fo.AdamW(), state_dtype=other)
        with pytest.raises(ValueError, match="state_dtype"):
            opt.load_state_dict(theirs.state_dict())
        with pytest.raises(ValueError, match="state_dtype='bfloat16'"):
            theirs.load_state_dict(saved)
    with pytest.raises(ValueError, match="noise"):
        opt.load_state_dict({**saved, "noise": {**saved["noise"], "version": 2}})
    with pytest.raises(ValueError, match="slot 'v'"):
        opt.load_state_dict({**saved, "state": {**saved["state"], "v": np.zeros(300, np.float32)}})
    assert everything(opt, p) == before
    opt.load_state_dict({**saved, "noise": {**saved["noise"], "seed": 7}})
    opt.step(np.ones(300, np.float32))
    assert opt.state_dict()["noise"]["seed"] == 7


def test_where_a_user_writes_to_a_parameter_that_counts(backend):
    for parameter in ("split", "float16"):
        p = as_form(np.full(300, 0.1, np.float32), parameter)
        opt = fo.Optimizer(p, fo.SGD(lr=1e-6), backend=backend)
        opt.step(as_form(np.ones(300, np.float32), parameter))
        p[...] = as_form(np.full(300, 0.75, np.float32), parameter)
        opt.step(as_form(np.zeros(300, np.float32), parameter))
        np.testing.assert_allclose(rounding.as_float32(p), 0.75)


def test_the_master_gathers_steps_that_the_parameter_does_not_show(backend):
    """A thousand steps of 1e-5 from 1: each is lost in 8 bits after the point, and in 11, but not together."""
    for parameter in ("split", "float16"):
        p = as_form(np.ones(1, np.float32), parameter)
        opt = fo.Optimizer(p, fo.SGD(lr=1e-5), backend=backend)
        g = as_form(np.ones(1, np.float32), parameter)
        for _ in range(1000):
            opt.step(g)
        np.testing.assert_allclose(rounding.as_float32(p), 0.99, rtol=2**-8)
        assert rounding.as_float32(p)[0] != 1


def test_forms_and_layouts_of_arrays(backend):
    """Dicts of mixed dtypes, matrices in either order, strided arrays, empty ones: as one array each."""
    rng = np.random.default_rng(2)
    flat = four_decades(rng, 600)

    def made(name):
        x = as_form(flat, "split")
        return {"c": x.reshape(20, 30), "f": x.reshape(20, 30, order="F"), "s": np.repeat(x, 2)[::2]}[name]

    params = {name: made(name) for name in "cfs"}
    params |= {"single": flat.copy(), "double": flat.astype(float), "half": flat.astype(np.float16),
               "none": as_form(flat[:0], "split")}  # fmt: skip
    grads = {name: p.copy() for name, p in params.items()}
    opt = fo.Optimizer(params, fo.AdamW(lr=0.1), backend=backend)
    opt.step(grads)
    want = as_form(flat, "split")
    fo.Optimizer(want, fo.AdamW(lr=0.1), backend=backend).step(want.copy())
    assert bits(params["c"].reshape(-1)) == bits(params["f"].reshape(-1, order="F")) == bits(want)
    assert bits(params["s"]) == bits(want)
    assert opt.state["none"]["m"].shape == (0,)


def test_ml_dtypes_arrays(backend):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.linspace(-1, 1, 500, dtype=np.float32)
    p, q = x.astype(ml_dtypes.bfloat16), as_form(x, "split")
    opt = fo.Optimizer(p, fo.AdamW(), state_dtype="bfloat16", backend=backend)
    fo.Optimizer(q, fo.AdamW(), state_dtype="bfloat16", backend=backend).step(q.copy())
    opt.step(as_form(x, "split"))  # a gradient with the other name for the same numbers
    assert p.view(np.uint16).tolist() == q.view(np.uint16).tolist()
    opt.step(p.copy())
    with pytest.raises(TypeError, match="grads is float32, its parameter bfloat16"):
        opt.step(x)


def test_torch_tensors(backend):
    torch = pytest.importorskip("torch")
    x = torch.linspace(-1, 1, 500)
    p = x.to(torch.bfloat16)
    q = arrays.bfloat16_view(p.clone().view(torch.int16).numpy())
    opt = fo.Optimizer(p, fo.AdamW(lr=0.1), state_dtype="float8", backend=backend)
    other = fo.Optimizer(q, fo.AdamW(lr=0.1), state_dtype="float8", backend=backend)
    for _ in range(3):
        g = p.clone()
        opt.step(g)
        other.step(arrays.bfloat16_view(g.view(torch.int16).numpy()))
    assert p.view(torch.int16).numpy().tolist() == q.view(np.int16).tolist()


@pytest.mark.parametrize(
    "p, rule, state, error, text",
    [
        (np.ones(3), fo.Adam(), "bfloat16", TypeError, "float64: state_dtype='bfloat16' is for float32"),
        (np.ones(3, "f4"), fo.Adam(), "bf16", ValueError, "state_dtype must be None or one of float32, bfloat16"),
        (np.ones(3, "f4"), fo.Adam(), np.float16, ValueError, "state_dtype must be"),
        (np.ones(3, "f4"), fo.Adam(), "bfloat16-no-master", TypeError, "write 'bfloat16'"),
        (np.ones(3, "f2"), fo.Adam(), "float8-no-master", TypeError, "write 'float8'"),
        (np.ones(3, "f4"), fo.AdaGrad(), "bfloat16", ValueError, "AdaGrad says not how its slots"),
        (np.ones((3, 3), "f2"), fo.Muon(), None, TypeError, "Muon looks at whole arrays"),
        (np.ones(3, "f2"), fo.LAMB(), None, TypeError, "LAMB looks at whole arrays"),
        (np.ones(3, "f2"), fo.SAM(fo.SGD()), None, TypeError, "float16: SAM climbs float32"),
        (np.ones(3, ">f2"), fo.SGD(), None, TypeError, "must be float32 or float64|byte order"),
        (np.ones(3, "i2"), fo.SGD(), None, TypeError, "must be float32 or float64"),
    ],
)  # fmt: skip
def test_refusals(p, rule, state, error, text):
    before = p.copy()
    with pytest.raises(error, match=text):
        fo.Optimizer(p, rule, state_dtype=state)
    assert (p == before).all()


# ---- training ----


def accuracy_on_digits(parameter, state, backend):
    """Softmax on the digits, 200 steps of AdamW: the share of all rows that are right, by the parameter itself."""
    digits = load("digits")
    X, y = digits.x_train.astype(np.float32) * np.float32(digits.scale), digits.y_train
    W = as_form(np.zeros((10, X.shape[1]), np.float32), parameter)
    b = as_form(np.zeros(10, np.float32), parameter)
    opt = fo.Optimizer([W, b], fo.AdamW(lr=0.02), state_dtype=state, backend=backend)
    for _ in range(200):
        W32, b32 = rounding.as_float32(W), rounding.as_float32(b)
        _, dW, db = fo.value_and_grad(fo.Softmax(), W32, X, y, b32)
        opt.step([as_form(dW, parameter), as_form(db, parameter)])
    scores = X @ rounding.as_float32(W).T + rounding.as_float32(b)
    return float(np.mean(scores.argmax(axis=1) == y))


@pytest.mark.parametrize("parameter, state", [FORMS[1], FORMS[3], FORMS[4], FORMS[7]])
def test_training_ends_where_float32_does(parameter, state):
    plain = accuracy_on_digits("float32", None, "auto")
    assert plain > 0.97
    assert abs(accuracy_on_digits(parameter, state, "auto") - plain) <= 0.002


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("parameter", ["float32", "split", "float16"])
def test_micro_batches_scales_and_files(backend, parameter, order, tmp_path):
    """maximize, loss_scale and accumulate on 16 bits, with a file and a pickle amid the micro-batches."""
    x = np.linspace(-1, 1, 600, dtype=np.float32)

    def made(k):
        flat = as_form(x * np.float32(k), parameter)
        return flat.reshape((20, 30), order=order)

    p, q = made(1), made(1)
    options = {"state_dtype": "float8", "backend": backend}
    opt = fo.Optimizer(p, fo.AdamW(lr=0.1), accumulate=2, maximize=True, loss_scale=8.0, **options)
    plain = fo.Optimizer(q, fo.AdamW(lr=0.1), **options)
    opt.step(made(-8))
    opt.save(tmp_path / "opt")
    others = fo.Optimizer.load(tmp_path / "opt", backend=backend), pickle.loads(pickle.dumps(opt))
    for each in (opt, *others):
        if each.loss_scale is None:
            pytest.fail("the factor of the loss was lost")
        for k in (-8, -4, -4):
            each.step(made(k))
    plain.step(made(1))
    plain.step(made(0.5))
    assert all(each.t == 2 and bits(each.params) == bits(p) for each in others)
    assert everything(opt, p) == everything(plain, q)


def test_codes_of_another_order_of_memory_are_refused():
    """A block is a stretch of memory: in another order its base would belong to other elements."""
    x = np.linspace(-1, 1, 600, dtype=np.float32).reshape(20, 30)
    ours = fo.Optimizer(x.copy(), fo.AdamW(), state_dtype="float8")
    theirs = fo.Optimizer(np.asfortranarray(x), fo.AdamW(), state_dtype="float8")
    theirs.step(x.copy())
    with pytest.raises(ValueError, match="in the order"):
        ours.load_state_dict(theirs.state_dict())
    assert ours.t == 0
