"""Which solver "auto" takes, and what each is for."""

from fastopt.losses import has_curvature
from fastopt.solvers.dual import why_not

SOLVERS = ("lbfgs", "newton", "prox-newton", "dual")
# Multiply-adds of one Newton step (Hessian and factor) that are still cheaper than the reads of X they save,
# in reads of X: L-BFGS takes some 100 reads on data as they come, Newton's method some 8 steps.
READS_SAVED = 12
SMALL = 200  # coefficients: a factor takes less time than the calls of an iteration


def check_choice(name, objective, bounded):
    """ValueError where the solver is not for such an objective."""
    if name not in SOLVERS:
        raise ValueError(f"solver must be auto or one of {', '.join(SOLVERS)}, not {name!r}")
    l1 = objective.penalty.l1
    wrong = None
    if name == "dual":
        wrong = why_not(objective) or ("it knows no bounds" if bounded else None)
    elif not is_smooth(objective.loss):
        wrong = f"it is for losses without kinks, not {objective.loss}"
    elif name == "newton" and (l1 or bounded):
        wrong = "it knows no l1 and no bounds: prox-newton does"
    elif name != "lbfgs" and not has_curvature(objective.loss):
        wrong = f"{objective.loss} has no second derivative in the scores (`curvature`)"
    if wrong:
        raise ValueError(f'solver "{name}": {wrong}')


def is_smooth(loss):
    """Whether the loss has a derivative everywhere, as far as its class says."""
    return has_curvature(loss) or not hasattr(loss, "curvature") and type(loss).__name__ not in KINKED


KINKED = ("Hinge", "CrammerSinger", "Quantile")


def choose_solver(objective, bounded=False):
    """The name of a solver for the objective, by its loss, penalty and shape."""
    if not is_smooth(objective.loss):
        return "dual" if why_not(objective) is None else "lbfgs"
    if not has_curvature(objective.loss):
        return "lbfgs"
    if objective.penalty.l1 or bounded:
        return "prox-newton"
    return "newton" if _newton_pays(objective) else "lbfgs"


def _newton_pays(objective):
    classes, features, n = objective.classes, objective.features, max(objective.n, 1)
    size = classes * (features + 1)
    if size > 2500:
        return False
    per_row = objective.rows.entries / n
    if size <= SMALL:
        return True
    read = 2 * n * per_row * classes
    step = n * per_row * features * classes * (classes + 1) / 4 + size**3 / 6
    return step <= READS_SAVED * read
