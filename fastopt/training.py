"""Training a linear model: epochs inside a compiled loop, and what is kept of them."""

import hashlib
import time
import warnings
from numbers import Real
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastopt import checkpoint as files
from fastopt import losses, rules
from fastopt.arrays import aligned_zeros, checked_l2, checked_number
from fastopt.engines import choose
from fastopt.epochs import bind_epoch
from fastopt.fit import Fit, checked_classes
from fastopt.losses import Softmax
from fastopt.rows import checked_rows
from fastopt.rules import Momentum
from fastopt.schedules import checked_schedules, for_run, values_at
from fastopt.threads import checked_threads

STRETCH = 0.05  # seconds inside the compiled loop between two looks at progress and Ctrl-C
FIRST_STRETCH = 1 << 28  # multiply-adds of the first one: some 10 ms
DIGESTED = 1 << 20  # numbers of X that tell one training set from another
HISTORY = (
    "epoch", "loss_train", "loss_validation", "accuracy_validation", "lr", "gradient_norm", "seconds",
    "samples_per_second",
)  # fmt: skip


class Diverged(FloatingPointError):
    """The loss became NaN or infinite. step and lr say where; fit has the last good parameters."""

    def __init__(self, step, lr, fit):
        self.step, self.lr, self.fit = step, lr, fit
        super().__init__(
            f"training diverged at step {step} with learning rate {lr:g}: the loss is not finite. "
            "The last good parameters are in this error's .fit; try a smaller learning rate"
        )

    def __reduce__(self):
        return type(self), (self.step, self.lr, self.fit)


