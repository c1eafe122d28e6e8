"""Where a solver stands, as arrays by their names, from which another run goes on with the same bits."""

from typing import Any

import numpy as np

from fastopt.solvers.searches import Patience


class State:
    """found: the arrays of a run to go on from, with "reads", or None.

    Of kept scores it holds what they were made of (`Scores.made`), not the scores: a few vectors like x, and as many
    reads of X to make them again.
    """

    _now: Any

    def __init__(self, found=None):
        self.found, self._now = found, ()

    def at(self, x, f, g, patience, kept=None, pairs=None, slow=0):
        """A solver is at x and about to yield it. What changes later is copied when `arrays` are asked for."""
        self._now = x, f, g, patience, kept, pairs, slow

    def arrays(self):
        x, f, g, patience, kept, pairs, slow = self._now
        made = [] if kept is None else kept.made
        kinds, points, factors = zip(*made, strict=True) if made else ((), (), ())
        return {
            "x": x, "f": np.float64(f), "g": g, "patience": patience.array(), "slow": np.int64(slow),
            "made_kinds": np.array(kinds, np.int64), "made_of": np.array(points), "made_factors": np.array(factors),
            **({} if pairs is None else pairs.arrays()),
        }  # fmt: skip

    def taken_up(self, problem):
        """(x, f, g, Patience, kept scores or None)"""
        of = self.found
        made = list(zip(of["made_kinds"].tolist(), of["made_of"], of["made_factors"].tolist(), strict=True))
        kept = problem.remade(made) if made else None
        problem.passes.reads = int(of["reads"])
        return of["x"], float(of["f"]), of["g"], Patience.taken_up(of["patience"]), kept
