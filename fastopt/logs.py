"""Where a run's numbers go while it runs: a function of (values, step), such as the two here."""

import importlib
import json
import math
import time
from pathlib import Path

FLUSHED = 0.5  # seconds between two flushes: what a killed run may lose


class JsonLog:
    """A JSONL file: a line {"run": config} if there is one, then {"step": ..., name: value, ...} a call.

    NaN and inf are written as null. Use it in a `with`, or call close(). Raises FileNotFoundError where there is no
    such folder, TypeError for a value that JSON does not have.
    """

    def __init__(self, path, config=None):
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"log {self.path}: there is no directory {self.path.parent}")
        self._file = self.path.open("w", encoding="utf-8")
        self._flushed = time.monotonic()
        if config is not None:
            self._file.write(json.dumps({"run": config}, default=str) + "\n")
            self._file.flush()

    def __call__(self, values, step):
        line = {"step": int(step), **{k: _plain(v) for k, v in values.items()}}
        self._file.write(json.dumps(line, allow_nan=False) + "\n")
        now = time.monotonic()
        if now - self._flushed > FLUSHED:
            self._file.flush()
            self._flushed = now

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class TensorBoardLog:
    """Event files for TensorBoard, by tensorboardX (pip install "fastopt[tensorboard]"): a scalar for each number."""

    def __init__(self, folder):
        try:
            SummaryWriter = importlib.import_module("tensorboardX").SummaryWriter
        except ImportError as error:
            raise ImportError(
                'TensorBoardLog needs tensorboardX: pip install "fastopt[tensorboard]"'
            ) from error
        self._writer = SummaryWriter(str(folder))

    def __call__(self, values, step):
        for name, value in values.items():
            if isinstance(_plain(value), (int, float)):
                self._writer.add_scalar(name, float(value), int(step))

    def close(self):
        self._writer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def opened(log):
    """(function of (values, step) or None, what to call at the end): a path becomes a JsonLog."""
    if log is None or callable(log):
        return log, lambda: None
    if not isinstance(log, (str, Path)):
        raise TypeError(f"log must be a function of (dict, step) or a path, not {type(log).__name__}")
    made = JsonLog(log)
    return made, made.close


def _plain(value):
    """What JSON can hold: numbers of NumPy as Python's, NaN and inf as None."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
