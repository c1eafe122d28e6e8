"""Penalties on the weights of a linear model, beside the losses. PENALTIES is the one registry.

A penalty is an immutable value whose fields are its factors, with
    l1, l2                the factors of sum|W| and of sum(W**2), 0.0 where it has none
    value(W)              its value, a float
    add_gradient(W, dW)   adds the gradient of the part that is smooth, l2*sum(W**2), to dW
    prox(W, step)         argmin_V step * (the part that is not smooth)(V) + |V - W|^2 / 2

So a proximal step is W = prox(W - step * gradient, step). b is never penalised. The kernels add l2 while
they sum up the gradient (kernels/gradient/groups.py); everything else takes the arithmetic from here.
"""

from fastopt.penalties.elastic import L1, L2, ElasticNet, Unpenalised

PENALTIES = (Unpenalised, L2, L1, ElasticNet)

__all__ = ["L1", "L2", "PENALTIES", "ElasticNet", "Unpenalised", "checked"]


def checked(penalty, l2=0.0):
    """The penalty with l2 added to it; TypeError or ValueError where it is none or a factor is impossible."""
    if penalty is None:
        penalty = Unpenalised()
    if isinstance(penalty, type):
        raise TypeError(f"penalty must be a value: write {penalty.__name__}(...), not {penalty.__name__}")
    for needed in ("l1", "l2", "value", "add_gradient", "prox"):
        if not hasattr(penalty, needed):
            raise TypeError(f"penalty must be fo.L1, fo.L2 or fo.ElasticNet, not {penalty!r:.60}")
    for name in ("l1", "l2"):
        factor = getattr(penalty, name)
        try:
            good = 0 <= float(factor) < float("inf")
        except (TypeError, ValueError):
            good = False
        if not good:
            raise ValueError(f"penalty: {name} must be a number, at least 0, not {factor!r:.60}")
    if not l2:
        return penalty
    if not isinstance(penalty, PENALTIES):
        raise ValueError(f"l2 = {l2} beside {type(penalty).__name__}: let the penalty hold it")
    return combined(penalty.l1, penalty.l2 + l2)


def combined(l1, l2):
    """The simplest penalty with these factors."""
    if l1:
        return ElasticNet(l1, l2) if l2 else L1(l1)
    return L2(l2) if l2 else Unpenalised()


def finish_sums(total, W, dW, db, scale, l2):
    """Sums over rows as a mean with its penalty l2*sum(W**2), in place; returns the value."""
    if scale != 1:
        dW *= dW.dtype.type(scale)
        if db is not None:
            db *= db.dtype.type(scale)
    penalty = L2(l2)
    penalty.add_gradient(W, dW)
    return total * scale + penalty.value(W)
