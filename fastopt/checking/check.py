"""gradcheck: an analytic gradient against differences of f."""

import time

import numpy as np

from fastopt.checking import analytic as analytic_gradient
from fastopt.checking import diagnosis, full
from fastopt.checking.autograd import Problem
from fastopt.checking.directions import check_directions
from fastopt.checking.report import GradcheckError, Report, Row
from fastopt.functions import noise
from fastopt.functions.differences import entry_slope
from fastopt.functions.guarded import in_double
from fastopt.functions.point import Point

MODES = ("auto", "full", "directions")
VERDICTS = ("ok", "wrong", "subgradient", "undecided")
ROWS = 50
_NAMING_BUDGET = 400, 3000  # evaluations of f to find which entries are wrong; the more the faster f is


def gradcheck(
    f, grad, x=None, *, eps=None, atol=None, rtol=1e-3, raise_exception=True, bounds=None, allow_undecided=False,
    mode="auto", seconds=3.0, directions=4, nondet_tol=None, seed=0, projection=None,
):  # fmt: skip
    """Compare an analytic gradient with differences of f: |analytic - numeric| <= atol + rtol*|numeric|.

    f: a function of x returning a number, or an array (then grad returns the Jacobian, f(x).shape + x.shape).
    grad: a function of x, an array in the structure of x, or None: f returns (value, gradient).
    x: a floating array of any shape, a tuple (f(*x)), a list or dict (f(x)) of them; never modified.
    atol: by default 1e-5 * min(1, largest |numeric| entry), so that a small gradient is judged as a large one
    is; at an optimum, slopes that double precision cannot tell from the analytic ones pass. A number is absolute.
    eps: step of the first pass, relative to max(1, |x_i|): a number, an array, or in the structure of x; by
    default 1e-6. Whether it fits the scale on which f changes is found from f; entries where it does not, or
    that look wrong, are measured again with steps of their own and an error estimate. At a kink a value
    between the one-sided slopes passes.
    bounds: (lower, upper), each a number, None or in the structure of x, or scipy's Bounds: f is never called
    outside of them. At their edge, and where f is NaN or raises ArithmeticError or ValueError on one side of
    x, differences are one-sided.
    allow_undecided: entries that could not be measured to the tolerance are "undecided" and no pass (verdict
    and GradcheckError say which); True passes them where nothing is wrong.
    mode: "full" measures every entry (2 evaluations each and a few for every 64), "directions" a number of
    directional derivatives and, if they deviate, the wrong entries; "auto" is "full" where that takes less
    than `seconds`.
    nondet_tol: allowed difference of two evaluations at one point; by default rounding only (1e-12 of the
    largest entry in float64).

    gradcheck(f, inputs) with torch tensors or JAX arrays checks autograd's gradient: inputs is a tensor, a tuple
    (f(*inputs); entries are named after f's arguments), or a list or dict, nested if need be (f(inputs)). With
    torch those that require a gradient are moved, or else all floating ones; the rest is held fixed. f is given float64 copies
    where it takes them. eps and bounds: numbers, or dicts by those names. projection: of an output that is no
    single number, "random" (default: sum(v * output), sizes of v 0.5 to 1.5, drawn with seed), arrays of the output's shape,
    or "jacobian" for every number of it.
    Returns a Report (true if passed); raises GradcheckError with the report unless raise_exception=False.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    started = time.perf_counter()
    foreign = None
    if x is None and grad is not None:
        foreign = Problem(f, grad, projection, seed)
        f, grad, point = foreign.f, foreign.grad, foreign.point
    elif projection is not None:
        raise TypeError(
            "projection is for torch tensors and JAX arrays: gradcheck(f, inputs, projection=...)"
        )
    else:
        point = Point(x)
    function = in_double(f, point, with_gradient=grad is None, bounds=point.limits(bounds))
    values = analytic_gradient.evaluate(grad, function)
    rng = np.random.default_rng(seed)
    run = Run(function, values, atol, rtol, point.steps(eps), rng, nondet_tol, allow_undecided)
    if mode == "auto":
        cost = 2 * point.size * run.noise.seconds
        mode = "full" if cost <= seconds else "directions"
    report = run.report(mode, directions)
    if foreign is not None:
        report.warnings[:0] = foreign.notes()
    report.seconds = time.perf_counter() - started
    if raise_exception and not report.ok:
        raise GradcheckError(report)
    return report


class Run:
    """One comparison: what is known of f and of the gradient, and the report made from it."""

    def __init__(self, function, values, atol, rtol, eps, rng, nondet_tol, allow_undecided=False):
        if not ((atol is None or atol >= 0) and rtol >= 0):
            raise ValueError(f"need atol >= 0 (or None) and rtol >= 0, not {atol}, {rtol}")
        self.function, self.values, self.rng = function, values, rng
        self.atol, self.rtol = atol, rtol
        self.noise = noise.measure(function, rng)
        self.nondet_tol, self.allow_undecided = nondet_tol, allow_undecided
        # Differences of float32 values need steps of float32: rounding^(1/3).
        self.eps = 1e-6 if eps is None else eps
        if function.eps > 1e-15:
            self.eps = np.maximum(self.eps, function.eps ** (1 / 3))

    @np.errstate(all="ignore")
    def report(self, mode, count):
        function = self.function
        eps = np.asarray(self.eps, float).tolist()
        settings = {"eps": eps, "atol": self.atol, "rtol": self.rtol, "dtype": str(function.point.dtype)}
        report = Report(True, "", mode, settings=settings)
        report.value = float(function.value[0]) if function.value.size == 1 else None
        report.noise = float(self.noise.level.max())
        if not np.isfinite(function.value).all():
            report.fail(f"f is not finite at x: {function.value[~np.isfinite(function.value)][0]}")
            return report
        if mode == "full":
            self._full(report)
        else:
            self._directions(report, count)
        self._determinism(report)
        self._remarks(report)
        report.evaluations = function.calls
        return report

    def _full(self, report):
        result = full.compare(
            self.function, self.values.values, self.values.floor, self.noise.level,
            eps=self.eps, atol=self.atol, rtol=self.rtol, rng=self.rng,
        )  # fmt: skip
        self._fill(report, result, np.arange(self.function.point.size))
        wrong, undecided = report.counts["wrong"], report.counts["undecided"]
        size = result.analytic.size
        if wrong:
            report.fail(f"{wrong} of {_entries(size)} wrong; worst {worst_text(report.rows[0])}")
        elif undecided:
            report.leave(
                f"{undecided} of {_entries(size)} undecided; {_agreeing(size - undecided, report.counts)}",
                self.allow_undecided,
            )
        else:
            report.verdict = f"{_agree(size)}{_subgradients(report.counts)}"

    def _directions(self, report, count):
        finite = np.isfinite(self.values.values).all(0)
        arguments = {"atol": self.atol, "rtol": self.rtol}
        if not finite.all():
            entries = np.flatnonzero(~finite)[:ROWS]
            result = full.Comparison(
                self.values.values[:, entries], *(np.zeros((self.function.outputs, len(entries))) for _ in range(3)),  # type: ignore[arg-type]
                atol=self.atol or 0.0, rtol=self.rtol,
            )  # fmt: skip
            result.judge()
        else:
            report.directions, entries, result = check_directions(
                self.function, self.values.values, self.values.floor, self.noise.level, count=count, rng=self.rng,
                budget=int(np.clip(1 / max(self.noise.seconds, 1e-9), *_NAMING_BUDGET)), **arguments,
            )  # fmt: skip
        self._fill(report, result, entries)
        count, size = len(report.directions), self.function.point.size
        bad, unclear = (sum(d.status == s for d in report.directions) for s in (full.WRONG, full.UNDECIDED))
        wrong = report.counts["wrong"]
        if wrong:
            found = "one wrong entry" if wrong == 1 else f"{wrong} wrong entries"
            report.fail(f"{found} found; worst {worst_text(report.rows[0])}")
        elif bad:
            report.fail(f"{bad} of {count} directional derivatives wrong")
        elif unclear:
            report.leave(
                f"{unclear} of {count} directional derivatives undecided, {size} entries",
                self.allow_undecided,
            )
        else:
            report.verdict = (
                f"{len(report.directions)} directional derivatives agree, {self.function.point.size} entries"
            )
        if report.ok and any(d.deviates for d in report.directions):
            report.warnings.append(
                "the gradient deviates from f by more than rounding, though within tolerance"
            )
        self._ratio(report)

    def _ratio(self, report):
        """One factor common to all directions."""
        ratios = np.array(
            [d.analytic / d.numeric for d in report.directions if abs(d.numeric) > 10 * d.error]
        )
        if report.ok or len(ratios) < 2 or np.abs(ratios - 1).min() < 1e-4:
            return
        if np.ptp(ratios) <= 1e-3 * np.abs(ratios).max():
            text = "wrong sign" if abs(ratios[0] + 1) < 1e-3 else f"factor {np.median(ratios):.6g}"
            report.causes[:] = [f"{text} in every direction"]

    def _fill(self, report, result, entries):
        point = self.function.point
        status = result.status
        report.settings["atol"] = result.atol
        report.counts = {
            "entries": point.size * self.function.outputs, "compared": status.size,
            "wrong": int((status == full.WRONG).sum()), "subgradients": int((status == full.SUBGRADIENT).sum()),
            "undecided": int((status == full.UNDECIDED).sum()),
        }  # fmt: skip
        report.rows = self._rows(result, entries)
        if report.counts["wrong"]:
            report.causes = self._causes(result, entries)
        report.warnings += self._hidden(result)
        if report.counts["undecided"]:
            report.warnings.append(why_undecided(result, report.noise))
        report.curves = self._curves(entries)

    def _rows(self, result, entries):
        excess = result.excess()
        rank = np.choose(result.status, [0, 3, 0, 1])
        order = np.lexsort((-excess.ravel(), -rank.ravel()))[:ROWS]
        return [self._row(result, excess, entries, *np.unravel_index(j, excess.shape)) for j in order]

    def _row(self, result, excess, entries, output, j):
        point, i = self.function.point, int(entries[j])
        kink = not np.isnan(result.left[output, j])
        a, n = float(result.analytic[output, j]), float(result.numeric[output, j])
        wrong = result.status[output, j] == full.WRONG
        name, index = point.label(i), point.locate(i)[1]
        if self.function.shape:
            out = tuple(int(q) for q in np.unravel_index(output, self.function.shape))
            name, index = f"f[{', '.join(map(str, out))}] by {name}", (*out, *index)
        cause = ""
        if wrong:
            tolerance = float(result.blur()[output, j])
            cause = "outside the one-sided slopes" if kink else diagnosis.entry_cause(a, n, tolerance)
        return Row(
            name, index, a, None if kink else n,
            float(result.left[output, j]) if kink else None, float(result.right[output, j]) if kink else None,
            float(result.error[output, j]), float(result.h[output, j]), float(excess[output, j]),
            VERDICTS[result.status[output, j]], cause,
        )  # fmt: skip

    def _causes(self, result, entries):
        """Per array of x; a Jacobian is looked at as one matrix."""
        point = self.function.point
        complete = len(entries) == point.size
        wrong = result.status == full.WRONG
        if self.function.shape:
            shape = (self.function.outputs, point.size) if complete else (wrong.size,)
            x = np.zeros(wrong.size)
            return diagnosis.causes(
                result.analytic.ravel(), result.numeric.ravel(), wrong.ravel(), x, shape, result.blur().ravel(),
                complete,
            )  # fmt: skip
        found = []
        for k, shape in enumerate(point.shapes):
            part = (entries >= point.offsets[k]) & (entries < point.offsets[k + 1])
            if not wrong[0, part].any():
                continue
            shape = shape if complete else (int(part.sum()),)
            columns = (result.analytic[0, part], result.numeric[0, part], wrong[0, part])
            x = point.values[entries[part]]
            sentences = diagnosis.causes(*columns, x, shape, result.blur()[0, part], complete)
            title = "" if point.kind == "array" else f"{point.title(k)}: "
            found += [title + s for s in sentences]
        return found

    def _hidden(self, result):
        """Differences that only atol lets pass."""
        difference = result.difference()
        clear = (difference > 10 * result.error + result.floor) & (
            difference > self.rtol * np.abs(result.numeric)
        )
        hidden = clear & (result.status == full.OK)
        if not hidden.any():
            return []
        largest = np.nanmax(np.abs(result.numeric))
        return [
            f"{int(hidden.sum())} entries differ by more than rtol and pass by atol = {result.atol:g} alone "
            f"(largest entry of the gradient: {largest:.1e}); lower atol to judge them"
        ]

    def _determinism(self, report):
        value = np.abs(self.function.value)
        allowed = self.nondet_tol if self.nondet_tol is not None else 64 * self.function.eps * value
        scale = np.nan_to_num(np.abs(self.values.values)).max()
        # The terms of a gradient may be as large as f where their sum is not.
        scale = max(scale, np.nan_to_num(value).max())
        allowed_gradient = self.nondet_tol
        if allowed_gradient is None:
            allowed_gradient = 4096 * self.values.eps * scale
        for what, repeat, bad in (
            ("f", float(self.noise.repeat.max()), bool((self.noise.repeat > allowed).any())),
            ("the gradient", self.values.repeat, self.values.repeat > allowed_gradient),
        ):
            if repeat:
                report.deterministic = False
                report.warnings.append(
                    f"{what} is not deterministic: twice at the same x differs by {repeat:.2g}"
                )
            if bad:
                report.fail(f"{what} is not deterministic (twice at the same x differs by {repeat:.2g})")
                report.causes[:] = ["random numbers, dropout or state kept between calls; fix the seed"]

    def _remarks(self, report):
        """What was noticed of f on the way."""
        function = self.function
        if function.by_identity:
            report.warnings.append(
                "f answers by the identity of x (a cache?): it was given a new array for each evaluation"
            )
        kinds = [str(d) for d in function.value_dtypes if d.kind == "f"]
        if len(kinds) > 1:
            report.warnings.append(
                f"the dtype of f's value depends on x: {' and '.join(kinds)}; noise as of the coarser"
            )
        if self.values.dtypes and len(self.values.dtypes) > 1:
            report.warnings.append(
                f"the dtype of the gradient depends on x: {' and '.join(self.values.dtypes)}"
            )
        if function.raised:
            report.warnings.append(f"taken as the end of the domain: {function.raised[0]}")

    def _curves(self, entries):
        function, level = self.function, self.noise.level
        analytic = self.values.values

        def curves(rows):
            function.start()
            for row in rows:
                m = len(function.shape)
                output = int(np.ravel_multi_index(row.index[:m], function.shape)) if m else 0
                i = next(i for i in entries if row.name.endswith(function.point.label(int(i))))
                slope = entry_slope(function, int(i), level, target=0.0)
                yield row, slope.steps, np.abs(slope.central[:, output] - analytic[output, i])

        return curves


def worst_text(row):
    return f"{row.name}: analytic {row.analytic:.6g}, numeric {row.numeric_text}"


def _entries(size):
    return "1 entry" if size == 1 else f"{size} entries"


def _agree(size):
    return "the one entry agrees" if size == 1 else f"all {size} entries agree"


def _agreeing(size, counts):
    if not size:
        return "nothing was measured to the tolerance"
    return f"the other {size} agree" + _subgradients(counts)


def _subgradients(counts):
    return f" ({counts['subgradients']} subgradients)" if counts["subgradients"] else ""


def why_undecided(result, noise):
    """One sentence on the entries that could not be decided."""
    undecided = result.status == full.UNDECIDED
    count, error = int(undecided.sum()), result.error[undecided]
    lost = int((~np.isfinite(error)).sum())
    if lost == count:
        return f"{count} undecided: no step along them gives a slope; f is not finite there, or jumps"
    tolerance = result.tolerance()[undecided][np.isfinite(error)].min()
    text = (
        f"{count} undecided: the numeric slope is known to {error[np.isfinite(error)].max():.1e} only, "
        f"the tolerance is {tolerance:.1e} (noise of f {noise:.1e})"
    )
    return text + (f"; along {lost} of them no step gives a slope" if lost else "")
