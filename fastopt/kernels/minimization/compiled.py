"""Plain functions of the package that users may want compiled."""

from numba import njit


def compiled(function):
    return njit(nogil=True, error_model="numpy")(function)
