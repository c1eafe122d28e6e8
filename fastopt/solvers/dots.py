"""Sums of products without BLAS, whose pool of threads takes CPUs from the passes and makes sums depend on it."""

import numpy as np


def dot(a, b):
    return float(np.einsum("i,i", a, b))
