"""Writes docs/parity.md: every rule beside the naive references of tests/, torch.optim, optax and Keras' published formulas.

Run from anywhere, with torch and optax installed: python scripts/parity.py [--check]. tests/test_parity.py holds the page to it.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parity.md"
sys.path.append(str(ROOT / "tests"))

STEPS, SHAPE = 50, (8, 8)
NEVER = "1e-300"  # an eps that nobody sees: where it stands makes no difference then
# What is compared: the rule here, and the same in each of the three. All of it is code that is run.
RULES = [  # (rule, torch, optax, Keras)
    ("SGD()", "SGD()", "sgd(0.01)", "sgd()"),
    ("SGD(weight_decay=0.1)", "SGD(weight_decay=0.1)", "chain(add_decayed_weights(0.1), sgd(0.01))", None),
    ("SGDW(weight_decay=0.1)", None, "chain(add_decayed_weights(0.1), sgd(0.01))", "sgd(weight_decay=0.1)"),
    ("Momentum(weight_decay=0.1)", "SGD(momentum=0.9, weight_decay=0.1)", "chain(add_decayed_weights(0.1), sgd(0.01, momentum=0.9))", None),
    ("Momentum(dampening=0.5, undamped_start=True)", "SGD(momentum=0.9, dampening=0.5)", None, None),
    ("Momentum(dampening=0.9)", None, "chain(ema(0.9, debias=False), scale(-0.01))", None),
    ("MomentumW(weight_decay=0.1)", None, "chain(trace(0.9), add_decayed_weights(0.1), scale(-0.01))", None),
    ("ClassicalMomentum()", None, "chain(scale(-0.01), trace(0.9))", "sgd(momentum=0.9)"),
    ("Nesterov()", "SGD(momentum=0.9, nesterov=True)", "sgd(0.01, momentum=0.9, nesterov=True)", "sgd(momentum=0.9, nesterov=True)"),
    (f"AdaGrad(initial_accumulator_value=0.1, eps={NEVER})", f"Adagrad(initial_accumulator_value=0.1, eps={NEVER})", f"adagrad(0.01, 0.1, eps={NEVER})", f"adagrad(epsilon={NEVER})"),
    ("AdaGrad(eps=1e-3, weight_decay=0.1)", "Adagrad(eps=1e-3, weight_decay=0.1)", None, None),
    ("RMSProp()", "RMSprop(alpha=0.9)", "rmsprop(0.01, eps_in_sqrt=False)", None),
    (f"RMSProp(eps={NEVER})", "", f"rmsprop(0.01, eps={NEVER})", f"rmsprop(epsilon={NEVER})"),
    ("CenteredRMSProp(weight_decay=0.1)", "RMSprop(alpha=0.9, centered=True, weight_decay=0.1)", "chain(add_decayed_weights(0.1), rmsprop(0.01, eps_in_sqrt=False, centered=True))", None),
    (f"CenteredRMSProp(eps={NEVER})", "", f"rmsprop(0.01, eps={NEVER}, centered=True)", f"rmsprop(epsilon={NEVER}, centered=True)"),
    ("RMSPropMomentum()", "RMSprop(alpha=0.9, momentum=0.9)", "rmsprop(0.01, eps_in_sqrt=False, momentum=0.9)", None),
    (f"RMSPropMomentum(eps={NEVER})", "", "", f"rmsprop(momentum=0.9, epsilon={NEVER})"),
    ("CenteredRMSPropMomentum()", "RMSprop(alpha=0.9, momentum=0.9, centered=True)", "rmsprop(0.01, eps_in_sqrt=False, momentum=0.9, centered=True)", None),
    (f"CenteredRMSPropMomentum(eps={NEVER})", "", "", f"rmsprop(momentum=0.9, epsilon={NEVER}, centered=True)"),
    ("Adam(weight_decay=0.1)", "Adam(weight_decay=0.1)", "chain(add_decayed_weights(0.1), adam(0.01))", None),
    (f"Adam(eps={NEVER})", "", "", f"adam(epsilon={NEVER})"),
    ("AdamW(weight_decay=0.1)", "AdamW(weight_decay=0.1)", "adamw(0.01, weight_decay=0.1)", None),
    (f"AdamW(weight_decay=0.1, eps={NEVER})", "", "", f"adam(weight_decay=0.1, epsilon={NEVER})"),
    ("AMSGrad(weight_decay=0.1)", "Adam(amsgrad=True, weight_decay=0.1)", None, None),
    (f"AMSGrad(eps={NEVER})", "", None, f"adam(amsgrad=True, epsilon={NEVER})"),
    ("AMSGradW(weight_decay=0.1)", "AdamW(amsgrad=True, weight_decay=0.1)", None, None),
    (f"AMSGradW(weight_decay=0.1, eps={NEVER})", "", None, f"adam(amsgrad=True, weight_decay=0.1, epsilon={NEVER})"),
    ("AdaDelta(weight_decay=0.1)", "Adadelta(rho=0.95, weight_decay=0.1)", "chain(add_decayed_weights(0.1), adadelta(0.01, rho=0.95))", None),
    ("AdaDelta(eps=1e-7)", "", "", "adadelta()"),
    ("Adamax(weight_decay=0.1)", "Adamax(weight_decay=0.1)", "chain(add_decayed_weights(0.1), adamax(0.01))", None),
    (f"Adamax(eps={NEVER})", "", "", f"adamax(epsilon={NEVER})"),
    ("NAdam(weight_decay=0.1)", "NAdam(weight_decay=0.1)", None, None),
    ("NAdam(momentum_decay=1.0)", "", None, "nadam(epsilon=1e-8)"),
    ("NAdam(momentum_decay=1e9)", "", "nadam(0.01)", None),
    ("NAdamW(weight_decay=0.1)", "NAdam(decoupled_weight_decay=True, weight_decay=0.1)", None, None),
    ("NAdamW(weight_decay=0.1, momentum_decay=1.0)", "", None, "nadam(epsilon=1e-8, weight_decay=0.1)"),
    ("NAdamW(weight_decay=0.1, momentum_decay=1e9)", "", "nadamw(0.01, weight_decay=0.1)", None),
    ("RAdam(weight_decay=0.1)", "RAdam(weight_decay=0.1)", None, None),
    (f"RAdam(eps={NEVER})", "", f"radam(0.01, eps={NEVER})", None),
    ("RAdamW(weight_decay=0.1)", "RAdam(decoupled_weight_decay=True, weight_decay=0.1)", None, None),
    (f"RAdamW(weight_decay=0.1, eps={NEVER})", "", f"chain(scale_by_radam(eps={NEVER}), add_decayed_weights(0.1), scale(-0.01))", None),
    ("AdEMAMix(weight_decay=0.1)", None, "contrib.ademamix(0.01, weight_decay=0.1)", None),
    ("Lion(weight_decay=0.1)", None, "lion(0.01, weight_decay=0.1)", "lion(weight_decay=0.1)"),
    ("Rprop()", "Rprop()", None, None),
    ("ASGD(t0=5.0, weight_decay=0.1)", "ASGD(t0=5, weight_decay=0.1)", None, None),
    ("ScheduleFreeSGD()", None, "contrib.schedule_free_sgd(0.01)", None),
    ("ScheduleFreeAdamW(weight_decay=0.1)", None, "contrib.schedule_free_adamw(0.01, weight_decay=0.1)", None),
    ("LARS()", None, "lars(0.01)", None),
    ("LAMB(weight_decay=0.1)", None, "lamb(0.01, weight_decay=0.1)", None),
    ("LAMB()", None, "lamb(0.01)", "lamb(epsilon=1e-6)"),
    ("PlainAdafactor()", None, None, None),
    ("Adafactor()", "Adafactor(eps=(1e-30, 1e-3))", None, "adafactor()"),
    ("Adafactor(weight_decay=0.1, decay_by_lr=True)", "Adafactor(eps=(1e-30, 1e-3), weight_decay=0.1)", None, None),
    ("Adafactor(relative=False)", None, "adafactor(0.01, min_dim_size_to_factor=2, multiply_by_parameter_scale=False)", None),
    ("Muon()", None, None, None),
    ("Lookahead(Adam())", None, "lookahead(adam(0.01), 6, 0.5)", None),
    ("Cautious(AdamW(weight_decay=0.1))", None, None, None),
    ("ScheduleFree(SGD())", None, "contrib.schedule_free(sgd(0.01), 0.01, b1=0.9)", None),
    ("ScheduleFree(Adam(), 0.7)", None, "contrib.schedule_free(adam(0.01), 0.01, b1=0.7)", None),
]  # fmt: skip
DIFFERENT = {  # on purpose
    "SGD": "optax' and Keras' own decay is decoupled: SGDW",
    "Momentum": "torch leaves the dampening out of the first step, optax has none. Keras has lr inside the velocity: ClassicalMomentum",
    "ClassicalMomentum": "torch and optax' sgd have lr outside: Momentum",
    "Nesterov": "Keras has lr inside the velocity: another path when lr changes",
    "AdaGrad": "optax and Keras have eps inside the root; torch's lr_decay is schedules.InverseTime",
    "RMSProp": "Keras has eps inside the root, optax by default",
    "CenteredRMSProp": "a variance that rounds below 0 counts as 0; their root is NaN then. Keras has eps inside the root, optax by default",
    "CenteredRMSPropMomentum": "as CenteredRMSProp",
    "RMSPropMomentum": "optax and Keras have lr inside the buffer (another path when lr changes), Keras eps inside the root, optax by default",
    "Adam": "Keras' eps is the paper's eps-hat: before the correction of v",
    "AdamW": "as Adam",
    "AMSGrad": "optax takes the maximum of the corrected v; Keras' eps as Adam's",
    "AMSGradW": "as AMSGrad",
    "AdaDelta": "optax's rho is 0.9, Keras' lr 0.001 and eps 1e-7 by default",
    "Adamax": "Keras adds eps in the division",
    "NAdam": "optax keeps mu at beta1 (momentum_decay=1e9), Keras has momentum_decay=1, torch 0.004",
    "NAdamW": "as NAdam",
    "RAdam": "the paper's threshold is 4, all have 5; optax adds eps to the corrected root. optax' rho_t is a difference of float32 numbers unless JAX counts in float64: in the first steps its r is some per cent off",
    "RAdamW": "as RAdam",
    "AdEMAMix": "the authors' code has alpha = 2 and two warm-ups",
    "Rprop": "the paper of 1993 also takes the last step back; optax 0.2.8 gives at each step the update of the step before",
    "Lion": "weight_decay is 1e-3 in optax",
    "LARS": "optax has |g + weight_decay*p| in the place of |g| + weight_decay*|p|: equal without decay",
    "LAMB": "Keras' decay is outside the ratio",
    "PlainAdafactor": "the lectures' form; none of the three has it",
    "Adafactor": "torch holds V above eps1^2 instead of adding eps1; decay: torch and Keras by lr, optax as it is, here by the step a_t unless decay_by_lr=True; optax factors from 128 x 128 on and takes its decay rate in float32",
    "Muon": "torch averages the momentum (the same direction), counts in bfloat16 (1 % off) and takes matrices only; optax corrects the bias of the two parts of Nesterov's momentum apart",
    "Cautious": "optax.contrib.cautious masks the decay too",
    "ScheduleFree": "optax weighs the mean by the largest lr so far, squared: equal at a constant rate",
}  # fmt: skip


def gradients(dtype):
    rng = np.random.default_rng(3)
    decades = 10.0 ** rng.uniform(-2, 2, (STEPS, *SHAPE))
    return (rng.standard_normal((STEPS, *SHAPE)) * decades).astype(dtype)


def start(dtype):
    return np.random.default_rng(4).standard_normal(SHAPE).astype(dtype)


def rule_of(text):
    """The rule of such a line, with lr = 0.01."""
    import fastopt as fo

    names = {name: getattr(fo, name) for name in ("Lookahead", "Cautious", "ScheduleFree")}
    for cls in (*fo.rules.RULES, *fo.rules.FURTHER):
        names[cls.__name__] = lambda cls=cls, **fields: cls(**{"lr": 0.01, **fields})
    return eval(text, names)


def ours(rule, dtype):
    import fastopt as fo

    p = start(dtype)
    opt = fo.Optimizer(p, rule, backend="numpy")
    for g in gradients(dtype):
        opt.step(g)
    return p


def naively(text, rule):
    """By the references of tests/; which of its files has the rule."""
    import naive
    import naive_matrix_rules
    import naive_rules
    import naive_wide
    import naive_wrappers

    p, name, fields = start("f8"), text.partition("(")[0], rule._asdict()
    if name in naive.RULES:
        step, state = naive.RULES[name][0], naive.initial(name, SHAPE, **fields)
        for t, g in enumerate(gradients("f8"), 1):
            p, state = step(p, g, state, t, **fields)
        return p
    if name == "ScheduleFree":
        return _schedule_free_around(naive, text.partition("(")[2].partition("(")[0], fields, p)
    if name.startswith("ScheduleFree"):
        return _schedule_free(naive_wide, name, fields, p)
    if name == "Adafactor":
        relative = {"relative_step": rule.relative, "scale_parameter": rule.relative}
        reference = naive_matrix_rules.Adafactor(lr=rule.lr, weight_decay=rule.weight_decay, **relative)
    elif name == "Lookahead":
        reference = naive_wrappers.Lookahead(_NaiveAdam(rule.lr), k=6, alpha=0.5)
    elif name == "Cautious":
        reference = naive_rules.CautiousAdam(lr=rule.lr, weight_decay=rule.weight_decay)
    else:
        step = getattr(naive_wide, {"PlainAdafactor": "plain_adafactor"}.get(name, name.lower()))
        known = {k: v for k, v in fields.items() if k in step.__kwdefaults__}
        state = {"v": 0.0, "m": 0.0, "u": 0.0, "n": 0.0, "r": np.zeros(SHAPE[0]), "c": np.zeros(SHAPE[1])}
        for t, g in enumerate(gradients("f8"), 1):
            p, state = step(p, g, state, t, **known)
        return p
    for g in gradients("f8"):
        p = reference.step(p, g)
    return p


class _NaiveAdam:
    def __init__(self, lr):
        import naive

        self.function, self.state = naive.RULES["Adam"][0], naive.initial("Adam", SHAPE)
        self.lr, self.t = lr, 0

    def step(self, p, g):
        self.t += 1
        p, self.state = self.function(p, g, self.state, self.t, lr=self.lr)
        return p


def _schedule_free(naive_wide, name, fields, p):
    v = np.zeros(SHAPE)

    def adam(g, t):
        v[...] = fields["beta2"] * v + (1 - fields["beta2"]) * g**2
        return g / (np.sqrt(v / (1 - fields["beta2"] ** t)) + fields["eps"])

    direction = adam if name.endswith("AdamW") else lambda g, t: g
    momentum = fields.get("momentum", fields.get("beta1"))
    run = naive_wide.ScheduleFree(p, direction, fields["lr"], momentum, fields["weight_decay"])
    for t, g in enumerate(gradients("f8"), 1):
        run.step(g, t)
    return run.y()


def _schedule_free_around(naive, base, fields, z):
    """z takes the base's steps, x is their mean, y = (1-momentum)*z + momentum*x."""
    step, state = naive.RULES[base][0], naive.initial(base, SHAPE)
    x, momentum = 0.0, fields["free_momentum"]
    for t, g in enumerate(gradients("f8"), 1):
        z, state = step(z, g, state, t, lr=fields["lr"])
        x = x + (z - x) / t
    return (1 - momentum) * z + momentum * x


