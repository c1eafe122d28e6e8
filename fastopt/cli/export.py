"""fastopt export: a model for other programs."""

import json
from pathlib import Path

import click
import numpy as np

from fastopt.cli import models, onnx, options

FORMATS = ("onnx", "json", "c")


@click.command(short_help="Write a model as ONNX, JSON or C.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path), callback=options.in_a_directory)
@click.option("--to", "form", type=click.Choice(FORMATS), help="[default: by the name of OUT]")
def export(model, out, form):
    """Write a MODEL into OUT for programs without fastopt: .onnx, .json or .c.

    All take the features of the model as float32; the standardisation of columns is part of the
    weights. Columns of text become features by the one-hot coding that the JSON file and the comments
    of the C file spell out.

    \b
    fastopt export model.npz model.onnx
    fastopt export model.npz model.c        a C function `predict` that needs no library
    """
    options.apart(out, model)
    form = form or out.suffix.lstrip(".").lower()
    if form not in FORMATS:
        raise click.UsageError(f"{out}: say --to {'|'.join(FORMATS)}")
    fit = models.load(model)
    W, b = folded(fit)
    names, classes = feature_names(fit), class_names(fit)
    text = {"onnx": onnx.model, "json": as_json, "c": as_c}[form](fit, W, b, names, classes)
    try:
        out.write_bytes(text if isinstance(text, bytes) else text.encode())
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written: {error.strerror}") from error
    click.echo(f"{out}: {W.shape[0]} x {W.shape[1]} weights, {len(names)} features")


def folded(fit):
    """(W, b) for features before they are standardised and, of uint8, before they are scaled."""
    W, b = fit.W.astype(np.float64), fit.b.astype(np.float64)
    record = fit.preparation or {}
    if record.get("kind") == "table":
        columns = [(f["shift"], f["factor"], len(f["values"])) for f in record["features"]]
        shift = np.concatenate([np.full(max(1, n), 0.0 if n else s) for s, _, n in columns])
        factor = np.concatenate([np.full(max(1, n), 1.0 if n else f) for _, f, n in columns])
    elif "shift" in record:
        shift, factor = np.array(record["shift"]), np.array(record["factor"])
    else:
        shift, factor = np.zeros(W.shape[1]), np.full(W.shape[1], float(fit.scale))
    return W * factor, b - (W * factor) @ shift


def feature_names(fit):
    record = fit.preparation or {}
    if record.get("kind") != "table":
        return [f"x{j}" for j in range(fit.W.shape[1])]
    names = []
    for f in record["features"]:
        names += [f["name"]] if f["kind"] == "number" else [f"{f['name']}={v}" for v in f["values"]]
    return names


def class_names(fit):
    """Of the predictions, or None in regression."""
    if fit.loss.one_row == "real" and len(fit.W) == 1 and fit.classes is None:
        return None
    return np.arange(max(2, len(fit.W))) if fit.classes is None else fit.classes


def as_json(fit, W, b, names, classes):
    """Everything, readable."""
    record = {
        "loss": type(fit.loss).__name__, "hyperparameters": fit.loss._asdict(), "features": names,
        "classes": None if classes is None else classes.tolist(), "W": W, "b": b, "preparation": fit.preparation,
        "prediction": "scores = W x + b; the class of the largest score; with one row of W the second class where "
                      "its score is above 0; in regression the score",
    }  # fmt: skip
    return json.dumps(options.plain(record), indent=1, allow_nan=False) + "\n"


def as_c(fit, W, b, names, classes):
    """One C file without a library."""
    rows, features = W.shape
    numbers = ",\n".join("    {" + ", ".join(f"{v:.17g}" for v in row) + "}" for row in W)
    listed = "".join(f" *   x[{j}]  {_comment(name)}\n" for j, name in enumerate(names[:1000]))
    said = "a value" if classes is None else "the number of a class: " + ", ".join(
        f"{j} {_comment(c)}" for j, c in enumerate(classes[:100]))  # fmt: skip
    if classes is None:
        decide = "return scores[0];"
    elif rows == 1:
        decide = "return scores[0] > 0;"
    else:
        decide = "int best = 0;\n    for (int c = 1; c < ROWS; c++)\n        if (scores[c] > scores[best]) best = c;\n    return best;"
    return f"""/* A linear model trained by fastopt with {type(fit.loss).__name__}. `predict` returns {said}.
 *
{listed} */
enum {{ ROWS = {rows}, FEATURES = {features} }};

static const double W[ROWS][FEATURES] = {{
{numbers}
}};
static const double B[ROWS] = {{{", ".join(f"{v:.17g}" for v in b)}}};

/* x: FEATURES numbers. scores: ROWS numbers are written. */
void scores_of(const float *x, double *scores)
{{
    for (int c = 0; c < ROWS; c++) {{
        scores[c] = B[c];
        for (int f = 0; f < FEATURES; f++) scores[c] += W[c][f] * (double)x[f];
    }}
}}

{"double" if classes is None else "int"} predict(const float *x)
{{
    double scores[ROWS];
    scores_of(x, scores);
    {decide}
}}
"""


def _comment(value):
    """Text that cannot end a comment."""
    return str(value).replace("*/", "* /").replace("\n", " ").replace("/*", "/ *")
