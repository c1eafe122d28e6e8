"""Diagnosis while a run goes on."""

from fastopt.diagnostics.diagnosing import diagnose


class Watch:
    """A log for fo.train or a loop of your own that looks at the curves while they grow.

    Called with (dict, step), as every log. say(text) is called once for each problem when it is first found; `found` has
    {problem: (step, Finding)}. A problem must be there at two looks that follow each other. every: calls between two looks;
    then: another log that is called too, such as fo.JsonLog.
    """

    def __init__(self, say=print, *, every=10, then=None):
        if every < 1:
            raise ValueError(f"every must be a whole number, at least 1, not {every!r}")
        self.say, self.every, self.then = say, every, then
        self.found, self._curves, self._calls, self._suspected = {}, {}, 0, set()

    def __call__(self, values, step):
        if self.then is not None:
            self.then(values, step)
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._curves.setdefault(name, [float("nan")] * self._calls).append(value)
        self._calls += 1
        for curve in self._curves.values():
            curve.extend([float("nan")] * (self._calls - len(curve)))
        if self._calls % self.every == 0:
            self._look(step)

    def _look(self, step):
        now = {finding.problem: finding for finding in diagnose(self._curves)}
        for problem in now.keys() & self._suspected - self.found.keys():
            self.found[problem] = step, now[problem]
            self.say(f"step {step}: {now[problem]}")
        self._suspected = set(now)
