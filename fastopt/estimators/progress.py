"""What is told while an estimator fits: to scikit-learn's callbacks (1.9 and later), and to the terminal."""

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing, where scikit-learn has no callbacks."""

    def with_callbacks(method):
        return method


__all__ = ["CallbackSupportMixin", "Watch", "with_callbacks"]


class Watch:
    """Follows one fit of `estimator` to X and y; verbose prints a line an iteration.

    attributes(W, b): the fitted attributes that these parameters stand for, which callbacks get as an estimator.
    most: iterations at most.
    """

    def __init__(self, estimator, X, y, weight, attributes, most):
        self._estimator, self._attributes, self._count = estimator, attributes, 0
        self._given = {"X": X, "y": y, "metadata": None if weight is None else {"sample_weight": weight}}
        self._root = self._task = None
        if getattr(estimator, "_skl_callbacks", None):
            self._root = estimator._init_callback_context(max_subtasks=most)
            self._root.call_on_fit_task_begin(estimator=estimator, **self._given)

    def iteration(self, entry, parameters):
        """entry: what the history notes of an iteration; parameters: a function that gives (W, b). True: stop."""
        self._count += 1
        if self._estimator.verbose:
            values = ", ".join(f"{name} {value:.6g}" for name, value in entry.items())
            print(f"{type(self._estimator).__name__} {self._count}: {values}", flush=True)
        if self._root is None:
            return False
        task = self._root.subcontext(task_name="iteration")
        told = {"estimator": self._estimator, **self._given}
        task.call_on_fit_task_begin(**told)
        return task.call_on_fit_task_end(
            **told, reconstruction_attributes=lambda: self._attributes(*parameters())
        )

    def end(self):
        """The fit is over; the estimator has its attributes."""
        if self._root is not None:
            self._root.call_on_fit_task_end(
                estimator=self._estimator, **self._given, reconstruction_attributes={}
            )
