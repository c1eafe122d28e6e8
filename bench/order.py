"""The table of equal digests: values, gradients and training runs, engine x width of vectors x threads x case.

    python bench/order.py            (all cases: minutes; from any folder but the clone's root)
    python bench/order.py --small    (a few of each kind: what the gate runs)

Each engine runs in a process of its own for each width: the CPU's own, then narrower ones, by FASTOPT_DISABLE_CPU_FEATURES
in C and by NUMBA_CPU_FEATURES for Numba. x86-64 without AVX2 has no fused multiply-add: there it is done by software. The answer
is 1 where a digest differs, and the table says where.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import warnings

import numpy as np

X86 = platform.machine().lower() in ("x86_64", "amd64")
NARROWER = ("", "avx512", "avx512,avx2") if X86 else ("",)
THREADS = (1, 2, 5, 64)
LOSSES = (
    "Softmax()", "MulticlassHinge()", "MulticlassHinge(0.5, squared=True)", "SquaredError()", "Logistic()", "Hinge()",
    "SquaredHinge()", "ModifiedHuber()", "Huber(0.7)", "EpsilonInsensitive(0.2)", "EpsilonInsensitive(0.2, squared=True)",
    "Quantile(0.3)", "Poisson()",
)  # fmt: skip
RULES = (
    "SGD(0.01)", "SGD(0.01, 1e-3)", "Momentum(0.01)", "Adam()", "Lion(1e-3)", "RMSProp(1e-3)", "AdaGrad()", "NAdam()",
)  # fmt: skip
# layout, rows, features, classes, batch: each way that a run can go (kernels/training/strategies.py)
RUNS = (
    ("dense", 600, 33, 5, 32),
    ("dense", 600, 33, 5, None),
    ("dense", 300, 33, 5, 1),
    ("uint8", 300, 33, 5, 1),
    ("dense", 4096, 64, 10, 2048),
    ("uint8", 20_000, 64, 10, 10_000),
    ("dense", 512, 1024, 10, 128),
    ("uint8", 512, 1030, 3, 64),
    ("dense", 90, 3000, 2, 7),
    ("CSR int32", 600, 300, 5, 32),
    ("CSR int64", 600, 300, 5, None),
    ("CSR int32", 600, 300, 2, 1),
    ("CSR int64", 600, 300, 12, 1),
    ("CSR int32", 6_000, 300, 10, 3_000),
)


def problem(layout, dtype, n, features, classes):
    rng = np.random.default_rng(2)
    X = rng.standard_normal((n, features)).astype(dtype)
    if layout == "uint8":
        X = rng.integers(0, 256, X.shape, np.uint8)
    if layout.startswith("CSR"):
        from scipy.sparse import csr_matrix

        X[rng.random(X.shape) > 0.1] = 0
        X = csr_matrix(X)
        index = layout.split()[1]
        X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    return X, rng.integers(0, max(2, classes), n), rng


def digest(*arrays):
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]


def gradients(small):
    """(name, function of (engine, threads))"""
    layouts = ("dense", "uint8", "CSR int32", "CSR int64")
    for loss in LOSSES:
        for layout in layouts[:3] if small else layouts:
            for dtype in ("float32",) if layout == "uint8" else ("float32", "float64"):
                for classes in (1, 3, 13) if "oftmax" not in loss and "Multi" not in loss else (3, 13):
                    for n, features in ((611, 67),) if small else ((611, 67), (1, 1), (33, 600), (9000, 5)):
                        for weighted in (False, True):
                            if small and (classes == 13) != (dtype == "float64" or weighted):
                                continue
                            given = (loss, layout, dtype, classes, n, features, weighted)
                            name = f"gradient {loss} {layout} {dtype} {n} x {features} x {classes}{' weighted' * weighted}"
                            yield name, lambda engine, threads, given=given: gradient(engine, threads, *given)


def gradient(engine, threads, loss, layout, dtype, classes, n, features, weighted):
    import fastopt as fo

    loss = eval(f"fo.{loss}", {"fo": fo})
    X, y, rng = problem(layout, dtype, n, features, classes)
    if loss.one_row == "real" and classes == 1:
        y = np.abs(rng.standard_normal(n)).astype(dtype)
    W, b = (rng.standard_normal(shape).astype(dtype) for shape in ((classes, features), classes))
    weight = rng.random(n).astype(dtype) if weighted else None
    found = fo.value_and_grad(
        loss, W, X, y, b, l2=0.01 * weighted, sample_weight=weight, backend=engine, threads=threads
    )
    return digest(found[0], *found[1:])


def trainings(small):
    for j, run in enumerate(RUNS):
        for i, rule in enumerate(RULES):
            for l2 in (0.0, 1e-3):
                for sampling in ("shuffle", "sequential", "replacement"):
                    chosen = i in (0, 1 + j % 7) and sampling == "shuffle" and (l2 > 0) == ((i + j) % 2 == 0)
                    if small and not chosen or not small and sampling != "shuffle" and i not in (0, 3):
                        continue
                    given = (run, rule, l2, sampling, LOSSES[0], "float32", False)
                    name = f"training {' '.join(map(str, run))} {rule} l2={l2:g} {sampling}"
                    yield name, lambda engine, threads, given=given: training(engine, threads, *given)
    for loss in () if small else LOSSES:
        for run in RUNS[0], RUNS[2], RUNS[6], RUNS[9], RUNS[11]:
            for rule in RULES[1], RULES[3]:
                for weighted in False, True:
                    given = (run, rule, 1e-3, "shuffle", loss, "float64", weighted)
                    name = f"training {' '.join(map(str, run))} {rule} {loss} float64{' weighted' * weighted}"
                    yield name, lambda engine, threads, given=given: training(engine, threads, *given)


def training(engine, threads, run, rule, l2, sampling, loss, dtype, weighted):
    import fastopt as fo

    layout, n, features, classes, batch = run
    loss, rule = (eval(f"fo.{text}", {"fo": fo}) for text in (loss, rule))
    if batch == 1 and loss.one_row == "class" and getattr(loss, "squared", False):
        rule = rule._replace(
            lr=rule.lr / 10
        )  # row by row a squared margin of several classes diverges at 0.01
    X, y, rng = problem(layout, dtype if layout != "uint8" else "float32", n, features, classes)
    known = {"classes": np.arange(classes)} if loss.one_row == "real" else {}
    fit = fo.train(
        X, y, loss, rule, epochs=2, batch_size=batch, l2=l2, sampling=sampling, seed=5, backend=engine, threads=threads,
        sample_weight=rng.random(n) if weighted else None, **known,
    )  # fmt: skip
    return digest(fit.W, fit.b, fit.history["loss_train"], fit.history.get("gradient_norm", 0))


def child(engine, small, wanted=""):
    """A line a case whose name has what the regular expression `wanted` looks for: its name and digests by threads."""
    for make in gradients, trainings:
        for name, compute in make(small):
            if not re.search(wanted, name):
                continue
            for threads in THREADS[1:3] if small else THREADS:
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        found = compute(engine, threads)
                except Exception as error:
                    found = f"{type(error).__name__}: {error}"
                print(json.dumps([name, threads, found]), flush=True)


def environment(engine, disabled):
    """The variables of a process of this engine without some instruction sets, or None where they are off anyway."""
    found = {**os.environ, "FASTOPT_DISABLE_CPU_FEATURES": disabled}
    if engine != "numba" or not disabled:
        return found
    from llvmlite import binding

    names = [name for name, there in binding.get_host_cpu_features().items() if there]
    lost = ["avx512", "evex512", "avx10", "amx"] + (
        ["avx", "fma", "f16c", "vaes", "vpclmul", "xop"] if "avx2" in disabled else []
    )
    names = [name for name in names if not any(name.startswith(part) for part in lost)]
    found["NUMBA_CPU_NAME"] = "x86-64" if "avx2" in disabled else "haswell"
    found["NUMBA_CPU_FEATURES"] = ",".join(f"+{name}" for name in sorted(names))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--engines", default="numba,c")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(given.child, given.small)
    columns, table = [], {}
    for engine in given.engines.split(","):
        for disabled in NARROWER:
            command = [
                sys.executable,
                os.path.abspath(__file__),
                "--child",
                engine,
                *["--small"] * given.small,
            ]
            done = subprocess.run(
                command, env=environment(engine, disabled), stdout=subprocess.PIPE, text=True, check=True
            )
            column = f"{engine}{' without ' + disabled if disabled else ''}"
            columns.append(column)
            for line in done.stdout.splitlines():
                name, threads, found = json.loads(line)
                table.setdefault(name, {})[f"{column}, {threads} threads"] = found
    different = 0
    for name, row in table.items():
        kinds = sorted(set(row.values()))
        different += len(kinds) > 1 or ":" in kinds[0]
        print(f"{kinds[0]}  {name}" if len(kinds) == 1 else f"DIFFERS       {name}")
        for kind in kinds if len(kinds) > 1 else ():
            print(f"    {kind}  {'; '.join(where for where, found in row.items() if found == kind)}")
    print(f"{len(table)} cases x {len(columns)} columns ({', '.join(columns)}): {different} differ")
    return different > 0


if __name__ == "__main__":
    sys.exit(main())
