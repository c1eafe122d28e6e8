"""The average of the parameters over a run.

It is taken at evenly spaced steps of each epoch, POINTS of them or every step where there are fewer: where
the compiled loop pauses anyway, and at places that follow from the number of steps alone, so that the same
run has the same bits.
"""

import bisect

import numpy as np

POINTS = 32


def points(steps):
    """The steps of an epoch, counted from 1, after which parameters enter the average."""
    count = min(POINTS, steps)
    return [(i + 1) * steps // count for i in range(count)]


class Average:
    """decay = 1: the mean of all points (Polyak & Juditsky 1992). Below 1: an exponential one of that decay a
    step, divided by what the weights so far sum up to, as Adam's moments are (Kingma & Ba 2015, section 3).
    begin: the epoch, counted from 0, from which a mean is taken.
    """

    def __init__(self, decay, W, b, steps_per_epoch, begin=0):
        self.decay, self.points, self.begin = decay, points(steps_per_epoch), begin
        self.W, self.b = np.zeros(W.shape), np.zeros(b.shape)
        self.has_points = False

    def next_point(self, done):
        """The next step of the epoch, after so many, at which the run has to pause."""
        return self.points[bisect.bisect_right(self.points, done)]

    def take(self, W, b, done, step):
        """Let the parameters in: after `done` steps of this epoch, `step` in all. Nothing where that is no point."""
        at = bisect.bisect_left(self.points, done)
        epochs = (step - done) // self.points[-1] - self.begin
        if at == len(self.points) or self.points[at] != done or epochs < 0:
            return
        if self.decay == 1:
            share = 1 / (epochs * len(self.points) + at + 1)
        else:
            since = done - (self.points[at - 1] if at else 0)
            share = (1 - self.decay**since) / (1 - self.decay**step)
        self.W += share * (W - self.W)
        self.b += share * (b - self.b)
        self.has_points = True

    def __str__(self):
        if self.decay < 1:
            return f"exponential, decay {self.decay:g} a step"
        return f"mean from epoch {self.begin + 1} on"

    def arrays(self):
        return {"average_W": self.W, "average_b": self.b}

    def parameters(self, dtype):
        return self.W.astype(dtype), self.b.astype(dtype)
