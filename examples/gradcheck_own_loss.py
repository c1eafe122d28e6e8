"""Is the gradient of my loss right? A focal loss, checked against differences; a slip is found and named."""

import numpy as np

import fastopt as fo

rng = np.random.default_rng(0)
X, y = rng.normal(size=(50, 8)), rng.integers(0, 2, 50) * 2.0 - 1


def focal(w):
    """Mean of -(1 - p)^2 log p, p the probability of the right label (Lin et al. 2017)."""
    p = 1 / (1 + np.exp(-y * (X @ w)))
    return float(np.mean(-((1 - p) ** 2) * np.log(p)))


def gradient(w):
    p = 1 / (1 + np.exp(-y * (X @ w)))
    d_p = 2 * (1 - p) * np.log(p) - (1 - p) ** 2 / p
    return X.T @ (d_p * p * (1 - p) * y) / len(y)


w = rng.normal(size=8)
print(fo.gradcheck(focal, gradient, w))
try:
    fo.gradcheck(focal, lambda w: gradient(w) * len(y), w)  # the mean forgotten
except fo.GradcheckError as error:
    print(error)
    assert "n" in str(error)
else:
    raise AssertionError("a wrong gradient passed")
