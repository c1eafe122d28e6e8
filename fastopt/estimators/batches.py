"""Updates by a rule, batch by batch, with its state kept from call to call."""

import numpy as np

from fastopt import penalties
from fastopt.objective import Objective
from fastopt.optimizer import Optimizer
from fastopt.rules import SAM


class Batches:
    """W (classes, features) and b (classes,), moved by an fo.Optimizer from the gradients of batches.

    For what the compiled epochs of fo.train do not do: state that outlives a call (partial_fit), an l1
    (the steps of OWL-QN, Andrew & Gao 2007, with any rule), no intercept, the average of the iterates (Polyak & Juditsky 1992).
    A batch takes some 0.1 ms of Python.
    """

    def __init__(self, loss, rule, start, *, l1, l2, fit_intercept, average, schedule=None, threads=None):
        self.loss, self.rule, self.l1, self.l2 = loss, rule, l1, l2
        self.fit_intercept, self.schedule, self.threads = fit_intercept, schedule, threads
        if l1 and isinstance(rule, SAM):
            raise ValueError("SAM goes with no l1: where it climbs to, no weight is 0")
        self.W, self.b = start
        self._mean = (self.W.copy(), self.b.copy()) if average else None
        self._bind()

    def _bind(self):
        params = {"W": self.W, "b": self.b} if self.fit_intercept else {"W": self.W}
        schedules = (
            self.schedule
            if isinstance(self.schedule, dict) or self.schedule is None
            else {"lr": self.schedule}
        )
        self.optimizer = Optimizer(params, self.rule, schedules=schedules, threads=self.threads)

    def __getstate__(self):
        state = {name: value for name, value in self.__dict__.items() if name != "optimizer"}
        return {**state, "optimizer state": self.optimizer.state_dict()}

    def __setstate__(self, state):
        saved = state.pop("optimizer state")
        self.__dict__.update(state)
        self._bind()
        self.optimizer.load_state_dict(saved)

    def over(self, rows, size, order=None):
        """One pass over Rows in batches of `size`, in this order; the mean loss before each update."""
        total = 0.0
        count = rows.n if order is None else len(order)
        for begin in range(0, count, size):
            which = slice(begin, min(begin + size, count)) if order is None else order[begin : begin + size]
            total += self._step(rows.take(which))
        return total / max(1, count)

    def _step(self, rows):
        objective = Objective.of_rows(self.loss, rows, fit_intercept=self.fit_intercept, threads=self.threads)
        loss, grads = self._gradient(objective)
        if isinstance(self.rule, SAM):
            self.optimizer.ascend(grads)
            _, grads = self._gradient(objective)
        before = self._with_l1(grads["W"]) if self.l1 else None
        self.optimizer.step(grads)
        if before is not None:
            self.W[np.sign(self.W) * np.sign(before) < 0] = 0  # no weight changes its sign within a step
        if self._mean is not None:
            share = self.W.dtype.type(1 / self.optimizer.t)
            for mean, now in zip(self._mean, (self.W, self.b), strict=True):
                mean += share * (now - mean)
        return loss

    def _gradient(self, objective):
        """(the sum of losses of the rows, their mean gradient)"""
        loss, dW, db, _ = objective.gradient_sums(self.W, self.b if self.fit_intercept else None)
        dW /= dW.dtype.type(objective.n)
        penalties.L2(self.l2).add_gradient(self.W, dW)  # type: ignore[attr-defined]
        grads = {"W": dW}
        if self.fit_intercept:
            grads["b"] = db / db.dtype.type(objective.n)
        return loss, grads

    def _with_l1(self, dW):
        """Make dW the subgradient nearest to 0 of the whole objective, whatever the rule does; W as it is."""
        l1, W = dW.dtype.type(self.l1), self.W
        at_zero = np.sign(dW) * np.maximum(np.abs(dW) - l1, 0)
        dW[...] = np.where(W != 0, dW + l1 * np.sign(W), at_zero)
        return W.copy()

    @property
    def parameters(self):
        """(W, b): copies of the parameters, or of their average."""
        if hasattr(self.rule, "averaged"):
            averaged = self.optimizer.averaged()
            return averaged["W"], averaged.get("b", self.b.copy())
        return tuple(np.array(a) for a in (self._mean or (self.W, self.b)))
