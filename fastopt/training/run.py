"""One training run: the parameters with their state, and where it stands."""

import time
from typing import Any, NamedTuple

import numpy as np

from fastopt import engines, rules
from fastopt.arrays import aligned_zeros
from fastopt.fit import Fit
from fastopt.kernels.tables import ORDER
from fastopt.preparing import preparing, seconds_preparing
from fastopt.rows import check_all_finite
from fastopt.schedules import values_at
from fastopt.stepping.coefficients import coefficient_table
from fastopt.training import resume
from fastopt.training.averaging import Average
from fastopt.training.ending import NOTHING_YET, Diverged, has_grown, loss_of_zeros
from fastopt.training.history import History
from fastopt.training.settings import identity
from fastopt.training.starting import checked_start
from fastopt.training.wide import WideSteps, is_wide

STRETCH = 0.05  # seconds inside the compiled loop between two looks at progress and Ctrl-C
FIRST_STRETCH = 1 << 28  # multiply-adds of the first one: some 10 ms


class Progress(NamedTuple):
    """Where a run stands: updates made, updates in all, and the mean loss of this epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


class Run:
    """A run of `settings` on `examples`, from zeros or `start`, or from where the file `path` says it stands."""

    def __init__(self, examples, settings, start, path):
        self.examples, self.settings, self.rows = examples, settings, examples.rows
        self.step = self.epoch = 0
        self.history, self.best, self._average = History(), NOTHING_YET, None
        self._base = settings.base_rule
        rules.checked(self._base, {self.rows.dtype})
        start = checked_start(start, self.rows, self._base)
        self._taken = start.t if start else 0  # steps of the rule before this run's first
        self._allocate(start)
        self._epoch_loop: Any = None
        self.seconds, self._prepared = 0.0, seconds_preparing()
        self._first_loss = self._loss_at_start(start)
        self._path = resume.checked_path(path)
        self._identity = None if path is None else self._identity_of(start.arrays() if start else None)
        decay = settings.average
        begin = settings.average_from
        self._average = decay and Average(decay, self.W, self.b, settings.steps_per_epoch, begin)
        if self._path is not None and self._path.exists():
            self._resume()
        self._good = (self.W.copy(), self.b.copy(), self.step)
        self._lowest_loss, self._lowest = self._first_loss, (self.W.copy(), self.b.copy(), self.step)
        with preparing():
            self._epoch_loop = self._bind(self.rows) if self.rows.in_memory else None
        self._steps_at_once = max(1, FIRST_STRETCH * settings.steps_per_epoch // max(1, self.rows.work))

    def _identity_of(self, start):
        """What the run has in common with those that may go on from its file."""
        return identity(self.settings, self.examples, start)

    def _bind(self, rows):
        if self._wide is not None:
            return self._wide.over(rows)
        of, parameters = self.settings, ((self.W, self.W_slots), (self.b, self.b_slots))
        bind = engines.get(of.backend).bind_epoch
        return bind(rows, of.loss, of.rule, parameters, min(of.batch, rows.n), of.l2, of.threads)

    def _allocate(self, start):
        shape, dtype = (self.rows.classes, self.rows.features), self.rows.dtype
        self.W, self.b = _filled(shape, dtype, 0.0), _filled(shape[:1], dtype, 0.0)
        if start:
            self.W[...], self.b[...] = start.W, start.b
        self._wide = (
            WideSteps(self.W, self.b, self.settings, self._taken) if is_wide(self.settings.rule) else None
        )
        if self._wide is not None:
            self.W_slots, self.b_slots = self._wide.slots()
            self._wide.optimizer.t = self._taken
            self._take_state(start)
            return
        rule = self.settings.rule
        starts = list(zip(rule.slots, rules.initial(rule), strict=True))
        copies = getattr(rule, "copies", ())
        for p, slots in ((self.W, "W_slots"), (self.b, "b_slots")):
            setattr(self, slots, [_filled(p.shape, dtype, p if s in copies else v) for s, v in starts])
        self._take_state(start)

    def _take_state(self, start):
        """The slots that a file has, in the place of fresh ones."""
        for which, slots in enumerate((self.W_slots, self.b_slots)):
            for name, array in zip(self._base.slots, slots, strict=True):
                if start is None or name not in start.slots:
                    continue
                given = start.slots[name][which]
                if given.shape != array.shape:
                    raise ValueError(f"start: slot {name} is of shape {given.shape}, not {array.shape}")
                array[...] = given

    def _loss_at_start(self, start):
        if not start:
            return loss_of_zeros(self.settings.loss, self.rows, self.examples.chosen)
        if not self.rows.in_memory:
            return self.fit().evaluate_rows(self.rows, np.s_[:])[0]
        numbers = np.arange(self.rows.n) if self.examples.chosen is None else self.examples.chosen
        return self.fit().evaluate_rows(self.rows, numbers)[0]

    def is_over(self):
        patience = self.settings.patience
        tired = patience is not None and self.best.epochs_since >= patience
        return tired or self.epoch >= self.settings.epochs

    def one_epoch(self, progress):
        """One epoch, in stretches of about STRETCH seconds."""
        began, prepared, of = time.perf_counter(), seconds_preparing(), self.settings
        loss_sum = norm = 0.0
        for first, last, order in self._windows():
            done = first
            while done < last:
                end = min(done + self._steps_at_once, last)
                if self._average:
                    end = min(end, self._average.next_point(done))
                loss_sum, norm = self._stretch(order, done - first, end - first, loss_sum)
                done = end
                if self._average:
                    self._average.take(self.W, self.b, done, self.step)
                if progress is not None:
                    total = of.steps_per_epoch * of.epochs
                    progress(Progress(self.epoch + 1, of.epochs, self.step, total, loss_sum / done))
        loss = loss_sum / of.steps_per_epoch
        if reason := has_grown(loss, self._first_loss, self.history.last("loss_train")):
            self._good = self._lowest
            self._diverge(self.step, reason)
        seconds = max(time.perf_counter() - began - (seconds_preparing() - prepared), 1e-7)
        self.seconds += seconds
        self._note(loss, norm, seconds)
        self.epoch += 1
        if loss <= self._lowest_loss:
            self._lowest_loss, self._lowest = loss, (self.W.copy(), self.b.copy(), self.step)
        if self._path is not None:
            self._save()

    def _stretch(self, order, begin, end, loss_sum):
        """The steps [begin, end) of a window: (the sum of losses with theirs, the last gradient's norm)."""
        of = self.settings
        K = (
            None
            if self._wide
            else coefficient_table(of.rule, of.schedules, self.step, end - begin, self._taken)
        )
        start = time.perf_counter()
        stopped, loss_sum, norm = self._epoch_loop(K, order, begin, end, loss_sum)
        self.step += stopped - begin
        if stopped < end or not self._is_finite():
            check_all_finite(self.rows, None)  # no learning rate would help
            self._diverge(self.step + 1, "the loss is not finite")
        seconds = max(time.perf_counter() - start, 1e-7)
        wanted = int((end - begin) * STRETCH / seconds)
        self._steps_at_once = max(1, min(2 * self._steps_at_once, wanted))
        if of.backend == "handover":
            left = of.steps_per_epoch * of.epochs - self.step
            self._epoch_loop.consider(left * seconds / (end - begin))
        self._keep()
        return loss_sum, norm

    def _windows(self):
        """(first step, last, order of its rows) of the windows of an epoch: of rows in memory there is one."""
        yield 0, self.settings.steps_per_epoch, self._order()

    def _order(self):
        """Row numbers in the order of use, None for as they stand; of this epoch alone."""
        n, chosen = self.rows.n, self.examples.chosen
        rng = np.random.default_rng([self.settings.seed, self.epoch])
        if self.settings.sampling == "shuffle" and self.settings.batch < n:
            order = rng.permutation(n)
        elif self.settings.sampling == "replacement":
            order = rng.integers(0, n, n)
        else:
            return chosen
        return order if chosen is None else chosen[order]

    def _is_finite(self):
        return bool(np.isfinite(self.W).all() and np.isfinite(self.b).all())

    def _keep(self):
        """A copy of the parameters, made in the arrays of the last one."""
        W, b, _ = self._good
        W[...], b[...] = self.W, self.b
        self._good = W, b, self.step

    def go_back(self):
        """To the last parameters that are known to be good."""
        self.W, self.b, self.step = self._good

    def _diverge(self, step, reason):
        lr = float(self._now().lr) if hasattr(self._base, "lr") else float("nan")
        self.go_back()
        self._average = None
        raise Diverged(step, lr, self.fit(), reason)

    def _now(self):
        """The rule with the hyperparameters of the last step."""
        of = self.settings
        return self._base._replace(**values_at(of.schedules, self._base, max(0, self.step - 1)))

    def _note(self, loss, norm, seconds):
        held_out = float("nan"), float("nan")
        if self.examples.validation is not None:
            W, b = self._parameters()
            held_out = self._fit_of(W, b).evaluate_rows(*self.examples.validation)
            self.best = self.best.after(held_out[0], W, b)
        self.history.note(
            epoch=self.epoch + 1,
            loss_train=loss,
            loss_validation=held_out[0],
            accuracy_validation=held_out[1],
            lr=getattr(self._now(), "lr", float("nan")),
            gradient_norm=norm,
            seconds=seconds,
            samples_per_second=self.rows.n / seconds,
        )

    def fit(self, interrupted=False):
        """The result as it stands: with early stopping, or interrupted, that of the best epoch if one is known."""
        best = self.best is not NOTHING_YET and (interrupted or self.settings.patience is not None)
        W, b = (self.best.W, self.best.b) if best else self._parameters()
        fit = self._fit_of(np.array(W), np.array(b))
        fit.history, fit.steps, fit.interrupted = self.history.arrays(), self.step, interrupted
        fit.average, fit.backend = self._average_in_words(), self._backend()
        fit.seconds, fit.seconds_preparing = self.seconds, seconds_preparing() - self._prepared
        return fit

    def _backend(self):
        """The one that computes now."""
        found = getattr(self._epoch_loop, "backend", self.settings.backend)
        return "c" if found == "handover" else found  # of a source, before its first window

    def _parameters(self):
        """(W, b), averaged where that is asked for, or where the rule says what its model is."""
        if self._average and self._average.has_points:
            return self._average.parameters(self.W.dtype)
        rule = self._base
        if hasattr(rule, "averaged") and self.step:
            pairs = ((self.W, self.W_slots), (self.b, self.b_slots))
            W, b = (rule.averaged(rule, p, dict(zip(rule.slots, s, strict=True))) for p, s in pairs)
            return W.astype(self.W.dtype, copy=False), b.astype(self.b.dtype, copy=False)
        return self.W, self.b

    def _average_in_words(self):
        """Which average `_parameters` gives, or None."""
        if self._average and self._average.has_points:
            return str(self._average)
        rule = self._base
        return f"{type(rule).__name__}'s own" if hasattr(rule, "averaged") and self.step else None

    def _fit_of(self, W, b):
        fit = Fit(W, b, self.settings.loss, scale=self.rows.scale, classes=self.examples.classes)
        fit.order = None if self.settings.backend == "numpy" else ORDER
        return fit

    def parameters(self):
        """Copies of (W, b) as they stand."""
        return self.W.copy(), self.b.copy()

    def _arrays(self):
        slots = self._base.slots
        of_W = {f"W_{s}": a for s, a in zip(slots, self.W_slots, strict=True)}
        of_b = {f"b_{s}": a for s, a in zip(slots, self.b_slots, strict=True)}
        of_average = self._average.arrays() if self._average else {}
        return {"W": self.W, "b": self.b, **of_W, **of_b, **of_average}

    def _save(self):
        state = {"step": self.step, "epoch": self.epoch, "taken": self._taken}
        resume.save(self._path, self._identity, state, self._arrays(), self.history, self.best)

    def _resume(self):
        of = self.settings
        state, self.best = resume.load(
            self._path, self._identity, self._arrays(), self.history, of.epochs, of.steps_per_epoch
        )
        self.step, self.epoch = state["step"], state["epoch"]
        if self._wide is not None:
            self._wide.optimizer.t = self._taken + self.step
        if self._average:
            self._average.has_points = self.epoch > self._average.begin


def _filled(shape, dtype, value):
    array = aligned_zeros(int(np.prod(shape)), dtype).reshape(shape)
    array += value
    return array
