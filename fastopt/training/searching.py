"""fo.search: hyperparameters of fo.train, by what they do to rows that are held out."""

import contextlib
import inspect
import itertools
import math
import sys
import threading
import time
import warnings
from typing import Any, NamedTuple

import numpy as np

from fastopt import checkpoint as files
from fastopt import rules
from fastopt.arrays import checked_number, checked_whole
from fastopt.losses import Softmax
from fastopt.minimization.result import result_class
from fastopt.minimization.searches import halving
from fastopt.rules import Momentum
from fastopt.threads import checked_threads, share, usable_threads
from fastopt.training.ending import Diverged
from fastopt.training.examples import checked_examples
from fastopt.training.resume import checked_path
from fastopt.training.settings import described, digest_of_data

METHODS = ("grid", "random", "halving")
_OURS = {"X", "y", "validation", "progress", "checkpoint", "watch", "log", "threads"}
_OF_DATA = ("scale", "classes", "sample_weight", "class_weight")
_WEIGHTS = ("sample_weight", "class_weight")  # in a file they are in the digest of the data
# Of the time that writing the file may take, all of it each time: 600 trials of 5 ms took 11.1 s, now 6.8.
_SHARE = 1 / 10


def search(
    space, X, y, *, validation=0.2, method="grid", samples=None, keep=1 / 3, seed=0, workers=None, progress: Any = False,
    checkpoint=None, **options,
):  # fmt: skip
    """Train with many hyperparameters; the best is the one that does best on rows that are held out.

    space: {name: list of values}. Names are options of fo.train (loss, rule, l2, batch_size, epochs, solver, penalty,
        average, ...) and hyperparameters of the rule (lr, beta1, ...). With samples= a dimension may also be a
        function of a numpy Generator, or have rvs(random_state=), as scipy.stats.loguniform(1e-4, 1) has.
    X, y, options: as in fo.train, the same for every trial.
    validation: (X, y), or the share of the rows to hold out, drawn with seed.
    method: "grid", all combinations; "random", `samples` of them (10), each at most once where all dimensions are
        lists; "halving", all of them (or samples) for few epochs, the best share `keep` for 1 / keep times as many,
        and so on up to `epochs` (successive halving, Jamieson & Talwalkar 2016).
    workers: trials at a time (all threads); point i follows from (seed, i), and the answer is the same for any number.
    progress: True for a line on standard error, or a function of each trial's dict; its StopIteration ends the search
        as Ctrl-C does.
    checkpoint: a file, written after every trial, or less often where that would take more than a tenth of the time,
        and at the end; where it exists, its trials are not made again, so after a kill the same call goes on. Of a
        grid or random points there may be more; all else must be the same (ValueError).

    Result: x (the best point, a dict), fit (its model, trained without the rows that are held out), training and
    validation (what `measure` says: "accuracy"; in regression the mean "loss", or the root mean square "error"
    where the losses differ), trials (dicts: index, point, epochs, training, validation, loss_training,
    loss_validation, seconds, diverged), fun (what was minimized: 1 - accuracy, or the loss or error), nfev (trials
    made now), success, message. Of equals the first is best. Ctrl-C returns the best so far.
    Raises ValueError or TypeError for what does not fit, before the first trial where that can be told.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    if progress not in (True, False, None) and not callable(progress):
        raise TypeError(f"progress must be True or a function of a dict, not {type(progress).__name__}")
    if validation is None:
        raise ValueError("validation must be (X, y) or a share between 0 and 1: a search is judged by it")
    seed, workers = checked_whole(seed, "seed", 0), checked_threads(workers, "workers")
    points = _points(space, method, samples, seed)
    for point in points:
        _arguments(point, options, method, validation)
    draw = ["halving", keep, len(points)] if method == "halving" else "each"
    trials = Trials(points, (X, y, validation, seed), options, workers, progress, checkpoint, draw)
    if method == "halving":
        trials.halve(_budgets(options.get("epochs", 10), len(points), keep), keep)
    else:
        trials.all()
    return trials.result()


def _points(space, method, samples, seed):
    """[{name: value}], of which each follows from its number."""
    if not isinstance(space, dict) or not space:
        raise ValueError("space must be a dict {name: values} with at least one entry")
    axes = {name: _values(name, values) for name, values in space.items()}
    listed = all(isinstance(values, list) for values in axes.values())
    if samples is None and not listed:
        raise ValueError("space: a dimension that is not a list of values needs samples=")
    if samples is None and method == "random":
        samples = 10
    if method == "grid" and samples is not None:
        raise ValueError('samples is for method="random" and "halving"')
    if samples is not None:
        samples = checked_whole(samples, "samples", 1)
    if not listed:
        return [
            {n: _drawn(v, np.random.default_rng([seed, i, j])) for j, (n, v) in enumerate(axes.items())}
            for i in range(samples)
        ]
    count = math.prod(map(len, axes.values()))
    if samples is None or samples >= count:
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(count)[:samples] if count <= 1_000_000 else rng.integers(count, size=samples)
    places = np.unravel_index(numbers, tuple(map(len, axes.values())))
    return [
        {name: values[place[i]] for (name, values), place in zip(axes.items(), places, strict=True)}
        for i in range(samples)
    ]


def _values(name, values):
    if callable(values) or hasattr(values, "rvs"):
        return values
    if isinstance(values, (str, dict)) or not hasattr(values, "__len__") or not len(values):
        raise ValueError(
            f"space[{name!r}] must be a list of values, or something to draw from: {values!r:.60}"
        )
    values = values.tolist() if isinstance(values, np.ndarray) else values
    return [_plain(value) for value in values]


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def _drawn(values, rng):
    if isinstance(values, list):
        return values[int(rng.integers(len(values)))]
    return _plain(values.rvs(random_state=rng) if hasattr(values, "rvs") else values(rng))


def _train():
    from fastopt.training import train

    return train


def _arguments(point, options, method="grid", validation=()):
    """The arguments of fo.train at a point; ValueError for a name that is neither its nor the rule's."""
    known = set(inspect.signature(_train()).parameters) - _OURS
    if unknown := set(options) - known:
        raise ValueError(f"fo.search passes no {sorted(unknown)[0]!r} to fo.train")
    arguments = {**options, **{name: value for name, value in point.items() if name in known}}
    if both := set(options) & set(point):
        raise ValueError(f"{sorted(both)[0]!r} stands in space and beside it")
    if method == "halving" and ("epochs" in point or arguments.get("solver", "sgd") != "sgd"):
        raise ValueError('method="halving" chooses epochs: leave them out of space, and take solver="sgd"')
    if "seed" in point and not isinstance(validation, (tuple, list)):
        raise ValueError("space: seed draws the rows to hold out too: pass validation=(X, y)")
    fields = {name: value for name, value in point.items() if name not in known}
    rule = rules.checked(arguments.get("rule", Momentum(0.1)))
    for name in fields:
        if name not in getattr(rule, "_fields", ()):
            raise ValueError(
                f"space[{name!r}]: fo.search has no such option, and {type(rule).__name__} no such hyperparameter"
            )
    if fields:
        arguments["rule"] = rules.checked(rule._replace(**fields))
    return arguments


