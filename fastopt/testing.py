"""For tests of your own: from fastopt.testing import assert_gradient."""

from fastopt.checking.check import gradcheck


def assert_gradient(f, grad, x, **options):
    """Fail the test, naming the wrong entries, unless grad is the gradient of f at x.

    Arguments as in fo.gradcheck; pytest shows the report instead of a traceback through the checker.
    """
    __tracebackhide__ = True
    options.setdefault("raise_exception", True)
    return gradcheck(f, grad, x, **options)
