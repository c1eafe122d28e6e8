"""fo.jit.step in a user's compiled loop against the same loop with the formula written by hand in its place.

    python bench/rule_in_njit.py [parameters] [steps]

Prints the smallest and the median ratio of pairs run in turns, for rules and dtypes: 1.1 and less is wanted.
"""

import sys
import time

import numpy as np
from numba import njit

import fastopt as fo


@njit
def adam_by_hand(p, target, gradient, m, v, steps, lr, beta1, beta2, eps):
    one = p.dtype.type(1)
    for t in range(1, steps + 1):
        rate = p.dtype.type(lr / (1 - beta1 ** float(t)))
        root = p.dtype.type(1 / np.sqrt(1 - beta2 ** float(t)))
        b1, b2, e = p.dtype.type(beta1), p.dtype.type(beta2), p.dtype.type(eps)
        for i in range(len(p)):
            gradient[i] = p[i] - target[i]
        for i in range(len(p)):
            g = gradient[i]
            m[i] = b1 * m[i] + (one - b1) * g
            v[i] = b2 * v[i] + (one - b2) * g * g
            p[i] -= rate * m[i] / (np.sqrt(v[i]) * root + e)


@njit
def sgd_by_hand(p, target, g, steps, lr):
    rate = p.dtype.type(lr)
    for _ in range(steps):
        for i in range(len(p)):
            g[i] = p[i] - target[i]
        for i in range(len(p)):
            p[i] -= rate * g[i]


@njit
def momentum_by_hand(p, target, g, v, steps, lr, momentum):
    rate, keep = p.dtype.type(lr), p.dtype.type(momentum)
    for _ in range(steps):
        for i in range(len(p)):
            g[i] = p[i] - target[i]
        for i in range(len(p)):
            v[i] = keep * v[i] + g[i]
            p[i] -= rate * v[i]


@njit
def with_step(rule, p, target, g, state, steps):
    for t in range(1, steps + 1):
        for i in range(len(p)):
            g[i] = p[i] - target[i]
        fo.jit.step(rule, p, g, state, t)


@njit
def with_one_switch(rule, p, target, g, state, steps):
    before = fo.jit.flush_subnormals()
    for t in range(1, steps + 1):
        for i in range(len(p)):
            g[i] = p[i] - target[i]
        fo.jit.step(rule, p, g, state, t)
    fo.jit.restore_subnormals(before)


def by_hand(rule, p, target, g, state, steps):
    if isinstance(rule, fo.SGD):
        return sgd_by_hand(p, target, g, steps, rule.lr)
    if isinstance(rule, fo.Momentum):
        return momentum_by_hand(p, target, g, state[0], steps, rule.lr, rule.momentum)
    return adam_by_hand(p, target, g, state[0], state[1], steps, *rule[:4])


def seconds(function, *arguments):
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def main(n=100, steps=100_000, pairs=9):
    rng = np.random.default_rng(0)
    print(
        f"{n} parameters, {steps} steps: fo.jit.step / by hand, and the same with one flush_subnormals() for all steps"
    )
    for dtype in ("float64", "float32"):
        for rule in (fo.Adam(lr=1e-3), fo.Momentum(lr=1e-3), fo.SGD(lr=1e-3)):
            target, g = rng.standard_normal(n).astype(dtype), np.empty(n, dtype)

            def run(function, target=target, g=g, rule=rule):
                p = np.zeros_like(target)
                return p, seconds(function, rule, p, target, g, fo.jit.state(rule, p), steps)

            ways = (by_hand, with_step, with_one_switch)
            a, b, c = (run(way)[0] for way in ways)
            assert np.allclose(a, b, rtol=1e-3, atol=1e-6), np.abs(a - b).max()
            assert b.tobytes() == c.tobytes()
            timed = np.array([[run(way)[1] for way in ways] for _ in range(pairs)])
            least, ratio = timed.min(axis=0), np.median(timed / timed[:, :1], axis=0)
            shown = ", ".join(f"{least[i] / least[0]:.2f} (median {ratio[i]:.2f})" for i in (1, 2))
            each = ", ".join(f"{x / steps * 1e9:.0f}" for x in least)
            print(f"  {type(rule).__name__:9} {dtype}: {shown}; ns a step: {each}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