class Progress(NamedTuple):
    """Where a run stands: updates made, updates in all, and the mean loss of this epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


def train(
    X,
    y,
    loss=Softmax(),
    rule=Momentum(0.1),
    schedule=None,
    epochs=10,
    batch_size=128,
    l2=0.0,
    sampling="shuffle",
    seed=0,
    validation=None,
    progress=None,
    checkpoint=None,
    backend="auto",
    threads=None,
    *,
    scale=None,
    classes=None,
):
    """Minimize mean_i L_i + l2*sum(W**2) over W and b of the scores X W^T + b, from zeros.

    X: (n, features) float32, float64 or uint8, C-ordered, or scipy CSR. uint8 is multiplied by
        `scale` (1/255) inside the loop and trained in float32.
    y: (n,) class numbers 0, 1, ...; real numbers for SquaredError regression.
    schedule: a schedule of the learning rate, or a dict {hyperparameter: schedule}, over steps.
    batch_size: None is batch gradient descent, 1 plain SGD. The last batch may be smaller.
    sampling: "shuffle" (a new order every epoch), "replacement" (drawn independently) or
        "sequential".
    validation: (X, y), or the share of the rows to hold out, drawn with seed.
    progress: a function called with a Progress some twenty times a second.
    checkpoint: a file, written after every epoch; where it exists, the run is taken up from it and
        gives the same bits as one that was never interrupted. Refused with other data or settings.
    classes: what the class numbers stand for, kept in the result; W has a row for each of them.

    Returns a Fit; after Ctrl-C the model so far, with a warning. The same seed gives the same bits,
    whatever the number of threads. Raises Diverged when the loss stops being finite, and TypeError
    or ValueError for arguments that do not fit.
    """
    run = _Run(X, y, loss, rule, epochs, batch_size, l2, sampling, seed, validation, scale, classes)
    run.prepare(schedule, backend, threads, checkpoint)
    try:
        while run.epoch < run.epochs:
            run.one_epoch(progress)
    except KeyboardInterrupt:
        run.W, run.b, run.step = run.good  # the stretch that was cut off may have changed b alone
        warnings.warn(f"interrupted in epoch {run.epoch + 1}: the model so far is returned", stacklevel=2)
        return run.fit(interrupted=True)
    return run.fit()


class _Run:
    """One training run: the data, the parameters with their state, and where it stands."""

    def __init__(self, X, y, loss, rule, epochs, batch_size, l2, sampling, seed, validation, scale, classes):
        self.loss, self.rule = losses.checked(loss), rules.checked(rule)
        self.epochs = _whole(epochs, "epochs", 0)
        self.l2 = checked_l2(l2)
        if sampling not in ("shuffle", "replacement", "sequential"):
            raise ValueError(f'sampling must be "shuffle", "replacement" or "sequential", not {sampling!r}')
        self.sampling, self.seed, self.classes = sampling, _whole(seed, "seed", 0), checked_classes(classes)
        rows = _model_rows(self.loss, y, self.classes)
        X, y, self.validation = _hold_out(X, y, validation, self.seed)
        self.data = checked_rows(self.loss, X, y, classes=rows, scale=scale)
        n = self.data.n
        if n == 0:
            raise ValueError("X has no rows: there is nothing to train on")
        self.batch = n if batch_size is None else min(n, _whole(batch_size, "batch_size", 1))
        self.steps_per_epoch = -(-n // self.batch)
        self.step = self.epoch = 0
        self.history = {name: [] for name in HISTORY}

    def prepare(self, schedule, backend, threads, path):
        schedule = schedule if isinstance(schedule, dict) or schedule is None else {"lr": schedule}
        total = self.steps_per_epoch * self.epochs
        schedules = {k: for_run(s, max(1, total)) for k, s in (schedule or {}).items()}
        self.schedules = checked_schedules(schedules, self.rule)
        self.backend = choose.resolve(backend, self.rule, self.loss)
        self.threads = checked_threads(threads)
        shape = (self.data.classes, self.data.features)
        starts = rules.initial(self.rule)
        self.W, *self.W_slots = (_filled(shape, self.data.dtype, v) for v in (0.0, *starts))
        self.b, *self.b_slots = (_filled(shape[:1], self.data.dtype, v) for v in (0.0, *starts))
        self.good = (self.W.copy(), self.b.copy(), 0)
        self.path = None if path is None else Path(path)
        if self.path is not None and not self.path.parent.is_dir():
            raise FileNotFoundError(f"checkpoint {self.path}: there is no directory {self.path.parent}")
        self.digest = "" if self.path is None else _digest(self.data)
        if self.path is not None and self.path.exists():
            self._resume()
        parameters = ((self.W, self.W_slots), (self.b, self.b_slots))
        self._epoch_loop = bind_epoch(
            self.backend, self.data, self.loss, self.rule, parameters, self.batch, self.l2, self.threads
        )
        self._steps_at_once = max(1, FIRST_STRETCH * self.steps_per_epoch // max(1, self.data.work))

    def one_epoch(self, progress):
        """One epoch, in stretches of about STRETCH seconds."""
        began = time.perf_counter()
        order = self._order()
        done, loss_sum = 0, 0.0
        while done < self.steps_per_epoch:
            end = min(done + self._steps_at_once, self.steps_per_epoch)
            K = coefficient_table(self.rule, self.schedules, self.step, end - done)
            start = time.perf_counter()
            stopped, loss_sum, self.norm = self._epoch_loop(K, order, done, end, loss_sum)
            self.step += stopped - done
            if stopped < end or not self._finite():
                self._diverge()
            seconds = max(time.perf_counter() - start, 1e-7)
            wanted = int((end - done) * STRETCH / seconds)
            self._steps_at_once = max(1, min(2 * self._steps_at_once, wanted))
            done = end
            self.good = self._keep()
            if progress is not None:
                total = self.steps_per_epoch * self.epochs
                progress(Progress(self.epoch + 1, self.epochs, self.step, total, loss_sum / done))
        self._record(loss_sum / self.steps_per_epoch, time.perf_counter() - began)
        self.epoch += 1
        if self.path is not None:
            self._save()

    def _order(self):
        """Row numbers in the order of use, None for as they stand; of this epoch alone."""
        n = self.data.n
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.sampling == "shuffle" and self.batch < n:
            return rng.permutation(n)
        return rng.integers(0, n, n) if self.sampling == "replacement" else None

    def _finite(self):
        return bool(np.isfinite(self.W).all() and np.isfinite(self.b).all())

    def _keep(self):
        """A copy of the parameters, made in the arrays of the last one."""
        W, b, _ = self.good
        W[...], b[...] = self.W, self.b
        return W, b, self.step

    def _diverge(self):
        lr = float(self._now().lr) if hasattr(self.rule, "lr") else float("nan")
        step = self.step + 1
        self.W, self.b, self.step = self.good
        raise Diverged(step, lr, self.fit())

    def _now(self):
        return self.rule._replace(**values_at(self.schedules, self.rule, max(0, self.step - 1)))

    def _record(self, loss, seconds):
        lr = getattr(self._now(), "lr", float("nan"))
        if self.validation is None:
            held_out = (float("nan"), float("nan"))
        else:
            held_out = self.fit().evaluate(*self.validation)
        speed = self.data.n / seconds
        values = (self.epoch + 1, loss, *held_out, lr, self.norm, seconds, speed)
        for name, value in zip(HISTORY, values, strict=True):
            self.history[name].append(value)

    def fit(self, interrupted=False):
        history = {name: np.array(values) for name, values in self.history.items()}
        W, b = np.array(self.W), np.array(self.b)
        return Fit(
            W, b, self.loss, scale=self.data.scale, classes=self.classes, history=history, steps=self.step,
            interrupted=interrupted,
        )  # fmt: skip

    def _settings(self):
        """What two runs must share so that one can go on where the other stopped."""
        return {
            "rule": type(self.rule).__name__,
            "hyperparameters": self.rule._asdict(),
            "loss": type(self.loss).__name__,
            "loss_hyperparameters": self.loss._asdict(),
            "schedules": {name: repr(s) for name, s in self.schedules.items()},
            "batch_size": self.batch,
            "l2": self.l2,
            "sampling": self.sampling,
            "seed": self.seed,
            "scale": float(self.data.scale),
            "rows": self.data.n,
            "shape": [self.data.classes, self.data.features],
            "dtype": self.data.dtype.name,
            "digest of X and y": self.digest,
        }

    def _arrays(self):
        slots = {f"W_{s}": a for s, a in zip(self.rule.slots, self.W_slots, strict=True)}
        slots |= {f"b_{s}": a for s, a in zip(self.rule.slots, self.b_slots, strict=True)}
        return {"W": self.W, "b": self.b, **slots}

    def _save(self):
        meta = {"kind": "run", "settings": self._settings(), "step": self.step, "epoch": self.epoch}
        history = {f"history_{name}": np.array(values) for name, values in self.history.items()}
        files.write(self.path, meta, {**self._arrays(), **history})

    def _resume(self):
        meta, found = files.read(self.path, "run")
        mine, theirs = self._settings(), meta["settings"]
        # What a checkpoint of an earlier version does not hold is not compared.
        differ = [f"{k}: {theirs[k]!r}, now {v!r}" for k, v in mine.items() if theirs.get(k, v) != v]
        if differ:
            raise ValueError(f"checkpoint {self.path} is of another run ({'; '.join(differ)})")
        if meta["epoch"] > self.epochs:
            raise ValueError(
                f"checkpoint {self.path} has {meta['epoch']} epochs, more than the {self.epochs} asked for: "
                f"pass epochs={meta['epoch']} or more, or another file to start anew"
            )
        for name, array in self._arrays().items():
            array[...] = found[name]
        self.history = {name: list(found[f"history_{name}"]) for name in HISTORY}
        self.step, self.epoch = meta["step"], meta["epoch"]
        self.good = (self.W.copy(), self.b.copy(), self.step)


def coefficient_table(rule, schedules, first, count):
    """The rule's coefficients at the steps first+1, ..., first+count: (count, k) float64.

    Where all rows are the same they are one in memory.
    """
    if not schedules:
        if rules.looks_at_t(rule):
            rows = [rule.coefficients(rule, float(t)) for t in range(first + 1, first + count + 1)]
            return np.array(rows, np.float64)
        row = rule.coefficients(rule, float(first + 1))
        return np.broadcast_to(np.array(row, np.float64), (count, len(row)))
    values = values_at(schedules, rule, np.arange(first, first + count))
    columns = {name: np.broadcast_to(v, count).tolist() for name, v in values.items()}
    rows = []
    for i in range(count):
        now = rule._replace(**{name: column[i] for name, column in columns.items()})
        rows.append(rule.coefficients(now, float(first + i + 1)))
    return np.array(rows, np.float64)


def _digest(rows):
    """A digest of y and of X, of a large X by some rows spread over it: it is taken in milliseconds."""
    count = min(rows.n, max(16, DIGESTED // max(1, rows.features)))
    part = rows.take(np.linspace(0, rows.n - 1, count).astype(np.int64))
    found = hashlib.blake2b(np.ascontiguousarray(rows.y), digest_size=8)
    for array in part.sparse or (part.X,):
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()


def _filled(shape, dtype, value):
    array = aligned_zeros(int(np.prod(shape)), dtype).reshape(shape)
    array += value
    return array


def _whole(value, name, least):
    if isinstance(value, bool) or not isinstance(value, Real) or value < least or value % 1 != 0:
        raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}")
    return int(value)


def _model_rows(loss, y, classes):
    """The rows of W for all classes there are, also those of which no row will be trained on; or None."""
    y = np.asarray(y)
    if y.dtype.kind not in "iub" or not y.size:
        return None
    count = int(y.max()) + 1
    if count > max(y.size, 1 << 20):
        raise ValueError(f"y has the class number {count - 1} in {y.size} rows; classes are 0, 1, 2, ...")
    if classes is not None and len(classes) < count:
        raise ValueError(f"classes names {len(classes)} classes, y has {count}")
    count = max(count, 0 if classes is None else len(classes))
    return 1 if loss.one_row == "binary" and count <= 2 else max(2, count)


def _hold_out(X, y, validation, seed):
    """(X, y, validation pair or None): a share of the rows is drawn for validation with seed."""
    if validation is None or isinstance(validation, (tuple, list)):
        if validation is not None and len(validation) != 2:
            raise ValueError("validation must be (X, y) or a share of the rows")
        return X, y, validation
    share = checked_number(validation, "validation", "(X, y) or a share between 0 and 1")
    if not 0 < share < 1:
        raise ValueError(f"validation must be (X, y) or a share between 0 and 1, not {validation!r}")
    y = np.asarray(y)
    order = np.random.default_rng([seed, 1 << 32]).permutation(X.shape[0])
    count = max(1, int(round(share * len(order))))
    held, kept = np.sort(order[:count]), np.sort(order[count:])
    return X[kept], y[kept], (X[held], y[held])
