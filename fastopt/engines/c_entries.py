"""The C library's loops of linear models in the form of kernels/entries.py: the same tables, the same functions by name."""

from fastopt import native
from fastopt.kernels.tables import PROBLEM

NAME = "c"


def fields(loss, dtype, is_sparse):
    return [(PROBLEM.loss, row_loss(loss, dtype))]


def rule(rule, dtype, coefficients):
    return native.rule_number(rule), 1


def row_loss(loss, dtype):
    return native.LOSSES.index(type(loss).__name__)


def of_pass(loss, dtype, is_sparse, kind):
    return ()


def gram(dtype, is_sparse):
    return native.function("gram", dtype)


def take_groups(dtype):
    return native.function("take_groups", dtype)


def finish_gradient(dtype):
    return native.function("finish_gradient", dtype)


def loop(dtype, name):
    return native.function(name, dtype)


def help_crew(dtype):
    return native.function("help_crew", dtype)
