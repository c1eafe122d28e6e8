"""What is noted of each epoch."""

import numpy as np

NAMES = (
    "epoch", "loss_train", "loss_validation", "accuracy_validation", "lr", "gradient_norm", "seconds",
    "samples_per_second",
)  # fmt: skip


class History:
    """A list of numbers for each of NAMES, one an epoch."""

    def __init__(self):
        self._values = {name: [] for name in NAMES}

    def note(self, **values):
        """One epoch's numbers, all of NAMES."""
        for name in NAMES:
            self._values[name].append(values[name])

    def last(self, name):
        """Of the last epoch; None before the first."""
        return self._values[name][-1] if self._values[name] else None

    def latest(self):
        """The numbers of the last epoch by their names."""
        return {name: values[-1] for name, values in self._values.items()}

    def arrays(self):
        return {name: np.array(values) for name, values in self._values.items()}

    def restore(self, arrays):
        self._values = {name: list(arrays[name]) for name in NAMES}
