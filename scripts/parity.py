"""Writes docs/parity.md: every rule beside the naive references of tests/ and beside torch.optim, in units of the last place.

Run from anywhere, with torch installed: python scripts/parity.py [--check]. tests/test_parity.py holds the page to it.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "parity.md"
sys.path.append(str(ROOT / "tests"))

STEPS, SIZE = 50, 64
TORCH = {  # rule -> (fields set, torch's name, torch's arguments), lr = 0.01 and weight_decay = 0.1 on both sides
    "SGD": ({}, "SGD", {}),
    "Momentum": ({"dampening": 0.5, "undamped_start": True}, "SGD", {"momentum": 0.9, "dampening": 0.5}),
    "Nesterov": ({}, "SGD", {"momentum": 0.9, "nesterov": True}),
    "AdaGrad": ({"initial_accumulator_value": 0.1}, "Adagrad", {"initial_accumulator_value": 0.1}),
    "RMSProp": ({}, "RMSprop", {"alpha": 0.9}),
    "CenteredRMSProp": ({}, "RMSprop", {"alpha": 0.9, "centered": True}),
    "RMSPropMomentum": ({}, "RMSprop", {"alpha": 0.9, "momentum": 0.9}),
    "CenteredRMSPropMomentum": ({}, "RMSprop", {"alpha": 0.9, "momentum": 0.9, "centered": True}),
    "Adam": ({}, "Adam", {}),
    "AdamW": ({}, "AdamW", {}),
    "AMSGrad": ({}, "Adam", {"amsgrad": True}),
    "AMSGradW": ({}, "AdamW", {"amsgrad": True}),
    "AdaDelta": ({}, "Adadelta", {"rho": 0.95}),
    "Adamax": ({}, "Adamax", {}),
    "NAdam": ({}, "NAdam", {}),
    "NAdamW": ({}, "NAdam", {"decoupled_weight_decay": True}),
    "RAdam": ({}, "RAdam", {}),
    "RAdamW": ({}, "RAdam", {"decoupled_weight_decay": True}),
    "Rprop": ({}, "Rprop", {}),
    "ASGD": ({"t0": 5.0}, "ASGD", {"t0": 5}),
}
DIFFERENT = {  # on purpose
    "Momentum": "torch leaves the dampening out of the first step: undamped_start=True. Keras has lr inside the velocity: ClassicalMomentum",
    "ClassicalMomentum": "as Keras' SGD(momentum); torch and optax have lr outside: Momentum",
    "Nesterov": "Keras has lr inside the velocity, another path when lr changes",
    "AdaGrad": "optax and Keras have eps inside the root; torch's lr_decay is schedules.InverseTime",
    "RMSProp": "Keras has eps inside the root, optax by default (eps_in_sqrt=False is this)",
    "CenteredRMSProp": "a variance that rounds below 0 counts as 0; torch's root is NaN then",
    "CenteredRMSPropMomentum": "as CenteredRMSProp",
    "RMSPropMomentum": "Keras has lr inside the buffer and eps inside the root",
    "Adam": "Keras' eps is the paper's eps-hat: before the correction of v",
    "AMSGrad": "optax takes the maximum of the corrected v",
    "AdaDelta": "optax's rho is 0.9 and Keras' lr 0.001 by default",
    "Adamax": "Keras adds eps in the division",
    "NAdam": "optax keeps mu at beta1: momentum_decay=1e9; Keras has momentum_decay=1",
    "RAdam": "the paper's threshold is 4; optax adds eps to the corrected root",
    "AdEMAMix": "the authors' code has alpha = 2 and two warm-ups",
    "Rprop": "the paper of 1993 also takes the last step back",
    "Lion": "torch has none; weight_decay is 1e-3 in optax",
}


def gradients(dtype):
    rng = np.random.default_rng(3)
    return [
        (rng.standard_normal(SIZE) * 10.0 ** rng.uniform(-2, 2, SIZE)).astype(dtype) for _ in range(STEPS)
    ]


def start(dtype):
    return np.random.default_rng(4).standard_normal(SIZE).astype(dtype)


def rule_of(cls, fields=()):
    known = {"lr": 0.01, "weight_decay": 0.1, **dict(fields)}
    return cls(**{f: v for f, v in known.items() if f in cls._fields})


def ours(rule, dtype):
    import fastopt as fo

    p = start(dtype)
    opt = fo.Optimizer(p, rule, backend="numpy")
    for g in gradients(dtype):
        opt.step(g)
    return p


def naively(rule):
    import naive

    name, hyper = type(rule).__name__, rule._asdict()
    step, _ = naive.RULES[name]
    p, state = start("f8"), naive.initial(name, SIZE, **hyper)
    for t, g in enumerate(gradients("f8"), 1):
        p, state = step(p, g, state, t, **hyper)
    return p


def in_torch(rule, name, options, dtype):
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which torch keeps NAdam's product
    try:
        w = torch.tensor(start(dtype), requires_grad=True)
        options = {"lr": rule.lr, **options}
        if "weight_decay" in rule._fields:
            options["weight_decay"] = rule.weight_decay
        opt = getattr(torch.optim, name)([w], **options)
        for g in gradients(dtype):
            w.grad = torch.tensor(g)
            opt.step()
    finally:
        torch.set_default_dtype(before)
    return w.detach().numpy()


def apart(a, b):
    """The largest difference in units of the last place of the larger number, or of 0.001 where both are smaller."""
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), 1e-3).astype(a.dtype)
    return float((np.abs(a - b) / np.spacing(size)).max())


def rows():
    """(rule, ulp to the naive reference, ulp to torch in float64, in float32, settings) of every element-wise rule."""
    from fastopt import rules

    found = []
    for cls in rules.RULES:
        name = cls.__name__
        fields, theirs, options = TORCH.get(name, ({}, None, {}))
        rule = rule_of(cls, fields)
        line = [name, apart(ours(rule, "f8"), naively(rule)), None, None, ""]
        if theirs:
            line[2:4] = [apart(ours(rule, t), in_torch(rule, theirs, options, t)) for t in ("f8", "f4")]
            arguments = ", ".join(f"{k}={v}" for k, v in options.items())
            line[4] = f"`{theirs}({arguments})`" + (f" = `{name}({', '.join(f'{k}={v}' for k, v in fields.items())})`" if fields else "")  # fmt: skip
        found.append(line)
    return found


def rounded(ulp):
    """Up to the next power of two: what other machines' rounding does not change."""
    return "-" if ulp is None else "0" if ulp == 0 else f"< {2 ** int(np.ceil(np.log2(max(ulp, 1)) + 0.5))}"


def page():
    text = f"""# Parity

Written by `scripts/parity.py`. Every element-wise rule over {STEPS} steps of {SIZE} numbers, gradients of four decades, lr = 0.01,
weight_decay = 0.1: the largest difference of a parameter at the end, in units of its last place. Naive is the reference of `tests/`, written
from the papers in float64. Rules by norms and matrices, Cautious and SAM are held to theirs in `tests/test_wide_rules.py` and
`tests/test_cautious.py`. optax and Keras are named where they differ; they were not run for this page.

| rule | naive, float64 | torch, float64 | torch, float32 | torch's settings | different on purpose |
|---|---|---|---|---|---|
"""
    for name, naive, wide, narrow, settings in rows():
        numbers = " | ".join(rounded(v) for v in (naive, wide, narrow))
        text += f"| {name} | {numbers} | {settings} | {DIFFERENT.get(name, '')} |\n"
    return text


if __name__ == "__main__":
    written = page()
    if "--check" in sys.argv:
        sys.exit(written != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(written, encoding="utf-8")
