"""Every rule's step beside its own traffic limit, torch and optax, in one run, in turns.

    python bench/rule_traffic.py [side] [rounds] [threads] [words that its name has...]

A float32 matrix of side x side numbers (2000: 4M), one thread, by default. The limit is a plain kernel that reads p and g, and reads and writes
p and the state once, with no arithmetic to speak of; Adafactor's state is n + m numbers, so its limit is that of SGD. LARS, LAMB,
Cautious and Adafactor must know norms first, so they read more than once. torch has fused=True where its rule takes it; optax runs
under jit with donated buffers. Settings: scripts/parity.py, where they are equal. Medians of CPU time are compared where one thread
is asked for (what else the machine does counts less), of wall time otherwise.
"""

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np

import fastopt as fo
from fastopt.bench import roofline
from fastopt.engines import choose

MORE = {  # not in the page's list, or in another form there
    "Averaged(AdamW())": (None, None),
    "Adafactor()": ("Adafactor()", "adafactor(0.01, min_dim_size_to_factor=2)"),
    "Muon()": ("Muon()", "contrib.muon(0.01)"),
    "SAM(SGD())": (None, None),
}


def parity():
    path = Path(__file__).parents[1] / "scripts" / "parity.py"
    spec = importlib.util.spec_from_file_location("parity", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rules(page):
    """{text: (torch's, optax')}: of each rule the first line that has most peers."""
    best = {}
    for text, torch, optax, _ in page.RULES:
        name = text.partition("(")[0]
        if (
            sum(map(bool, (torch, optax))) > sum(map(bool, best.get(name, ("", (None, None)))[1]))
            or name not in best
        ):
            best[name] = text, (torch, optax)
    found = dict(best.values())
    return {text: peers for text, peers in found.items() if text not in MORE} | MORE


def rule_of(page, text):
    if text == "Averaged(AdamW())":
        return fo.Averaged(fo.AdamW(lr=0.01))
    return fo.SAM(fo.SGD(lr=0.01)) if text == "SAM(SGD())" else page.rule_of(text)


def ours(page, text, p, g, backend, threads):
    rule = rule_of(page, text)
    opt = fo.Optimizer(p.copy(), rule, backend=backend, threads=threads)
    if not isinstance(rule, fo.SAM):
        return lambda: opt.step(g)

    def both():
        opt.ascend(g)
        opt.step(g)

    return both


def with_torch(text, p, g, threads):
    import torch

    torch.set_num_threads(threads)
    w = torch.from_numpy(p.copy()).requires_grad_()
    w.grad = torch.from_numpy(g)
    name, arguments = text.split("(", 1)
    make = f"optimizer([w], lr=0.01, fused=True, {arguments}"
    for call, how in ((make, ", fused"), (make.replace("fused=True, ", ""), "")):
        try:
            opt = eval(call, {"w": w, "optimizer": getattr(torch.optim, name)})
            opt.step()
            return opt.step, how
        except (TypeError, RuntimeError):
            continue
    raise ImportError(name)


def with_optax(text, p, g):
    import jax
    import optax
    import optax.contrib

    transformation = eval(text, vars(optax) | {"contrib": optax.contrib})
    p, g = jax.numpy.asarray(p.copy()), jax.numpy.asarray(g)
    if text.startswith("lookahead"):
        p = optax.LookaheadParams.init_synced(p)
    state = transformation.init(p)

    @jax.jit
    def one(p, state):
        updates, state = transformation.update(g, state, p)
        return optax.apply_updates(p, updates), state

    kept = jax.tree.map(
        lambda x: jax.numpy.array(x, copy=True), [p, state]
    )  # no buffer twice: they are donated
    one = jax.jit(one, donate_argnums=(0, 1))

    def run():
        kept[:] = one(*kept)
        jax.block_until_ready(kept)

    return run


def limit(page, text, p, g, threads):
    rule = rule_of(page, text)
    base = getattr(rule, "base", rule) if isinstance(rule, fo.SAM) else rule
    whole = getattr(type(base), "whole", False)
    slots = 1 if text.startswith("Muon") else 0 if whole else len(base.slots)
    made = roofline.traffic(
        p.reshape(-1).copy(), g.reshape(-1) * np.float32(1e-6), [np.zeros(p.size, "f4")] * slots, threads
    )
    return made.call


def contestants(page, text, peers, p, g, threads):
    found = {"limit": limit(page, text, p, g, threads)}
    found["numba"] = ours(page, text, p, g, "numba", threads)
    try:
        rule = rule_of(page, text)
        choose.resolve("c", rule.base if isinstance(rule, fo.SAM) else rule)
        found["c"] = ours(page, text, p, g, "c", threads)
    except (ValueError, ImportError):
        pass
    how = ""
    for name, make in (("torch", with_torch), ("optax", with_optax)):
        theirs = peers[name == "optax"]
        try:
            if theirs and name == "torch":
                found["torch"], how = make(theirs, p, g, threads)
            elif theirs:
                found["optax"] = make(theirs, p, g)
        except ImportError:
            continue
    return found, how


def main(side=2000, rounds=7, threads=1, words=()):
    page, clock = parity(), time.process_time if threads == 1 else time.perf_counter
    rng = np.random.default_rng(0)
    p, g = (rng.standard_normal((side, side), np.float32) for _ in range(2))
    unit = "CPU ms" if threads == 1 else "ms"
    print(
        f"{side} x {side} float32, {threads} threads, medians of {rounds} in turns, {unit}; x: times as long as ours on Numba"
    )
    print(
        f"{'rule':44s} {'limit':>7s} {'numba':>7s} {'% limit':>7s} {'c':>7s} {'torch':>7s} {'x':>5s} {'optax':>7s} {'x':>5s}"
    )
    for text, peers in rules(page).items():
        if words and not any(word in text for word in words):
            continue
        found, how = contestants(page, text, peers, p, g, threads)
        times = {name: [] for name in found}
        for turn in range(rounds + 2):
            for name, run in found.items():
                time.sleep(0.01)
                began = clock()
                run()
                if turn > 1:  # the first compile, and warm up
                    times[name].append(clock() - began)
        ms = {name: float(np.median(t)) * 1e3 for name, t in times.items()}
        cells = [f"{ms['limit']:7.2f} {ms['numba']:7.2f} {100 * ms['limit'] / ms['numba']:7.0f}"]
        cells.append(f"{ms['c']:7.2f}" if "c" in ms else "      -")
        for name in ("torch", "optax"):
            there = name in ms
            cells.append(f"{ms[name]:7.2f} {ms[name] / ms['numba']:5.2f}" if there else "      -     -")
        print(f"{text:44s} {' '.join(cells)}{how}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), words=sys.argv[4:])
