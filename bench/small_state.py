"""Small state against float32: bytes an element and time of an AdamW step, beside torch's fused float32 AdamW.

    python bench/small_state.py [elements] [rounds] [threads]

20M elements by default, in turns; times are medians and minima of the rounds, factors those of torch's by ours. DeepSpeed's
CPU Adam and bitsandbytes' CPU optimizers take part where they are installed and work without a GPU; else it says why not.
"""

import sys
import time

import numpy as np

import fastopt as fo
from fastopt import arrays, rounding
from fastopt.threads import usable_threads

# name: parameter is bfloat16, state_dtype
FORMS = {
    "float32": (False, None),
    "float32, state bfloat16": (False, "bfloat16"),
    "float32, state float8": (False, "float8"),
    "bfloat16 split, state float32": (True, None),
    "bfloat16 split, state bfloat16": (True, "bfloat16"),
    "bfloat16 split, state float8": (True, "float8"),
    "all bfloat16": (True, "bfloat16-no-master"),
    "bfloat16, state float8": (True, "float8-no-master"),
}


def moved_bytes(opt, p, g):
    """Read and written by a step, an element: the gradient is read twice where it is looked at for NaN, once counted."""
    kept = sum(array.nbytes for array in opt.state.values())
    return (2 * (p.nbytes + kept) + g.nbytes) / p.size


def contestants(n, threads):
    rng = np.random.default_rng(0)
    p, g = rng.standard_normal(n, np.float32), rng.standard_normal(n, np.float32) * np.float32(1e-2)
    for backend in ("numba", "c"):
        for name, (half, state) in FORMS.items():
            q, h = ((arrays.bfloat16_view(rounding.split(x)[0]) if half else x.copy()) for x in (p, g))
            opt = fo.Optimizer(q, fo.AdamW(), state_dtype=state, backend=backend, threads=threads)
            yield f"{backend}: {name}", (lambda opt=opt, h=h: opt.step(h)), moved_bytes(opt, q, h)
    yield from _torch(p, g, threads)
    yield from _others(p, g)


def _torch(p, g, threads):
    import torch

    torch.set_num_threads(threads)
    for name, dtype, size in (("float32", torch.float32, 28), ("bfloat16", torch.bfloat16, 14)):
        tensor = torch.from_numpy(p.copy()).to(dtype).requires_grad_()
        tensor.grad = torch.from_numpy(g.copy()).to(dtype)
        yield f"torch fused {name}", torch.optim.AdamW([tensor], fused=True).step, size


def _others(p, g):
    import torch

    def tensor():
        made = torch.from_numpy(p.copy()).requires_grad_()
        made.grad = torch.from_numpy(g.copy())
        return made

    def deepspeed():
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        return DeepSpeedCPUAdam([tensor()]).step

    def bitsandbytes():
        import bitsandbytes

        return bitsandbytes.optim.AdamW8bit([tensor()]).step

    for name, make, size in (
        ("DeepSpeed CPUAdam float32", deepspeed, 28),
        ("bitsandbytes AdamW8bit", bitsandbytes, 16),
    ):
        try:
            step = make()
            step()
        except Exception as error:
            print(f"{name}: left out, {type(error).__name__}: {str(error).strip().splitlines()[:1]}")
        else:
            yield name, step, size


def main(n=20_000_000, rounds=9, threads=None):
    threads = threads or usable_threads()
    runs = list(contestants(n, threads))
    times = {name: [] for name, _, _ in runs}
    for turn in range(rounds + 1):
        for name, step, _ in runs:
            start = time.perf_counter()
            step()
            if turn:  # the first compiles
                times[name].append(time.perf_counter() - start)
    base = np.array(times["torch fused float32"])
    print(f"{n} elements, {threads} threads, {rounds} rounds")
    print(f"{'':34s} bytes  median ms     min ms   x torch float32 (median, min)")
    for name, _, size in runs:
        mine = np.array(times[name])
        print(f"{name:34s} {size:5.1f} {np.median(mine) * 1e3:10.2f} {mine.min() * 1e3:10.2f}"
              f"   {np.median(base) / np.median(mine):5.2f} {base.min() / mine.min():5.2f}")  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
