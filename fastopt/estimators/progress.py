"""What is told while an estimator fits: to scikit-learn's callbacks, and to the terminal."""


class Watch:
    """Follows one fit of `estimator`; verbose prints a line an iteration."""

    def __init__(self, estimator):
        self._estimator, self._count = estimator, 0

    def iteration(self, entry):
        """entry: a dict of what the history notes of an iteration or epoch."""
        self._count += 1
        if self._estimator.verbose:
            values = ", ".join(f"{name} {value:.6g}" for name, value in entry.items())
            print(f"{type(self._estimator).__name__} {self._count}: {values}", flush=True)
