"""Training a linear model: epochs inside a compiled loop, and what is kept of them.

examples.py      X, y, weights and held-out rows, checked once
settings.py      what a run is asked to do, and what tells one run from another
run.py           the run: stretches, epochs, where it stands
streamed.py      the same over a source, window by window
local.py         on Dask's workers: steps of every part, averaged now and then
exact.py         a run by a solver instead
history.py       what is noted of each epoch
ending.py        how a run ends before its last epoch: divergence, early stopping
wide.py          steps of rules that look at whole arrays or take two gradients
resume.py        its file
starting.py      what it starts from
searching.py     very many runs: hyperparameters by held-out rows
"""

import warnings

from fastopt import penalties
from fastopt.arrays import checked_l2, checked_whole
from fastopt.logs import opened
from fastopt.losses import Softmax
from fastopt.rules import Momentum
from fastopt.training.ending import Diverged
from fastopt.training.exact import fit_exactly, refuse_for_epochs, refuse_for_solvers
from fastopt.training.examples import checked_examples
from fastopt.training.run import Progress, Run
from fastopt.training.searching import search
from fastopt.training.settings import checked_settings
from fastopt.training.starting import checked_start
from fastopt.training.streamed import StreamedRun

__all__ = ["Diverged", "Progress", "search", "train"]


