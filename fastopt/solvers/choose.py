"""Which solver "auto" takes, and what each is for."""

from fastopt.losses import has_curvature
from fastopt.solvers.dual import why_not
from fastopt.solvers.newton import FACTORED

SOLVERS = ("lbfgs", "newton", "prox-newton", "dual")
# A Newton step may cost so much more than a read of X: eight of them stand against some 60 reads of L-BFGS
# (made 100,000 x 50: a step costs 12 reads, L-BFGS takes 0.07 s and Newton's method 0.26).
READS_SAVED = 6
SCATTERED = 8  # an entry that is added to a sparse row's products, in multiply-adds of dense ones
SMALL, FEW = (
    200,
    50_000,
)  # coefficients, numbers of X: the calls of an iteration take longer than its arithmetic


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
        return "prox-newton" if in_memory else "lbfgs"
    return "newton" if _newton_pays(objective) else "lbfgs"


def _newton_pays(objective):
    """Whether Newton's steps cost less than the reads of X that they save; both in multiply-adds."""
    classes, features, rows = objective.classes, objective.features, objective.rows
    size = classes * (features + 1)
    if size > FACTORED:
        return False
    if size <= SMALL and rows.entries <= FEW:
        return True
    pairs, row = classes * (classes + 1) / 2, rows.entries / max(rows.n, 1)
    if not rows.is_sparse:
        step = rows.entries * features / 2 * pairs
    else:
        step = SCATTERED * rows.entries * row * pairs
    return step + size**3 / 6 <= READS_SAVED * 2 * rows.work
