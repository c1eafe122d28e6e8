"""scikit-learn's SGD: one epoch of plain stochastic descent on the hinge loss, one class against the rest."""

import warnings

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier


def epoch(problem, threads, lr=0.01, alpha=0.0):
    """run() fits for one epoch; the penalty is alpha/2 * ||w||^2."""
    model = SGDClassifier(
        loss="hinge", penalty="l2" if alpha else None, alpha=alpha or 1e-4, tol=None, max_iter=1,
        learning_rate="constant", eta0=lr, n_jobs=threads, random_state=0,
    )  # fmt: skip

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(problem.X, problem.y)

    return run