def in_torch(text, dtype):
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which torch keeps NAdam's product
    try:
        w = torch.tensor(start(dtype), requires_grad=True)
        name, arguments = text.split("(", 1)
        opt = eval(f"optimizer([w], lr=0.01, {arguments}", {"w": w, "optimizer": getattr(torch.optim, name)})
        for g in gradients(dtype):
            w.grad = torch.tensor(g)
            opt.step()
    finally:
        torch.set_default_dtype(before)
    return w.detach().numpy()


def in_optax(text, dtype):
    import jax
    import optax
    import optax.contrib

    with jax.enable_x64(True):
        p, fast = jax.numpy.asarray(start(dtype)), lambda p: p
        transformation = eval(text, vars(optax) | {"contrib": optax.contrib})
        if text.startswith("lookahead"):
            p, fast = optax.LookaheadParams.init_synced(p), lambda p: p.fast
        state = transformation.init(p)
        update = jax.jit(transformation.update)
        for g in gradients(dtype):
            updates, state = update(jax.numpy.asarray(g), state, p)
            p = optax.apply_updates(p, updates)
        return np.asarray(fast(p))


def in_keras(text):
    import naive_keras

    name, arguments = text.split("(", 1)
    step, w, s = getattr(naive_keras, name), start("f8"), {}
    hyper = eval(f"dict(lr=0.01, {arguments}")
    for t, g in enumerate(gradients("f8"), 1):
        w = step(w, g, s, t, **hyper)
    return w


