"""The 27 nonlinear regressions of NIST's StRD: models as the files give them, a reader, certified digits."""

import re
from typing import NamedTuple

import numpy as np

pi, exp, cos, arctan, log = np.pi, np.exp, np.cos, np.arctan, np.log


def _gauss(b, x):
    return b[0] * exp(-b[1] * x) + b[2] * exp(-((x - b[3]) ** 2) / b[4] ** 2) + b[5] * exp(
        -((x - b[6]) ** 2) / b[7] ** 2
    )  # fmt: skip


def _lanczos(b, x):
    return b[0] * exp(-b[1] * x) + b[2] * exp(-b[3] * x) + b[4] * exp(-b[5] * x)


def _cubic(b, x):
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def _enso(b, x):
    return (
        b[0] + b[1] * cos(2 * pi * x / 12) + b[2] * np.sin(2 * pi * x / 12)
        + b[4] * cos(2 * pi * x / b[3]) + b[5] * np.sin(2 * pi * x / b[3])
        + b[7] * cos(2 * pi * x / b[6]) + b[8] * np.sin(2 * pi * x / b[6])
    )  # fmt: skip


MODELS = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": lambda b, x: b[0] * (1 - exp(-b[1] * x)),
    "Chwirut1": lambda b, x: exp(-b[0] * x) / (b[1] + b[2] * x),
    "Chwirut2": lambda b, x: exp(-b[0] * x) / (b[1] + b[2] * x),
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": _enso,
    "Eckerle4": lambda b, x: b[0] / b[1] * exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Gauss1": _gauss,
    "Gauss2": _gauss,
    "Gauss3": _gauss,
    "Hahn1": _cubic,
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Lanczos1": _lanczos,
    "Lanczos2": _lanczos,
    "Lanczos3": _lanczos,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * exp(-x * b[3]) + b[2] * exp(-x * b[4]),
    "Misra1a": lambda b, x: b[0] * (1 - exp(-b[1] * x)),
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** (-2)),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** (-0.5)),
    "Misra1d": lambda b, x: b[0] * b[1] * x * (1 + b[1] * x) ** (-1),
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * exp(-b[2] * x[1]),
    "Rat42": lambda b, x: b[0] / (1 + exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - arctan(b[2] / (x - b[3])) / pi,
    "Thurber": _cubic,
}


class Regression(NamedTuple):
    name: str
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray  # (2, n)
    certified: np.ndarray  # (n,)
    deviations: np.ndarray  # (n,)
    squares: float

    def residual(self, b):
        with np.errstate(all="ignore"):
            return MODELS[self.name](b, self.x) - self.y


def read(path):
    text = path.read_text()
    name = path.stem
    rows = [list(map(float, line.split("=")[1].split())) for line in re.findall(r"^\s*b\d+ =.*", text, re.M)]
    rows = np.array(rows)
    squares = float(re.search(r"Residual Sum of Squares:\s+(\S+)", text)[1])
    first, last = map(int, re.search(r"Data\s+\(lines (\d+) to (\d+)\)", text).groups())
    data = np.array([list(map(float, line.split())) for line in text.splitlines()[first - 1 : last]])
    x, y = data[:, 1], data[:, 0]
    if name == "Nelson":
        x, y = data[:, 1:].T, log(y)
    return Regression(name, x, y, rows[:, :2].T, rows[:, 2], rows[:, 3], squares)


def digits(found, certified):
    """Digits on which the worst parameter agrees, at most 11 (the files give 11)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = np.max(np.abs(np.asarray(found) - certified) / np.abs(certified))
    return 0.0 if not np.isfinite(worst) else float(np.clip(-np.log10(max(worst, 1e-11)), 0, 11))
