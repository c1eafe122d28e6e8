"""What loss formulas use besides NumPy's own functions."""

import numpy as np


def zeros(like):
    """As np.zeros_like, which Numba takes for its own where it is asked for registers of rows."""
    return np.zeros_like(like)
