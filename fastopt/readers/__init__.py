"""Files with rows to learn from or to predict, of any usual kind, as arrays.

    formats (which kind a file has) -> arrays, svmlight, images (a Matrix) or tables (a Table)
    scan (what the columns of a Table hold) -> preparation (columns -> features, kept in the model file)
    labels, split, digest -> what the command line trains on and scores

The formats' readers are pyarrow's, scikit-learn's and Pillow's, imported where such a file is read.
"""

from fastopt.readers.formats import FORMATS, open_data
from fastopt.readers.sources import Matrix, ReadError, Table

__all__ = ["FORMATS", "Matrix", "ReadError", "Table", "open_data"]
