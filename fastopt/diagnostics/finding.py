"""What a detector is, and what it says: the problem, the evidence, what to do."""

from typing import Any, NamedTuple

DETECTORS = {}


class Detector(NamedTuple):
    """name: of the problem. rule: when it speaks. window: what it looks at. cure: what the lectures advise.

    needs: names of what a Case must hold. look(case) -> evidence as text, or None.
    """

    name: str
    rule: str
    window: str
    cure: str
    needs: tuple
    look: Any


class Finding(NamedTuple):
    """problem: the detector's name. evidence, cure: texts."""

    problem: str
    evidence: str
    cure: str

    def __str__(self):
        return f"{self.problem}: {self.evidence}; {self.cure}"


class Diagnosis(tuple):
    """Findings in the order of DETECTORS, one line each; `looked` names the detectors that had what they need."""

    looked: tuple

    def __new__(cls, findings, looked):
        self = super().__new__(cls, findings)
        self.looked = tuple(looked)
        return self

    @property
    def problems(self):
        """Names of what was found."""
        return [finding.problem for finding in self]

    def __str__(self):
        return "\n".join(map(str, self)) or f"nothing found by {len(self.looked)} detectors"

    def __repr__(self):
        return f"Diagnosis({self.problems}, {len(self.looked)} detectors looked)"


def detector(name, *, rule, window, cure, needs):
    """Registers look(case) under a name."""

    def register(look):
        DETECTORS[name] = Detector(name, rule, window, cure, tuple(needs), look)
        return look

    return register
