"""fo.jit: what a user's own @njit code may call.

step(rule, p, g, state, t)       one step of a rule; state(rule, p) makes its state
flush_subnormals()               once for many steps of few parameters; restore_subnormals(before) behind them
value_and_grad(loss, W, X, ...)  of a linear model; gradient_workspace(W, X): memory for it
minimize(fun, x0, jac, ...)      the minimizers, inside compiled code
workspace(n, method)             memory for them, so that nothing is allocated
"""

import importlib

_HOME = {
    "step": "fastopt.kernels.step.inside",
    "state": "fastopt.kernels.step.inside",
    "flush_subnormals": "fastopt.kernels.step.inside",
    "restore_subnormals": "fastopt.kernels.step.inside",
    "value_and_grad": "fastopt.kernels.gradient.inside",
    "gradient_workspace": "fastopt.kernels.gradient.inside",
    "minimize": "fastopt.kernels.minimization.inside",
    "workspace": "fastopt.kernels.minimization.inside",
    "Minimum": "fastopt.kernels.minimization.inside",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'fastopt.jit' has no attribute {name!r}")
    module = importlib.import_module(_HOME[name])
    if name == "value_and_grad":
        module.BY_PYTHON[:] = [importlib.import_module("fastopt.linear").value_and_grad]
    if name == "minimize":
        module.BY_PYTHON[:] = [importlib.import_module("fastopt.minimization").minimize]
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
