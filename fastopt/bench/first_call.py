"""From the start of a process to its first result, each time in a new process."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fastopt
from fastopt.bench import timing
from fastopt.bench.peers import installed
from fastopt.engines import choose

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
COMMAND = """
import sys
from fastopt.cli import main
sys.argv = ["fastopt", "train", "digits", "--quiet"]
main()
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
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def programs():
    """{what: (code, whether it starts with an empty cache)}."""
    found = {"import numpy": ("import numpy", False)}
    if choose.has_c() and choose.has_numba():  # "auto", which begins in C
        found["first Adam step, fastopt, empty cache"] = (STEP.format(backend="auto"), True)
        found["first epoch on digits, fastopt, empty cache"] = (EPOCH.format(backend="auto"), True)
        if installed("click") and installed("rich"):
            found["fastopt train digits, empty cache"] = (COMMAND, True)
    if choose.has_c():
        found["first Adam step, fastopt c"] = (STEP.format(backend="c"), False)
        found["first epoch on digits, fastopt c"] = (EPOCH.format(backend="c"), False)
    if choose.has_numba():
        found["first Adam step, fastopt numba, warm cache"] = (STEP.format(backend="numba"), False)
        found["first epoch on digits, fastopt numba, warm cache"] = (EPOCH.format(backend="numba"), False)
        found["first epoch on digits, fastopt numba, cold cache"] = (EPOCH.format(backend="numba"), True)
    if installed("torch"):
        found["first Adam step, torch"] = (TORCH, False)
    return found


def measure(rounds=3):
    """{what: summary of its seconds, or what went wrong}; the cold ones once, into the cache that warms the others."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for what, (code, cold) in sorted(programs().items(), key=lambda item: not item[1][1]):
            try:
                if not cold:
                    seconds(code, cache)
                times = [seconds(code, cache) for _ in range(1 if cold else rounds)]
                found[what] = timing.summary(times)
            except subprocess.CalledProcessError as error:
                found[what] = {"missing": (error.stderr.decode().strip().splitlines() or ["failed"])[-1]}
    return {what: found[what] for what in programs()}
