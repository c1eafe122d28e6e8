"""What probably went wrong, read off from the analytic and the numeric values."""

import numpy as np

_FACTORS = {2.0: "twice too large", 0.5: "half of what it should be"}


def entry_cause(analytic, numeric, tolerance):
    """The likely cause from one entry alone, or ''."""
    if np.isnan(analytic):
        return "NaN"
    if np.isnan(numeric):
        return "f not finite beside x"
    if np.isinf(analytic):
        return "infinite"
    if analytic == 0:
        return "zero: never written?"
    if abs(analytic + numeric) <= tolerance:
        return "sign"
    if abs(numeric) <= tolerance:
        return "should be 0"
    ratio = analytic / numeric
    for factor, name in ((2.0, "factor 2"), (0.5, "factor 1/2"), (-2.0, "factor -2"), (-0.5, "factor -1/2")):
        if abs(ratio - factor) <= 2e-3 * abs(factor):
            return name
    return _factor_text(ratio)


def _factor_text(ratio):
    """Digits enough to tell a factor near 1 from 1."""
    if 0 < abs(abs(ratio) - 1) < 0.01:
        return f"factor {'-' if ratio < 0 else ''}(1 {'-+'[abs(ratio) > 1]} {abs(abs(ratio) - 1):.2g})"
    return f"factor {ratio:.4g}"


def causes(analytic, numeric, wrong, x, shape, tolerance, complete=True):
    """Sentences on what is common to the wrong entries of one array; the likeliest first.

    analytic, numeric, x, tolerance: flat arrays (NaN in numeric where it was not measured); wrong: flat mask.
    complete: every entry was measured.
    """
    a, n, tol = analytic, numeric, tolerance
    known = np.isfinite(a) & np.isfinite(n)
    bad = wrong & known
    if np.isnan(a[wrong]).any():
        count = int(np.isnan(a).sum())
        return ["one entry is NaN" if count == 1 else f"{count} entries are NaN"]
    if not bad.any():
        return []
    where = _region(wrong, shape) if complete else ""
    for test in (_zero, _factor, _transposed, _moved, _regulariser, _offset):
        found = test(a, n, bad, known, x, shape, tol, complete)
        if found:
            return [f"{where}: {found}" if where else found]
    if where:
        return [where]
    return []


def _close(p, q, tol):
    return bool(np.all(np.abs(p - q) <= 3 * tol + 3e-3 * np.abs(q)))


def _zero(a, n, bad, known, x, shape, tol, complete):
    if np.all(a[bad] == 0):
        count = int(bad.sum())
        return "the analytic value is exactly 0" + (": term missing or never written" if count > 1 else "")


def _factor(a, n, bad, known, x, shape, tol, complete):
    """One common factor over the wrong entries."""
    p, q = a[bad], n[bad]
    c = _ratio(p, q)
    if not 1e-100 < abs(c) < 1e100 or (bad.sum() < 2 and known.sum() > 1 and complete is False):
        return None
    if not _fits(p, c * q, tol[bad], abs(c)):
        return None
    if abs(c + 1) < 2e-3 or (
        abs(c + 1) < 0.1 and _fits(p, -q, tol[bad], 1)
    ):  # noise of f may hide the digits
        return "wrong sign: analytic = -numeric"
    name = (
        _FACTORS.get(round(abs(c) * 2) / 2) if abs(abs(c) * 2 - round(abs(c) * 2)) < 2e-3 * abs(c) else None
    )
    sign = " and of the wrong sign" if c < 0 else ""
    if name:
        return f"factor {c:.6g}: {name}{sign}"
    if bad.sum() >= 2 and abs(c - round(c)) < 1e-3 * abs(c) and abs(c) > 2:
        return (
            f"factor {round(c)}: missing 1/n (a sum over n = {abs(round(c))} where f takes the mean?){sign}"
        )
    if bad.sum() >= 2 and abs(1 / c - round(1 / c)) < 1e-3 / abs(c) and abs(c) < 0.5:
        return f"factor 1/{round(1 / c)}: divided by n = {abs(round(1 / c))} once too often?{sign}"
    return _factor_text(c) + " = analytic / numeric" + (" on all of them" if bad.sum() > 1 else "")