def apart(a, b):
    """The largest difference in units of the last place of the larger number, or of 0.001 where both are smaller."""
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-3).astype(a.dtype)
    return float((np.abs(a - b) / np.spacing(size)).max())


def rows(peers=("torch", "optax")):
    """(rule, ulp to the naive reference, torch in float64, in float32, optax, Keras, the three's settings) of each line."""
    found = []
    for text, torch, optax, keras in RULES:
        rule = rule_of(text)
        here = {dtype: ours(rule, dtype) for dtype in ("f8", "f4")}
        line = [apart(here["f8"], naively(text, rule)), None, None, None, None]
        if torch and "torch" in peers:
            line[1:3] = [apart(here[t], in_torch(torch, t)) for t in ("f8", "f4")]
        if optax and "optax" in peers:
            line[3] = apart(here["f8"], in_optax(optax, "f8"))
        if keras:
            line[4] = apart(here["f8"], in_keras(keras))
        found.append([text, *line, torch, optax, keras])
    return found


def rounded(ulp):
    """Up to the next power of two: what other machines' rounding does not change."""
    return "-" if ulp is None else "0" if ulp == 0 else f"< {2 ** int(np.ceil(np.log2(max(ulp, 1)) + 0.5))}"


def page(peers=("torch", "optax")):
    text = f"""# Parity

Written by `scripts/parity.py`. Every rule over {STEPS} steps of 8 x 8 numbers, gradients of four decades, lr = 0.01 (on all sides, where
it is not written): the largest difference of a parameter at the end, in units of its last place. Naive is the reference of `tests/`,
written from the papers; Keras the formulas that it publishes, in NumPy (`tests/naive_keras.py`). float64, but for torch's second column.
The rule stands there with the settings that make it equal to those of the same line in the second table. SAM is held to its reference in
`tests/test_wide_rules.py`; Averaged is a mean of what stands here.

| rule | naive | torch | torch, float32 | optax | Keras |
|---|---|---|---|---|---|
"""
    found = rows(peers)
    for rule, *numbers, _, _, _ in found:
        text += f"| `{rule}` | {' | '.join(map(rounded, numbers))} |\n"
    text += """
## Settings

| rule | torch.optim | optax | Keras |
|---|---|---|---|
"""
    for rule, *_, torch, optax, keras in found:
        if torch or optax or keras:
            text += f"| `{rule}` | {' | '.join(f'`{c}`' if c else '' for c in (torch, optax, keras))} |\n"
    text += "\n## Different on purpose\n\n"
    return text + "".join(f"- {name}: {why}.\n" for name, why in DIFFERENT.items())


if __name__ == "__main__":
    written = page()
    if "--check" in sys.argv:
        sys.exit(written != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(written, encoding="utf-8")
