"""Which solver "auto" takes, and what each is for."""

from fastopt.losses import has_curvature
from fastopt.solvers.dual import why_not
from fastopt.solvers.newton import FACTORED
from fastopt.solvers.notes import nearly_independent
from fastopt.solvers.prox_newton import ALL, GRAM

SOLVERS = ("lbfgs", "newton", "prox-newton", "dual")
# Newton's method is ahead where the calls of an iteration take longer than their arithmetic: so many coefficients,
# rows of W and numbers of X. With more, preconditioned L-BFGS is: 10,000 x 20, two classes, 6 ms and 12.
SMALL, FEW_CLASSES, FEW = 200, 3, 50_000
# With an l1, a dense Hessian for proximal Newton may cost so many reads of X; beyond them OWL-QN is ahead where
# features hardly depend on each other (10,000 x 100, ten classes: 0.2 s and 2.8), and lost where they do (wine).
READS = 12
# With one row of W, rows up to which the calls of OWL-QN's steps take longer than their arithmetic: 1,000 x 100 takes
# 13 ms, proximal Newton 9; 10,000 x 20 both 11; 10,000 x 100 takes 20 and 47.
FEW_ROWS = 5_000


def check_choice(name, objective, bounded):
    """ValueError where the solver is not for such an objective."""
    if name not in SOLVERS:
        raise ValueError(f"solver must be auto or one of {', '.join(SOLVERS)}, not {name!r}")
    l1 = objective.penalty.l1
    wrong = None
    if name in ("dual", "prox-newton") and not objective.rows.in_memory:
        wrong = "it wants X in memory, and this is a source: lbfgs and newton read it part by part"
    elif name == "dual":
        wrong = why_not(objective) or ("it knows no bounds" if bounded else None)
    elif not is_smooth(objective.loss):
        wrong = f'it is for losses without kinks, not {objective.loss}: "dual" or fo.train\'s epochs, solver="sgd"'
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
    in_memory = objective.rows.in_memory
    if not is_smooth(objective.loss):
        reason = why_not(objective)
        if reason is not None or bounded or not in_memory:
            reason = reason or ("it knows no bounds" if bounded else "it wants X in memory")
            raise ValueError(
                f'no solver is for {objective.loss} with {objective.penalty}: the loss has kinks, and "dual": '
                f'{reason}. fo.train with solver="sgd" takes epochs of a rule'
            )
        return "dual"
    if not has_curvature(objective.loss):
        return "lbfgs"
    if objective.penalty.l1 or bounded:
        return "lbfgs" if not in_memory or _owl_pays(objective) else "prox-newton"
    return "newton" if _newton_pays(objective) else "lbfgs"


def relief(name, problem):
    """The solver that goes on where L-BFGS takes long or ends early, or Newton takes long (a Huber loss's tails have no
    curvature); None where none would do better.
    """
    objective = problem.objective
    if name == "newton":
        return "lbfgs"
    if name != "lbfgs" or not has_curvature(objective.loss) or not objective.rows.in_memory:
        return None
    if problem.l1 or problem.bounds is not None:
        return "prox-newton"
    return "newton" if problem.size <= FACTORED else None


def _newton_pays(objective):
    """Whether Newton's steps, some eight, take less than the reads of L-BFGS."""
    size = objective.classes * (objective.features + 1)
    if size > FACTORED:  # by conjugate gradients, of which no more than the rows are needed
        return objective.rows.n < objective.features
    if size > SMALL or objective.classes > FEW_CLASSES:
        return False
    rows = objective.rows
    if rows.entries <= FEW:
        return True
    # a9a, whose features are made of categories, takes 38 ms and L-BFGS 60; where they are independent it is the other way round
    return rows.is_sparse and not rows.is_remote and objective.classes == 1 and not nearly_independent(rows)


def _owl_pays(objective):
    """Whether OWL-QN takes less than proximal Newton."""
    rows, classes, features = objective.rows, objective.classes, objective.features
    if classes == 1:
        if rows.n <= FEW_ROWS or rows.n < features or rows.is_sparse and features > ALL:
            return False
    elif rows.is_sparse:  # where proximal Newton forms no Hessian, its working sets are OWL-QN's too
        if features > rows.n or classes * features <= GRAM:
            return False
    # n p^2 / 2 for each pair of classes, over 2 n p classes
    elif min(features, ALL) * (classes + 1) / 8 <= READS:
        return False
    return nearly_independent(rows)
