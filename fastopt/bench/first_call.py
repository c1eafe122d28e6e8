"""From the start of a process to its first result, each time in a new process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fastopt
from fastopt import backends
from fastopt.bench import timing
from fastopt.bench.peers import installed

EPOCH = """
import fastopt as fo
from fastopt import data
digits = data.load("digits")
fo.train(digits.x_train, digits.y_train, epochs=1, batch_size=32, backend={backend!r}, scale=digits.scale)
"""
STEP = """
import numpy as np
import fastopt as fo
fo.Optimizer(np.ones(1000, np.float32), fo.Adam(), backend={backend!r}).step(np.ones(1000, np.float32))
"""
TORCH = """
import torch
p = torch.ones(1000)
optimizer = torch.optim.Adam([p], fused=True)
p.grad = torch.ones(1000)
optimizer.step()
"""


def seconds(code, cache):
    """Seconds that a new Python takes for the code, with this folder of compiled kernels."""
    package = str(Path(fastopt.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": path}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def programs():
    """{what: (code, whether it starts with an empty cache)}."""
    found = {"import numpy": ("import numpy", False)}
    if backends.has_c():
        found["first Adam step, fastopt c"] = (STEP.format(backend="c"), False)
        found["first epoch on digits, fastopt c"] = (EPOCH.format(backend="c"), False)
    if backends.has_numba():
        found["first Adam step, fastopt numba, warm cache"] = (STEP.format(backend="numba"), False)
        found["first epoch on digits, fastopt numba, warm cache"] = (EPOCH.format(backend="numba"), False)
        found["first epoch on digits, fastopt numba, cold cache"] = (EPOCH.format(backend="numba"), True)
    if installed("torch"):
        found["first Adam step, torch"] = (TORCH, False)
    return found


def measure(rounds=3):
    """{what: summary of its seconds}; cold ones once a round but no more than twice."""
    times = {what: [] for what in programs()}
    with tempfile.TemporaryDirectory() as warm:
        for code, cold in programs().values():
            if not cold:
                seconds(code, warm)
        for turn in range(rounds):
            for what, (code, cold) in programs().items():
                if not cold:
                    times[what].append(seconds(code, warm))
                elif turn < 2:
                    with tempfile.TemporaryDirectory() as empty:
                        times[what].append(seconds(code, empty))
    return {what: timing.summary(values) for what, values in times.items()}