def _ratio(p, q):
    """The c with p = c*q in least squares, 0 where q is 0; the squares may not overflow."""
    unit = np.abs(q).max() or 1.0
    square = np.dot(q / unit, q / unit)
    return float(np.dot(p / unit, q / unit) / square) if square else 0.0


def _fits(p, q, tol, scale):
    return bool(np.all(np.abs(p - q) <= 2 * scale * tol + 1e-3 * np.abs(q)))


def _transposed(a, n, bad, known, x, shape, tol, complete):
    if not complete or len(shape) != 2 or min(shape) < 2:
        return None
    rows, columns = shape
    if _close(a.reshape(columns, rows).T.ravel(), n, tol):
        return "transposed: the analytic array holds the entries in the order of its transpose"
    if rows == columns and _close(a.reshape(shape).T.ravel(), n, tol):
        return "transposed"


def _moved(a, n, bad, known, x, shape, tol, complete):
    """Right values at wrong places."""
    if not complete:
        return None
    where = np.flatnonzero(bad)
    if len(where) >= 2 and _close(a[where[::-1]], n[where], tol[where]) and len(where) == 2:
        return "the two entries are swapped"
    for axis in range(len(shape)):
        for shift in (1, -1):
            if shape[axis] > 2 and _close(np.roll(a.reshape(shape), -shift, axis).ravel(), n, tol):
                return f"shifted by {shift:+d} along axis {axis}: index off by one"
    if 2 <= len(where) <= 10_000 and _close(np.sort(a[where]), np.sort(n[where]), tol[where]):
        return "the right values at the wrong places: an index mistake"


def _regulariser(a, n, bad, known, x, shape, tol, complete):
    """n - a proportional to x (L2) or to its sign (L1)."""
    d = (n - a)[known]
    for kind, base in (("x", x[known]), ("sign(x)", np.sign(x[known]))):
        square = np.dot(base, base)
        if known.sum() < 2 or not square:
            continue
        c = float(np.dot(d, base) / square)
        if abs(c) * np.abs(base).max() > 3 * tol[known].max() and _close(d, c * base, tol[known] / 3):
            what = "missing" if c > 0 else "too much of, or the wrong sign of,"
            term = f"{abs(c):.4g}*{kind}"
            hint = f" (l2 = {abs(c) / 2:.4g} in l2*sum(x**2))" if kind == "x" else " (an L1 term)"
            return f"{what} the regulariser's {term}{hint}"


def _offset(a, n, bad, known, x, shape, tol, complete):
    d = (a - n)[bad]
    if len(d) > 2 and _close(d, np.full_like(d, np.median(d)), tol[bad]):
        return f"off by the constant {np.median(d):.4g}"


def _region(wrong, shape):
    """'only row 3 (one class)' and the like: wrong entries confined to one slice along an axis."""
    count = int(wrong.sum())
    if count == wrong.size or len(shape) < 1:
        return ""
    index = np.unravel_index(np.flatnonzero(wrong), shape)
    if count > 1 and len(shape) == 2:
        for axis, (line, what) in enumerate((("row", "one class"), ("column", "one feature"))):
            if len(set(index[axis].tolist())) == 1 and shape[1 - axis] > 1 and count > shape[1 - axis] / 2:
                return f"only {line} {index[axis][0]} is wrong ({what})"
    for axis in range(len(shape)) if count > 1 and len(shape) > 2 else ():
        if len(set(index[axis].tolist())) == 1:
            return f"only index {index[axis][0]} of axis {axis} is wrong"
    return f"{count} of {wrong.size} entries" if count > 1 else ""
