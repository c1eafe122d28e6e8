"""A third copy of parameters and state of few bits: one element at a time, in exact integers, from the description.

Nothing here is imported from the package. Numbers are kept as Python's integers and fractions; the arithmetic of a rule is
NumPy's float32, one operation after the other.
"""

import math
from fractions import Fraction

import numpy as np

F = np.float32
BLOCK = 256
MASK = 2**32 - 1


def f32(pattern):
    return np.array([pattern & MASK], np.uint32).view(F)[0]


def pattern(x):
    return int(np.array([x], F).view(np.uint32)[0])


# ---- noise ----


def mixed(*words):
    """splitmix64 over the words, the lower 32 bits."""
    state = 0
    for word in words:
        state = ((state ^ word) + 0x9E3779B97F4A7C15) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state = state ^ (state >> 31)
    return state % 2**32


def word(seed, array, which, step, i):
    key = (mixed(seed, array, which) + step * 0xC2B2AE35) % 2**32
    key = (key ^ (key >> 16)) * 0x21F0AAAD % 2**32
    key = (key ^ (key >> 15)) * 0xD35A2D97 % 2**32
    key = key ^ (key >> 15)
    return (i * 0x9E3779B1 + key) % 2**32


# ---- codes ----


def rounded_up_by(bits, cut_bits, noise):
    """The bits without their last ones, one more where the noise carries; never beyond the largest finite number."""
    sign, size = bits & 0x80000000, bits & 0x7FFFFFFF
    if size > 0x7F7FFFFF:  # inf, NaN
        return sign, size >> cut_bits
    return sign, min((size + noise) >> cut_bits, 0x7F7FFFFF >> cut_bits)


def bf16(x, noise):
    sign, code = rounded_up_by(pattern(x), 16, noise)
    return sign >> 16 | code


def bf16_value(code):
    return f32(code << 16)


def nearest_bf16(x):
    """Nearest, halves away from zero, by fractions."""
    bits = pattern(x)
    sign, size = bits & 0x80000000, bits & 0x7FFFFFFF
    low, rest = divmod(size, 2**16)
    code = low + (Fraction(rest, 2**16) >= Fraction(1, 2))
    return sign >> 16 | code


def remainder(x):
    difference = pattern(x) - (nearest_bf16(x) << 16)
    return (difference + 2**31) % 2**32 - 2**31


def master(code, low):
    return f32((code << 16) + low)


def eight(values, noises, signed):
    """(codes, base) of one block."""
    sizes = [pattern(x) & 0x7FFFFFFF for x in values]
    last = 127 if signed else 255
    base = max(0, math.ceil(Fraction(max(sizes), 2**20)) - last)
    codes = []
    for x, noise in zip(values, noises, strict=True):
        sign, code = rounded_up_by(pattern(x), 20, noise)
        code = max(0, code - base)
        codes.append(code + (128 if signed and sign else 0))
    return codes, base


def eight_value(code, base, signed):
    if not signed:
        return f32((code + base) << 20)
    size = code % 128
    number = f32((size + base) << 20) if size else F(0)
    return -number if code >= 128 else number


# ---- rules: k as the package's coefficients name them, in float32 ----


def adamw(k, p, g, s):
    m, v = s
    m = F(F(k["beta1"] * m) + F(k["share1"] * g))
    v = F(F(k["beta2"] * v) + F(F(k["share2"] * g) * g))
    d = F(F(np.sqrt(v) * k["root"]) + k["eps"])
    return F(F(k["keep"] * p) - F(F(k["lr"] * m) / d)), (m, v)


def adamw_numbers(t, lr, beta1, beta2, eps, weight_decay):
    numbers = {
        "lr": lr / (1 - beta1**t), "root": 1 / math.sqrt(1 - beta2**t), "beta1": beta1, "share1": 1 - beta1,
        "beta2": beta2, "share2": 1 - beta2, "eps": eps, "keep": 1 - lr * weight_decay,
    }  # fmt: skip
    return {name: F(x) for name, x in numbers.items()}


def lion(k, p, g, s):
    (m,) = s
    c = F(F(k["beta1"] * m) + F(k["share1"] * g))
    m = F(F(k["beta2"] * m) + F(k["share2"] * g))
    return F(F(k["keep"] * p) - F(k["lr"] * np.sign(c))), (m,)


def lion_numbers(t, lr, beta1, beta2, weight_decay):
    numbers = {"lr": lr, "beta1": beta1, "share1": 1 - beta1, "beta2": beta2, "share2": 1 - beta2,
               "keep": 1 - lr * weight_decay}  # fmt: skip
    return {name: F(x) for name, x in numbers.items()}


class Naive:
    """One array. parameter: "float32", "split", "rounded" or "float16"; state: "float32", "bfloat16" or "float8"."""

    def __init__(self, p, signed, parameter, state, array=0, seed=0):
        self.n, self.signed, self.parameter, self.state = len(p), signed, parameter, state
        self.array, self.seed, self.t = array, seed, 0
        self.p = [int(x) for x in p.view(np.uint32 if parameter == "float32" else np.uint16)]
        self.low = [0] * self.n
        self.exact = [F(x) for x in p] if parameter == "float16" else None
        blocks = -(-self.n // BLOCK)
        zero = [F(0)] * self.n
        self.slots = [list(zero if state == "float32" else [0] * self.n) for _ in signed]
        self.bases = [[0] * blocks for _ in signed]

    def parameter_value(self, i):
        if self.parameter == "float32":
            return f32(self.p[i])
        if self.parameter == "split":
            return master(self.p[i], self.low[i])
        if self.parameter == "rounded":
            return bf16_value(self.p[i])
        return self.exact[i]

    def slot_value(self, j, i):
        code = self.slots[j][i]
        if self.state == "float32":
            return code
        if self.state == "bfloat16":
            return bf16_value(code)
        return eight_value(code, self.bases[j][i // BLOCK], self.signed[j])

    def step(self, rule, k, g):
        self.t += 1
        values = [[] for _ in self.signed]
        for i in range(self.n):
            p, s = rule(
                k, self.parameter_value(i), F(g[i]), tuple(self.slot_value(j, i) for j in range(len(values)))
            )
            self.write_parameter(i, p)
            for mine, x in zip(values, s, strict=True):
                mine.append(x)
        for j, mine in enumerate(values):
            self.write_slot(j, mine)

    def write_parameter(self, i, p):
        if self.parameter == "float32":
            self.p[i] = pattern(p)
        elif self.parameter == "split":
            self.p[i], self.low[i] = nearest_bf16(p), remainder(p)
        elif self.parameter == "rounded":
            self.p[i] = bf16(p, word(self.seed, self.array, 2, self.t, i) >> 16)
        else:
            self.p[i], self.exact[i] = int(np.array([np.float16(p)]).view(np.uint16)[0]), p

    def write_slot(self, j, values):
        words = [word(self.seed, self.array, j // 2, self.t, i) for i in range(self.n)]
        if self.state == "float32":
            self.slots[j] = values
        elif self.state == "bfloat16":
            noises = [w >> 16 if j % 2 else w % 2**16 for w in words]
            self.slots[j] = [bf16(x, noise) for x, noise in zip(values, noises, strict=True)]
        else:
            noises = [w >> 12 if j % 2 else w * 16 % 2**20 for w in words]
            for block in range(len(self.bases[j])):
                part = slice(block * BLOCK, (block + 1) * BLOCK)
                self.slots[j][part], self.bases[j][block] = eight(values[part], noises[part], self.signed[j])
