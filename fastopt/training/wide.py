"""Epochs of rules that look at whole arrays or take two gradients a step: LARS, LAMB, Adafactor, Muon, SAM.

The compiled loops update element by element. Here Python takes each step: the gradient of a batch, then fo.Optimizer,
some 0.1 ms a step beside the work itself. Rows, order, losses, schedules and files are those of every run.
"""

import numpy as np

from fastopt import engines, rules
from fastopt.optimizer import Optimizer
from fastopt.rules import SAM


def is_wide(rule):
    """Whether a compiled loop cannot take it."""
    return isinstance(rule, SAM) or rules.is_whole(rule) or rules.has_norms(rule)


def _later(schedules, by):
    """The schedules counted from step `by` on; before it they stand at their first value."""
    if not by:
        return schedules
    return {name: lambda t, base, of=of: of(max(t - by, 0), base) for name, of in schedules.items()}


class WideSteps:
    """W and b, moved by an Optimizer that has taken so many steps before; `over(rows)` gives the loop of a stretch, as bind_epoch does."""

    def __init__(self, W, b, settings, taken=0):
        self.W, self.b, self._of = W, b, settings
        self.dW, self.db = np.empty_like(W), np.empty_like(b)
        self.optimizer = Optimizer(
            [W, b], settings.rule, schedules=_later(settings.schedules, taken), nonfinite="allow", backend=settings.backend,
            threads=settings.threads,
        )  # fmt: skip

    def slots(self):
        """The state's arrays of W, and of b, in the order of the rule's slots."""
        return [list(state.values()) for state in self.optimizer.state]

    def over(self, rows):
        """run(K, order, begin, end, loss) as engines.bind_epoch has it; K is not looked at: the optimizer counts."""
        of = self._of
        bind, batch = engines.get(of.backend).bind_gradient, min(of.batch, rows.n)

        def run(K, order, begin, end, total):
            norm = 0.0
            for step in range(begin, end):
                first, last = step * batch, min((step + 1) * batch, rows.n)
                which = slice(first, last) if order is None else order[first:last]
                value_at = bind(of.loss, rows.take(which), of.threads)
                value = self._gradient(value_at, last - first)
                if not np.isfinite(value):
                    return step, total, norm
                total, norm = (
                    total + value,
                    float(np.sqrt(np.vdot(self.dW, self.dW) + np.vdot(self.db, self.db))),
                )
                if isinstance(of.rule, SAM):
                    self.optimizer.ascend([self.dW, self.db])
                    self._gradient(value_at, last - first)
                self.optimizer.step([self.dW, self.db])
            return end, total, norm

        return run

    def _gradient(self, value_at, count):
        return value_at(self.W, self.b, self.dW, self.db, 1 / count, self._of.l2)
