"""Update rules: one class a formula, in order of growing complexity. RULES is the one registry.

A rule is a NamedTuple whose fields are its hyperparameters, with
    slots                    the names of its state arrays, each of the parameter's shape
    initial(h)               where a slot starts, one number each (0 where there is no `initial`)
    coefficients(h, t)       once a step, in float64; t counts from 1
    update(h, k, p, g, s)    once an element, in the array's dtype: the new p and the new slots
`update` has no literals (they would turn float32 into float64) and no branches; it is called by
the kernels on single elements and by the NumPy back end on whole arrays.
"""

from fastopt.rules.adagrad import AdaDelta, AdaGrad
from fastopt.rules.adam import Adam, Adamax, AdamW, AMSGrad, NAdam
from fastopt.rules.lion import Lion
from fastopt.rules.momentum import ClassicalMomentum, Momentum, Nesterov
from fastopt.rules.rmsprop import CenteredRMSProp, RMSProp
from fastopt.rules.sgd import SGD

RULES = (
    SGD,
    Momentum,
    ClassicalMomentum,
    Nesterov,
    AdaGrad,
    RMSProp,
    CenteredRMSProp,
    Adam,
    AdamW,
    AMSGrad,
    AdaDelta,
    Adamax,
    NAdam,
    Lion,
)
