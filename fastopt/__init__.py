"""fastopt: update rules, gradients and training runs for NumPy arrays, at machine speed."""

import importlib

_NAMES = {
    "optimizer": ("Optimizer",),
    "stepping.loss_scale": ("LossScale",),
    "exchange": ("from_torch", "to_torch", "from_optax", "to_optax"),
    "rules": (
        "SGD", "Momentum", "ClassicalMomentum", "Nesterov", "AdaGrad", "RMSProp", "CenteredRMSProp",
        "Adam", "AdamW", "AMSGrad", "AdaDelta", "Adamax", "NAdam", "Lion",
        "SGDW", "MomentumW", "RMSPropMomentum", "CenteredRMSPropMomentum", "AMSGradW", "NAdamW", "RAdam", "RAdamW",
        "AdEMAMix", "Rprop", "ASGD", "ScheduleFreeSGD", "ScheduleFreeAdamW", "LARS", "LAMB", "Adafactor",
        "PlainAdafactor", "Muon", "Averaged", "Cautious", "Lookahead", "ScheduleFree", "SAM",
    ),
    "losses": (
        "Softmax", "MulticlassHinge", "SquaredError", "Logistic", "Hinge", "SquaredHinge", "ModifiedHuber",
        "CrammerSinger", "Huber", "EpsilonInsensitive", "Quantile", "Poisson",
    ),
    "penalties": ("L1", "L2", "ElasticNet"),
    "objective": ("Objective",),
    "linear": ("value_and_grad",),
    "outofcore": ("source",),
    "paths": ("path",),
    "training": ("train", "search", "Diverged"),
    "fit": ("Fit",),
    "checking": (
        "gradcheck", "gradgradcheck", "numeric_gradient", "numeric_jacobian", "numeric_hessian",
        "hessian_vector_product", "numeric_linear_gradient", "check_rule", "check_loss",
        "GradcheckError", "EvaluationError", "NotAnalyticError",
    ),
    "engines.choose": ("set_backend",),
    "estimators": ("LinearClassifier", "LinearRegressor"),
    "diagnostics": ("diagnose", "lr_range_test", "batch_size_study", "Watch"),
    "logs": ("JsonLog", "TensorBoardLog"),
    "minimization": ("minimize", "minimize_many", "least_squares", "scipy_method", "grid_search", "random_search", "random_restarts", "successive_halving", "random_linear_search"),
    "warm": ("warmup",),
    "info": ("show_info",),
}  # fmt: skip
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("schedules", "rules", "losses", "penalties", "testing", "jit", "functions")

__all__ = sorted([*_HOME, "schedules"])


def __getattr__(name):
    if name in _HOME:
        value = getattr(importlib.import_module(f"fastopt.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"fastopt.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("fastopt")
    else:
        raise AttributeError(f"module 'fastopt' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__, "__version__"})


def _for_freezers():
    """Never called: tools that follow imports (PyInstaller, modulefinder) find here what is imported by name."""
    import fastopt.checking
    import fastopt.diagnostics
    import fastopt.engines.choose
    import fastopt.estimators
    import fastopt.exchange
    import fastopt.fit
    import fastopt.info
    import fastopt.linear
    import fastopt.logs
    import fastopt.losses
    import fastopt.minimization
    import fastopt.objective
    import fastopt.optimizer
    import fastopt.outofcore
    import fastopt.paths
    import fastopt.penalties
    import fastopt.rules
    import fastopt.schedules
    import fastopt.stepping.loss_scale
    import fastopt.testing
    import fastopt.training
    import fastopt.warm  # noqa: F401
