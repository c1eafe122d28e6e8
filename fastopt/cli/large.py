"""fastopt train of what does not fit into memory: part by part, or on the workers of a Dask cluster."""

import time
import warnings
from contextlib import contextmanager
from typing import Any

import click
import numpy as np

import fastopt as fo
from fastopt.cli import models, options, progress, rates
from fastopt.outofcore.zarrs import is_zarr
from fastopt.readers.sources import ReadError

SAMPLE = 4096  # rows of the beginning, on which a learning rate is tried
NO_USE = (
    "test",
    "validation",
    "early_stopping",
    "log_file",
    "balanced",
    "soft_labels",
)  # options that want rows in memory
CHUNK = 64 << 20  # bytes of X in a worker's partition, about


class _Rows:
    """The first rows of a source, as fastopt.cli.rates looks at rows."""

    def __init__(self, source, X, y, real):
        self.x_train, self.y_train = X, y
        self.scale = 1 / 255 if source.scale is None and source.dtype == np.uint8 else source.scale or 1.0
        self.classes = source.classes
        if source.raw and not real:  # of these rows alone, for a trial of them
            self.classes, self.y_train = np.unique(y, return_inverse=True)


def train(given):
    """`fastopt train` with these options and --in-parts, --workers or --scheduler."""
    began = time.perf_counter()
    for name in NO_USE:
        came_from = click.get_current_context().get_parameter_source(name)
        if given[name] and came_from == click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} wants the rows in memory: leave it out")
    regression, solver = given["regression"], given["solver"]
    loss = models.LOSSES[given["loss"] or ("squared-error" if regression else "softmax")]
    run = {
        "loss": loss,
        "l2": given["l2"],
        "backend": given["backend"],
        "threads": given["threads"],
        "checkpoint": given["checkpoint"],
    }
    source = _source(given)
    chosen = None
    with _client(given) as client:
        if solver in ("sgd", "local-sgd"):
            if client is not None and solver == "sgd":
                raise click.UsageError(
                    "--workers and --scheduler are for a solver: say --solver lbfgs, or local-sgd"
                )
            if client is None and solver == "local-sgd":
                raise click.UsageError(
                    "--solver local-sgd averages over partitions: say --workers N or --scheduler"
                )
            batch = models.batch(given["batch_size"], given["rule_name"], given["base"])
            chosen = _rule(given, source, loss, batch)
            run |= {"rule": chosen, "schedule": models.SCHEDULES[given["schedule"] or "cosine"], "seed": given["seed"],
                    "epochs": given["epochs"], "batch_size": batch, "average": given["average"],
                    "solver": solver, "local_steps": given["local_steps"]}  # fmt: skip
        else:
            run |= {"solver": solver, "max_iter": given["max_iter"], "max_seconds": given["max_seconds"], "tol": given["tol"],
                    "penalty": fo.L1(given["l1"]) if given["l1"] else None}  # fmt: skip
        data = source if client is None else _loads(given, source)
        epochs = None if chosen is None else given["epochs"]
        with progress.shown(given["quiet"], epochs) as show, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how it ended is said below
            fit: Any = fo.train(data, client=client, **show, **run)
    prepared = getattr(source, "preparation", None)
    fit.preparation = prepared.record() if prepared else {"kind": "matrix", "features": source.features}
    out = models.save(fit, given["out"]) if given["out"] is not None else None
    _say(given, source, fit, out, time.perf_counter() - began)


def _source(given):
    reading = {
        k: given[k] for k in ("format", "delimiter", "decimal", "encoding", "header", "null") if given.get(k)
    }
    name = given["data_name"]
    if str(name).endswith(".npy") or is_zarr(name):
        if not given["labels"]:
            raise click.UsageError(f"{name} holds features alone: it needs --labels, an .npy file of labels")
        return fo.source(name, y=given["labels"])
    columns = {k: given[k] for k in ("drop", "categorical") if given[k]}
    columns |= {
        k: given[k]
        for k in ("missing", "unknown")
        if given[k] != {"missing": "refuse", "unknown": "ignore"}[k]
    }
    if given["standardize"]:
        columns["standardize"] = True
    return fo.source(name, target=given["target"], **columns, **reading)


def _rule(given, source, loss, batch):
    rule = models.rule(given["rule_name"], given["lr"], given["fields"], given["base"])
    X, y, _ = next(source.pieces(SAMPLE))
    found = _Rows(source, X, y, loss.one_row == "real")
    chosen, tried = rates.chosen(
        rule, given["lr"], found, loss, batch, given["l2"], given["seed"], given["epochs"]
    )
    if tried and not given["quiet"] and not given["as_json"]:
        click.echo(tried)
    return chosen


@contextmanager
def _client(given):
    """A Dask client of --workers or --scheduler, or None."""
    if not given["workers"] and not given["scheduler"]:
        yield None
        return
    if given["workers"] and given["scheduler"]:
        raise click.UsageError(
            "--workers starts processes here, --scheduler takes those that are there: one of them"
        )
    try:
        import distributed
    except ImportError as error:
        raise click.ClickException("this needs Dask: pip install 'fastopt[dask]'") from error
    if given["scheduler"]:
        try:
            client = distributed.Client(given["scheduler"], timeout=10)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"no scheduler answers at {given['scheduler']}: {error}") from error
        with client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=given["workers"], threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        if not given["quiet"] and not given["as_json"]:
            click.echo(f"{given['workers']} workers; dashboard {client.dashboard_link}")
        yield client


def _loads(given, source):
    """The rows of a file, or of the files of a folder, in pieces that workers read."""
    from fastopt.distributed import Load

    labels = {"y": given["labels"]} if given["labels"] else {"target": given["target"]}
    found = []
    for own in getattr(source, "sources", [source]):
        if own.n is None or not hasattr(own, "path"):
            raise ReadError(
                f"{own.name}: workers read .npy files, zarr arrays and Parquet files of numbers by rows; others must be made so first"
            )
        rows = max(1, CHUNK // (own.features * own.dtype.itemsize), -(-own.n // 4096))
        found += [Load(own.path, i, min(i + rows, own.n), **labels) for i in range(0, own.n, rows)]
    return found


def _say(given, source, fit, out, seconds):
    loss, accuracy = fit.evaluate(source)
    record = {
        "data": source.name, "features": source.features, "classes": None if fit.classes is None else len(fit.classes),
        "loss": type(fit.loss).__name__, "solver": getattr(fit.report, "solver", given["solver"]),
        "converged": getattr(fit.report, "converged", None), "steps": fit.steps, "loss_train": loss,
        "accuracy_train": accuracy, "seconds": seconds, "out": out,
    }  # fmt: skip
    if given["as_json"]:
        options.echo_json(record)
        return
    click.echo(f"{source.name}: {source.features} features, read part by part; {type(fit.loss).__name__}")
    if fit.report is not None:
        click.echo(str(fit.report))
    about = "" if accuracy != accuracy else f", accuracy {accuracy:.4f}"
    click.echo(f"{fit.steps:,} steps in {seconds:.2f} s; on the training rows: loss {loss:.4f}{about}")
    if out is not None:
        click.echo(f"model written to {out}")
