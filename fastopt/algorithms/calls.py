"""How a solver calls the user's functions: an object here, an address in compiled code."""


def evaluate(fun, x, g):
    """The value at x; the gradient goes to g."""
    return fun.evaluate(x, g)


def value(fun, x):
    return fun.value(x)


def hessian(fun, x, H, row):
    """The Hessian at x goes to the flat H, row by row; by differences one row a call. Returns the next row, or n."""
    return fun.hessian(x, H, row)


def product(fun, x, v, out):
    """The Hessian at x times v goes to out."""
    fun.product(x, v, out)


def residuals(fun, x, r):
    fun.residuals(x, r)


def jacobian(fun, x, r, J):
    """The Jacobian at x, where the residuals are r, goes to the flat J, row by row."""
    fun.jacobian(x, r, J)


def rule_step(rule, number):
    """The rule's step on x with the gradient in g; number: of this stretch."""
    rule.step(number)
