"""Digests of the bits that fastopt computes: run it with the installs of two commits and compare the lines.

    python bench/digests.py > before.txt        (with the one install, from any folder but the clone's root)
    python bench/digests.py > after.txt         (with the other)
    diff before.txt after.txt                   (a line that differs: other bits)

A line a rule x back end x dtype, a loss x layout x back end x dtype (the value, then the gradients), and a
strategy of the training loop.
It uses public names only that have been there from the first commit on; what an install lacks is said in
its line. The lines of one install are always the same; bench/order.py compares engines, widths and threads.
"""

import hashlib
import sys
import warnings

import numpy as np

import fastopt as fo

BACKENDS = ("numba", "c", "numpy")
RULES = (
    "SGD", "Momentum", "ClassicalMomentum", "Nesterov", "AdaGrad", "RMSProp", "CenteredRMSProp",
    "Adam", "AdamW", "AMSGrad", "AdaDelta", "Adamax", "NAdam", "Lion",
)  # fmt: skip
LOSSES = {
    "Softmax": lambda: fo.Softmax(),
    "MulticlassHinge": lambda: fo.MulticlassHinge(),
    "MulticlassHinge squared": lambda: fo.MulticlassHinge(squared=True),
    "SquaredError": lambda: fo.SquaredError(),
    "Logistic": lambda: fo.Logistic(),
    "Hinge": lambda: fo.Hinge(),
}


def digest(*arrays):
    """16 hexadecimal digits of the bytes of arrays and numbers."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def say(name, compute):
    """One line; an install that cannot compute it says so."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = compute()
    except Exception as error:
        result = f"- {type(error).__name__}"
    print(f"{name:72} {result}", flush=True)


# ---- rules ----


def rule_digest(name, backend, dtype):
    """Forty steps of three arrays, with zeros and values of many sizes among the gradients."""
    rng = np.random.default_rng(1)
    params = [rng.standard_normal(n).astype(dtype) for n in (1, 37, 4099)]
    optimizer = fo.Optimizer(params, getattr(fo, name)(), backend=backend)
    for t in range(40):
        scale = 10.0 ** rng.integers(-6, 3, 3)
        grads = [(s * rng.standard_normal(p.size)).astype(dtype) for s, p in zip(scale, params, strict=True)]
        grads[2][t::50] = 0
        optimizer.step(grads)
    return digest(*params)


def rules():
    for name in RULES:
        for backend in BACKENDS:
            for dtype in ("float32", "float64"):
                say(f"rule {name} {backend} {dtype}", lambda n=name, b=backend, d=dtype: rule_digest(n, b, d))


# ---- gradients ----


def problem(layout, dtype, classes, seed=2, n=611, features=67):
    """X in a layout, y, W, b."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, features)).astype(dtype)
    y = rng.integers(0, max(2, classes), n)
    if layout == "uint8":
        X = rng.integers(0, 256, X.shape, np.uint8)
    if layout.startswith("CSR"):
        from scipy.sparse import csr_matrix

        X[rng.random(X.shape) > 0.1] = 0
        X = csr_matrix(X)
        index = "int64" if layout.endswith("64") else "int32"
        X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    W, b = rng.standard_normal((classes, features)).astype(dtype), rng.standard_normal(classes).astype(dtype)
    return X, y, W, b


def gradient_digest(loss, layout, dtype, backend, classes, weighted):
    X, y, W, b = problem(layout, dtype, classes)
    weight = np.random.default_rng(3).random(len(y)).astype(dtype) if weighted else None
    found = fo.value_and_grad(
        LOSSES[loss](), W, X, y, b, l2=0.01, sample_weight=weight, backend=backend, threads=2
    )
    return f"{digest(found[0])} {digest(*found[1:])}"


def gradients():
    for loss in LOSSES:
        for layout in ("dense", "uint8", "CSR int32", "CSR int64"):
            for dtype in ("float32",) if layout == "uint8" else ("float32", "float64"):
                for backend in BACKENDS:
                    for classes in (3, 13) if "ogis" not in loss and loss != "Hinge" else (1, 13):
                        for weighted in (False, True):
                            name = f"gradient {loss} {layout} {dtype} {backend} {classes} classes"
                            arguments = (loss, layout, dtype, backend, classes, weighted)
                            say(name + " weighted" * weighted, lambda a=arguments: gradient_digest(*a))


# ---- training ----

# (what it is for, layout, rows, features, classes, batch, threads)
STRATEGIES = (
    ("a batch by one thread", "dense", 600, 33, 5, 32, 1),
    ("batch gradient descent", "dense", 600, 33, 5, None, 1),
    ("single dense rows", "dense", 300, 33, 5, 1, 1),
    ("single uint8 rows", "uint8", 300, 33, 5, 1, 1),
    ("a crew, by groups of rows", "dense", 20_000, 64, 10, 10_000, 2),
    ("a crew, uint8", "uint8", 20_000, 64, 10, 10_000, 2),
    ("a pair, by halves of the features", "dense", 512, 1024, 10, 128, 2),
    ("a pair, uint8", "uint8", 512, 1024, 10, 128, 2),
    ("CSR batches", "CSR int32", 600, 300, 5, 32, 1),
    ("CSR, whole", "CSR int64", 600, 300, 5, None, 1),
    ("single CSR rows, two classes", "CSR int32", 600, 300, 2, 1, 1),
    ("single CSR rows, many classes", "CSR int64", 600, 300, 12, 1, 1),
    ("a crew, CSR", "CSR int32", 20_000, 300, 10, 10_000, 2),
)


def training_digest(strategy, rule, loss, backend, l2, dtype, sampling):
    _, layout, n, features, classes, batch, threads = strategy
    X, y, _, _ = problem(layout, dtype, classes, n=n, features=features)
    fit = fo.train(
        X, y, LOSSES[loss](), rule, epochs=2, batch_size=batch, l2=l2, sampling=sampling, seed=5,
        backend=backend, threads=threads,
    )  # fmt: skip
    return digest(fit.W, fit.b, fit.history["loss_train"])


def trainings():
    rules_of = {
        "SGD": fo.SGD(0.01),
        "SGD decay": fo.SGD(0.01, 1e-3),
        "Momentum": fo.Momentum(0.01),
        "Adam": fo.Adam(),
    }
    for strategy in STRATEGIES:
        for backend in BACKENDS:
            for title, rule in rules_of.items():
                for l2 in (0.0, 1e-3):
                    name = f"training: {strategy[0]}, {backend}, {title}, l2 {l2:g}"
                    arguments = (strategy, rule, "Softmax", backend, l2, "float32", "shuffle")
                    say(name, lambda a=arguments: training_digest(*a))
    for loss in LOSSES:
        for backend in BACKENDS:
            for sampling in ("sequential", "replacement"):
                arguments = (STRATEGIES[0], rules_of["SGD"], loss, backend, 1e-3, "float64", sampling)
                if loss == "SquaredError":  # what integers mean to it has changed: see fo.train
                    continue
                say(
                    f"training: {loss}, {backend}, {sampling}, float64",
                    lambda a=arguments: training_digest(*a),
                )


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["rules", "gradients", "trainings"]
    for name in wanted:
        globals()[name]()
