"""A pytest plugin: scikit-learn's own tests of LogisticRegression, LinearSVC and SGDClassifier on our classes.

    pytest -p sklearn_referee --pyargs sklearn.linear_model.tests.test_logistic sklearn.svm.tests.test_svm \
        sklearn.linear_model.tests.test_sgd

with this folder on PYTHONPATH. A class of ours with scikit-learn's arguments takes the place of theirs before the
test files are imported; tests that do not touch one of the three are not run. deselected.txt lists what else is
left out: a pattern of fnmatch on the test's name, and the reason.
"""

import fnmatch
import inspect
from pathlib import Path

import sklearn.linear_model
import sklearn.svm
from standins import STANDINS

LIST = Path(__file__).with_name("deselected.txt")
for module, name in ((sklearn.linear_model, "LogisticRegression"), (sklearn.linear_model, "SGDClassifier"), (sklearn.svm, "LinearSVC")):  # fmt: skip
    setattr(module, name, STANDINS[name])


def reasons():
    """[(pattern, reason)] of deselected.txt."""
    lines = [line for line in LIST.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(part.strip() for part in line.split("  ", 1)) for line in lines]


def _touches_ours(item):
    parameters = repr(getattr(item, "callspec", None) and item.callspec.params)
    text = inspect.getsource(item.function) + parameters
    return any(name in text for name in STANDINS)


def pytest_collection_modifyitems(config, items):
    patterns, kept, left_out = reasons(), [], []
    for item in items:
        named = any(fnmatch.fnmatchcase(item.name, pattern) for pattern, _ in patterns)
        (kept if _touches_ours(item) and not named else left_out).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=left_out)
