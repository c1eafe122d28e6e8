"""What keeps a step a number where exact arithmetic has one.

float32 holds squares of gradients between 1.1e-19 and 1.8e19 only. Beyond, v is inf for ever and the parameter
stands still; below, v is 0, and where eps is smaller still, a step is up to 1e18 learning rates long. So, in rules
with second moments,
- a gradient beyond 1/sqrt(tiny) counts as that (9.2e18 in float32, 6.7e153 in float64), in all moments alike: the
  step is as long as the gradient's own would be, since these rules do not look at the scale of gradients;
- a step is no longer than the rule can make one, whatever the gradients were (`reach`, twice that bound).
Neither changes a bit of any other step.
"""

from math import exp, inf, log, sqrt

import numpy as np

TINY = float(
    np.finfo(np.float64).tiny
)  # as a coefficient: the smallest normal number of the dtype (in_dtype)


def held(x, most):
    """x within [-most, most]; NaN stays NaN."""
    x = np.where(x > most, most, x)
    return np.where(x < -most, -most, x)


def reach_of_mean(beta1, beta2):
    """Twice the largest |m|/sqrt(v): m = sum (1-beta1) beta1^i g_i, v = sum (1-beta2) beta2^i g_i^2.

    By Cauchy and Schwarz; inf where m remembers longer than v. For a gradient itself beta1 is 0.
    """
    if beta1 * beta1 >= beta2 > 0 or beta2 >= 1 or beta1 > beta2 == 0:
        return inf
    ratio = beta1 * beta1 / beta2 if beta1 > 0 else 0.0
    return 2 * (1 - beta1) / sqrt((1 - beta2) * (1 - ratio))


def reach_of_long_mean(share, beta1, beta2, t):
    """The same after t steps, of a mean that may remember longer than v: m = sum share beta1^i g_i."""
    if beta2 <= 0 or beta1 <= 0:
        return inf
    grows = log(beta1) * 2 - log(beta2)
    if grows * t > 700:
        return inf
    terms = (exp(grows * t) - 1) / (exp(grows) - 1) if abs(grows) > 1e-12 else t
    return 2 * share * sqrt(terms / (1 - beta2))