def train(
    X,
    y=None,
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
    sample_weight=None,
    class_weight=None,
    early_stopping=None,
    average=None,
    start=None,
    solver="sgd",
    penalty=None,
    tol=None,
    max_iter=1000,
    max_seconds=None,
    standardize=False,
    bounds=None,
    watch=None,
    log=None,
    client=None,
    local_steps=None,
):
    """Minimize sum_i w_i L_i / sum_i w_i + l2*sum(W**2) over W and b of the scores X W^T + b, from zeros.

    X: (n, features) float32, float64 or uint8, C-ordered, or scipy CSR. uint8 is multiplied by
        `scale` (1/255) inside the loop and trained in float32.
        Or X: a source (fo.source), which has y and weights: parts in an order drawn for each epoch, rows
        shuffled within windows of eight of them (sources that can be read in order only: in that order).
    y: (n,) class numbers 0, 1, ...; or labels of text, which `classes` of the result then lists; or
        numbers of any kind for the regression that SquaredError is unless `classes` are named. Of Softmax and
        Logistic also soft labels, (n, classes): the probability of each class in each row.
    schedule: a schedule of the learning rate, or a dict {hyperparameter: schedule}, over steps.
    batch_size: None is batch gradient descent, 1 plain SGD. The last batch may be smaller.
    sampling: "shuffle" (a new order every epoch), "replacement" (drawn independently) or
        "sequential".
    validation: (X, y), or the share of the rows to hold out, drawn with seed.
    progress: a function called with a Progress some twenty times a second.
    checkpoint: a file, written after every epoch, or after iterations of lbfgs and newton as long as that takes less
        than a twentieth of the time; where it exists, the run is taken up from it and
        gives the same bits as one that was never interrupted. Refused with other data or settings.
    classes: what the class numbers stand for, kept in the result; W has a row for each of them.
    sample_weight: (n,), 1 each without. class_weight: "balanced" (n / (classes * rows of the class)), or
        a dict {class: weight}, or a weight for each class number; the two are multiplied. Weights are
        scaled to the mean 1 and a batch's gradient is sum w_i g_i / rows of the batch, as in scikit-learn.
    early_stopping: end after so many epochs (True: 5) without a lower validation loss, with the
        parameters of the best epoch.
    rule: any; also fo.SAM(...), Averaged, Lookahead, schedule-free ones, and those that look at whole arrays. SAM,
        LARS, LAMB, Adafactor and Muon are stepped from Python (some 0.1 ms a step more). A rule with an average of
        its own (Averaged, ScheduleFree...) has it in the result and shows it to validation.
    average: True for the mean of the parameters over the run (at 32 evenly spaced steps of each epoch, or at every
        one), "tail" for that of the second half of the epochs (Polyak & Juditsky 1992), or the decay a step of an
        exponential average; then the result has it, validation looks at it, and `average` of the result says so.
    start: (W, b) to start from, or a Fit; copied. Or the path of a file that Optimizer.save or a run (checkpoint=)
        wrote: then the rule's state and count of steps go on too (the rule is yours, of the kind that was saved;
        schedules count this run's steps).
    watch: called after each epoch, or iteration of a solver, with a dict of what the history notes of it and a
        function that gives copies of (W, b); where it is true the run ends.
    log: a function of (dict, step), called after every epoch with its numbers: fo.JsonLog, fo.TensorBoardLog
        or your own; or the path of a JSONL file.
    client: a distributed.Client: X and y are data on its workers, as fastopt.distributed takes them, and a solver
        adds up what they compute; classes are then the labels, or how many there are. Or solver="local-sgd", another
        algorithm than "sgd": each partition takes local_steps (100) steps of the rule on its own rows, then parameters
        and the rule's state are averaged by the partitions' rows, and all go on from there (local SGD, McMahan et al. 2017, Stich 2019). An
        epoch is rows / (batch_size * partitions) steps. The same partitions and seed give the same bits, on any workers.

    solver: "sgd" takes epochs of the rule. "auto", "lbfgs", "newton", "prox-newton" or "dual" find the optimum
        and say so in the result's `report`; rule, batch_size, epochs, sampling and seed are then not looked at
        (seed draws the rows to hold out). For them: penalty, fo.L1, fo.L2 or fo.ElasticNet, to which l2 is
        added; tol, max_iter, max_seconds, standardize and bounds as in fastopt.solvers.solve.

    Returns a Fit; after Ctrl-C the model so far (with validation that of the best epoch), with a warning. The same seed gives the same bits,
    whatever the number of threads. Raises Diverged when the loss stops being finite or grows beyond
    all bounds, and TypeError or ValueError, before the first step, for arguments that do not fit.
    """
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function of a Progress, not {type(progress).__name__}")
    if watch is not None and not callable(watch):
        raise TypeError(
            f"watch must be a function (values, parameters) -> whether to stop, not {type(watch).__name__}"
        )
    if client is not None and solver == "sgd":
        raise ValueError(
            'client= is for solvers, which add up what workers compute: pass solver="auto" too; or "local-sgd", epochs '
            "of a rule on each partition, averaged now and then"
        )
    if local_steps is not None and solver != "local-sgd":
        raise ValueError('local_steps is for solver="local-sgd": leave it out')
    if solver == "local-sgd" and client is None:
        raise ValueError('solver="local-sgd" is for data on workers: pass client=, a distributed.Client')
    examples = checked_examples(
        loss, X, y, seed, client=client, scale=scale, classes=classes, validation=validation, sample_weight=sample_weight,
        class_weight=class_weight,
    )  # fmt: skip
    if solver not in ("sgd", "local-sgd"):
        epochs_only = {"schedule": schedule, "progress": progress, "log": log}
        refuse_for_solvers(
            {**epochs_only, "early_stopping": early_stopping or None, "average": average or None}
        )
        options = {
            "tol": tol, "max_iter": max_iter, "max_seconds": max_seconds, "standardize": standardize,
            "bounds": bounds, "watch": watch,
        }  # fmt: skip
        penalty, start = penalties.checked(penalty, checked_l2(l2)), checked_start(start, examples.rows)
        start = start and (start.W, start.b)
        return fit_exactly(examples, loss, penalty, solver, start, options, backend, threads, checkpoint)
    refuse_for_epochs({"penalty": (penalty, None), "tol": (tol, None), "max_seconds": (max_seconds, None),
                       "standardize": (standardize, False), "bounds": (bounds, None)})  # fmt: skip
    settings = checked_settings(
        examples.rows, loss, rule, schedule, epochs, batch_size, l2, sampling, seed, backend, threads,
        early_stopping=early_stopping, average=average, has_validation=examples.validation is not None,
    )  # fmt: skip
    run = _run_of(examples, settings, start, checkpoint, local_steps)
    log, close = opened(log)
    try:
        while not run.is_over():
            run.one_epoch(progress)
            if log is not None:
                log(run.history.latest(), run.step)
            if watch is not None and watch(run.history.latest(), run.parameters):
                break
    except KeyboardInterrupt:
        run.go_back()  # the stretch that was cut off may have changed b alone
        warnings.warn(f"interrupted in epoch {run.epoch + 1}: the model so far is returned", stacklevel=2)
        return run.fit(interrupted=True)
    finally:
        close()
    return run.fit()


def _run_of(examples, settings, start, checkpoint, local_steps):
    if examples.rows.is_remote:
        from fastopt.training.local import LOCAL_STEPS, LocalRun

        local_steps = LOCAL_STEPS if local_steps is None else checked_whole(local_steps, "local_steps", 1)
        return LocalRun(examples, settings, start, checkpoint, local_steps)
    return (Run if examples.rows.in_memory else StreamedRun)(examples, settings, start, checkpoint)
