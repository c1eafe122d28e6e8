"""scikit-learn's interface to linear models: LinearClassifier and LinearRegressor.

names.py       losses by name, for two classes and for more
features.py    X as rows that the engines read, standardized if that is asked for
fitting.py     one fit: by a solver or by epochs of a rule
sources.py     the same over a source, part by part
workers.py     over Dask's collections, on its workers
batches.py     updates batch by batch, with the rule's state kept (partial_fit)
progress.py    what is told on the way: verbose, scikit-learn's callbacks
linear.py      what both estimators share
classifier.py  regressor.py

The only folder that imports scikit-learn at import: `import fastopt` does not import it.
"""

import importlib.util

if importlib.util.find_spec("sklearn") is None:
    raise ImportError(
        'LinearClassifier and LinearRegressor need scikit-learn: pip install "fastopt[sklearn]"'
    )

from fastopt.estimators.classifier import LinearClassifier  # noqa: E402
from fastopt.estimators.regressor import LinearRegressor  # noqa: E402

__all__ = ["LinearClassifier", "LinearRegressor"]