def _budgets(epochs, count, keep):
    """Epochs of each round of halving: the last has all of them, for one candidate or a few."""
    epochs, keep = checked_whole(epochs, "epochs", 1), checked_number(keep, "keep", "between 0 and 1")
    if not 0 < keep < 1:
        raise ValueError(f"keep must be between 0 and 1, not {keep!r}")
    rounds = math.ceil(math.log(count) / -math.log(keep) - 1e-9)
    return sorted({max(1, round(epochs * keep ** (rounds - i))) for i in range(rounds)} | {epochs})


def _key(loss):
    """Losses are tuples, which are equal where their numbers are, whatever their kind."""
    return type(loss), loss


class Found(NamedTuple):
    """The best trial so far; of more epochs before fewer, then by value, then by number."""

    order: tuple
    row: dict
    fit: object


class Trials:
    """Trainings at points, each once; what is kept of them."""

    def __init__(self, points, data, options, workers, progress, path, draw):
        self.points, self.options, self.workers, self.progress = points, options, workers, progress
        self.path, self.next_write, self.unwritten = checked_path(path), 0.0, False
        self.X, self.y, self.validation, self.seed = data
        self.threads = max(1, usable_threads() // min(workers, len(points)))
        self.lock, self.stopped, self.interrupted, self.made = threading.Lock(), threading.Event(), False, 0
        self.examples: dict = {}
        self.rows: dict = {}  # {(index, epochs): dict}
        self.best = None
        every = [point.get("loss", options.get("loss", Softmax())) for point in points]
        losses = list({_key(loss): loss for loss in every}.values())
        regressions = {self._of(loss).rows.classes == 1 and loss.one_row == "real" for loss in losses}
        if len(regressions) > 1:
            raise ValueError("space: some losses are for classes, others for numbers (name classes=)")
        self.measure = "accuracy" if not regressions.pop() else "loss" if len(losses) == 1 else "error"
        self.total = len(points)
        if path is not None:
            first = self._of(losses[0])
            options = {name: described(value) for name, value in options.items() if name not in _WEIGHTS}
            self.identity = {"data": digest_of_data(first), "measure": self.measure, "seed": self.seed,
                             "method": draw, "options": options}  # fmt: skip
            self._read()

    def _of(self, loss):
        """X, y and what is held out, as this loss takes them."""
        key = _key(loss)
        if key not in self.examples:
            given = {name: self.options.get(name) for name in _OF_DATA}
            self.examples[key] = checked_examples(
                loss, self.X, self.y, self.seed, validation=self.validation, **given
            )
        return self.examples[key]

    def all(self):
        def value(index):
            self.value(index, None)

        with self._interruptible():
            share(value, range(len(self.points)), self.workers, self.stopped.set)

    def halve(self, budgets, keep):
        left = len(self.points)
        self.total = 0
        for _ in budgets:
            self.total, left = self.total + left, max(1, math.ceil(keep * left - 1e-9))
        with self._interruptible():
            list(halving(self.value, len(self.points), budgets, keep, self.workers, self.stopped.set))

    @contextlib.contextmanager
    def _interruptible(self):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "interrupted in epoch")
            try:
                yield
            except (KeyboardInterrupt, StopIteration):
                self.stopped.set()
            finally:
                if self.unwritten:
                    self._write()
        self.interrupted = self.stopped.is_set()

    def value(self, index, epochs):
        """What is minimized, of one trial; inf where it diverged."""
        row = self.rows.get((index, epochs))
        if row is None:
            row, fit = self._trained(index, epochs)
            with self.lock:
                self.rows[index, epochs] = row
                self.made += 1
                self._note(row, fit)
                if self.path is not None:
                    self.unwritten = True
                    if time.perf_counter() >= self.next_write:
                        self._write()
                self._tell(row)
        return self._value(row)

    def _value(self, row):
        if row["diverged"]:
            return math.inf
        return 1 - row["validation"] if self.measure == "accuracy" else row["validation"]

    def _note(self, row, fit):
        order = (-row["epochs"] if "epochs" not in row["point"] else 0, self._value(row), row["index"])
        if not row["diverged"] and (self.best is None or order < self.best.order):
            self.best = Found(order, row, fit)

    def _trained(self, index, epochs):
        """(the trial's dict, its Fit or None)."""
        point, began = self.points[index], time.perf_counter()
        arguments = _arguments(point, self.options)
        if epochs is not None:
            arguments["epochs"] = epochs
        row = {"index": index, "point": point, "epochs": arguments.get("epochs", 10), "training": None,
               "validation": None, "loss_training": None, "loss_validation": None, "seconds": 0.0, "diverged": True}  # fmt: skip
        arguments.setdefault("seed", self.seed)
        pair = isinstance(self.validation, (tuple, list))
        held = (
            None if pair and not arguments.get("early_stopping") else self.validation
        )  # looked at once, below
        try:
            fit = _train()(
                self.X, self.y, validation=held, threads=self.threads, watch=self._watch, **arguments
            )
        except Diverged:
            fit = None
        except (TypeError, ValueError) as error:
            error.add_note(f"fo.search was at {point}")
            raise
        if self.stopped.is_set() or (fit is not None and fit.interrupted):
            self.stopped.set()
            raise KeyboardInterrupt
        row["seconds"] = time.perf_counter() - began
        if fit is None:
            return row, None
        examples = self._of(arguments.get("loss", Softmax()))
        chosen = np.s_[: examples.rows.n] if examples.chosen is None else examples.chosen
        for name, part in (("training", (examples.rows, chosen)), ("validation", examples.validation)):
            loss, accuracy = fit.evaluate_rows(*part)
            row[f"loss_{name}"] = loss
            row[name] = accuracy if self.measure == "accuracy" else loss
            if self.measure == "error":
                rows, numbers = part
                row[name] = float(
                    np.sqrt(np.mean((fit.predict(rows.matrix(numbers)) - rows.y[numbers]) ** 2))
                )
        measured = ("training", "validation", "loss_training", "loss_validation")
        row["diverged"] = not all(math.isfinite(row[name]) for name in measured)
        return (row | dict.fromkeys(measured), None) if row["diverged"] else (row, fit)

    def _watch(self, _values, _parameters):
        return self.stopped.is_set()

    def _tell(self, row):
        if callable(self.progress):
            self.progress(row)
        elif self.progress:
            best = self.best.row if self.best is not None else None
            text = f"trial {len(self.rows)} of {self.total}"
            if best is not None:
                text += f", best {best['validation']:.4f} ({self.measure}; training {best['training']:.4f})"
            end = "\n" if len(self.rows) == self.total else ""
            print(f"\r{text}", end=end, file=sys.stderr, flush=True)

    def _write(self):
        began = time.perf_counter()
        rows = [{**row, "point": described(row["point"])} for row in self.rows.values()]
        keys = [[index, epochs] for index, epochs in self.rows]
        files.write(self.path, {"kind": "search", **self.identity, "rows": rows, "keys": keys}, {})
        ended, self.unwritten = time.perf_counter(), False
        self.next_write = ended + (ended - began) * (1 / _SHARE - 1)

    def _read(self):
        """Rows of the file, where it is there; ValueError where it is of another search."""
        try:
            meta, _ = files.read(self.path, "search")
        except FileNotFoundError:
            return
        theirs, mine = ({**of.pop("options", {}), **of} for of in (dict(meta), dict(self.identity)))
        differ = [name for name in {**mine, **theirs} if name not in ("rows", "keys", "kind")
                  and theirs.get(name) != mine.get(name)]  # fmt: skip
        rows = dict(zip(map(tuple, meta["keys"]), meta["rows"], strict=True))
        if any(
            i >= len(self.points) or row["point"] != described(self.points[i]) for (i, _), row in rows.items()
        ):
            differ.append("space")
        if differ:
            raise ValueError(
                f"checkpoint {self.path} is of another search: not the same {', '.join(differ)}; "
                "name another file, or remove it"
            )
        for key, row in rows.items():
            self.rows[key] = {**row, "point": self.points[row["index"]]}
            self._note(self.rows[key], None)

    def result(self):
        best, fit = self.best, None
        if best is not None:
            fit = best.fit
            if fit is None and not self.interrupted:  # of an earlier run: the same bits again
                with self._interruptible():
                    _, fit = self._trained(best.row["index"], best.row["epochs"])
        message = "all trials were made" if best is not None else "every trial diverged"
        if self.interrupted:
            message = "interrupted; this is the best so far"
        trials = [self.rows[key] for key in sorted(self.rows, key=lambda key: (key[1] or 0, key[0]))]
        return result_class()(
            x=None if best is None else dict(best.row["point"]), fun=math.inf if best is None else self._value(best.row),
            fit=fit, training=None if best is None else best.row["training"],
            validation=None if best is None else best.row["validation"], measure=self.measure, trials=trials,
            nfev=self.made, success=best is not None and not self.interrupted, message=message,
        )  # fmt: skip
