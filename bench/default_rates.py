"""Whether the learning rates that `fastopt train` takes of itself train: every rule x loss on real data.

    python bench/default_rates.py [digits a9a letter mnist] [--rules sgd adam] [--losses softmax] [--epochs 3] [--rows 20000]

A run diverges where fo.train says so, or where its last epoch's mean loss is above that of weights of 0 by 2 % or more (the
median of indicators of many classes is 0: no weights are better for the quantile loss). It fails too where it gets fewer of the
rows that it has not seen right than the most frequent class would, by more than a hundredth of them. The exit status tells
whether one did. Data: FASTOPT_DATA, or ../shared/data. The C back end takes part where it has the
formula (nothing is compiled), else Numba's.
"""

import argparse
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import fastopt as fo
from fastopt.cli import models, rates
from fastopt.readers import ReadError, dataset, open_data

DATA = Path(os.environ.get("FASTOPT_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SETS = {"digits": "digits", "a9a": "a9a.svm.xz", "letter": "letter.csv", "mnist": "mnist.npz"}
UPDATES = 100  # at least, of a run: `fastopt train` makes 50 epochs, which are 600 on digits
SCHEDULE = "cosine"  # as `fastopt train` has it


def load(name, rows):
    """The Dataset that `fastopt train` makes of the file, at most so many rows of it."""
    found = dataset.training_set(open_data(name if name == "digits" else str(DATA / SETS[name])))
    keep = slice(min(rows, found.x_train.shape[0]))
    return found._replace(x_train=found.x_train[keep], y_train=found.y_train[keep])


def tried(found, rule_name, loss_name, epochs):
    """(learning rate or None, the last loss over that of weights of 0, or inf, accuracy), or None where it is refused."""
    loss = models.LOSSES[loss_name]
    rule = models.rule(rule_name, None)
    batch = models.batch(None, rule_name)
    updates = 1 if batch is None else -(-found.x_train.shape[0] // batch)  # of an epoch
    epochs = max(epochs, -(-UPDATES // updates))
    schedule = "constant" if rule_name.startswith("schedulefree") else SCHEDULE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rule, _ = rates.chosen(rule, None, found, loss, batch, 0.0, 0, epochs)
            lr = getattr(rates.base(rule), "lr", None)
            fit = fo.train(
                found.x_train, found.y_train, loss, rule, models.SCHEDULES[schedule], epochs, batch,
                scale=found.scale, classes=found.classes, backend=_backend(rule, loss),
            )  # fmt: skip
    except fo.Diverged:
        return lr, np.inf, 0.0
    except (TypeError, ValueError, ReadError):
        return None
    ratio = fit.history["loss_train"][-1] / rates.loss_of_zeros(found, loss)
    return lr, ratio, float(np.mean(fit.predict(found.x_test) == found.classes[found.y_test]))


def _backend(rule, loss):
    from fastopt.engines import choose

    try:
        choose.resolve("c", rates.base(rule), loss)
    except (TypeError, ValueError, ImportError):
        return "auto"
    return "c"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--rules", nargs="*", default=[*models.RULES, *models.AROUND])
    parser.add_argument("--losses", nargs="*", default=list(models.LOSSES))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=20_000, help="of a data set at most")
    given = parser.parse_args()
    began, failed, runs = time.perf_counter(), [], 0
    for name in given.sets or SETS:
        found = load(name, given.rows)
        most = float(np.bincount(found.y_test).max() / len(found.y_test))
        print(
            f"\n{name}: {found.x_train.shape[0]:,} rows; last loss over that of weights of 0, learning rate, accuracy "
            f"(most frequent class {most:.3f})"
        )
        for rule in given.rules:
            cells = []
            for loss in given.losses:
                result = tried(found, rule, loss, given.epochs)
                if result is None:
                    cells.append(f"{loss} -")
                    continue
                lr, ratio, accuracy = result
                runs += 1
                cells.append(f"{loss} {ratio:.2g} ({lr or 0:.2g}) {accuracy:.3f}")
                if not (ratio < 1.02 and accuracy > most - 0.01):
                    failed.append(f"{name} {rule} {loss}: {cells[-1]}")
            print(f"  {rule:22} {', '.join(cells)}", flush=True)
    print(f"\n{runs} runs in {time.perf_counter() - began:.0f} s; {len(failed)} failed", *failed, sep="\n  ")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
