"""Arrays in files: .npz, .npy (mapped into memory), IDX (the format of MNIST), and the digits of the package."""

import math
import struct
import tokenize
from pathlib import Path

import numpy as np

from fastopt import checkpoint
from fastopt.readers.formats import opened
from fastopt.readers.sources import ReadError, matrix, reading

_PARTS = ("x_train", "y_train", "x_test", "y_test")
_SPARSE = ("data", "indices", "indptr", "shape")
_NPY = b"\x93NUMPY"
_IDX_DTYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def digits():
    """1,797 rows of 8x8 pixels 0..16 (Alpaydin & Kaynak 1998, UCI "Optical Recognition of Handwritten
    Digits", its test part); every fifth row is for testing."""
    with np.load(Path(__file__).parents[1] / "data" / "digits.npz") as file:
        X, y = file["X"], file["y"]
    test = np.arange(len(X)) % 5 == 4
    return matrix("digits", X[~test], y[~test], (X[test], y[test]), 1 / 16)


def npz(path, name, labels=None):
    """Arrays x_train, y_train, x_test, y_test; or X and perhaps y; or a CSR matrix as scipy saves it.

    uint8 features are divided by 255, or by the file's `divisor`.
    """
    found = checkpoint.load(path)
    if not isinstance(found, dict):
        raise ReadError(f"{name} is an .npy file by its content, one array: name it so")
    scale = 1 / _divisor(found, name)
    if set(_PARTS) <= found.keys():
        x_train, y_train, x_test, y_test = (found[key] for key in _PARTS)
        return _matrix(name, x_train, y_train, scale, test=(x_test, y_test))
    if set(_SPARSE) <= found.keys():
        X = _csr(found, name)
    elif "X" in found:
        X = found["X"]
    else:
        raise ReadError(
            f"{name} has {sorted(found)}; x_train, y_train, x_test, y_test or X, y are needed, or data, indices, indptr, shape of a CSR matrix"
        )
    return _matrix(name, X, _labels(labels) if labels else found.get("y"), scale)


def _divisor(found, name):
    value = np.asarray(found.get("divisor", 255.0))
    if value.size != 1 or value.dtype.kind not in "iuf" or not (0 < value < np.inf).all():
        raise ReadError(f"{name}: divisor must be one number above 0, not {_shown(value)}")
    return float(value.reshape(())[()])


def _shown(value):
    text = f"{value.dtype} of shape {value.shape}"
    return repr(value.reshape(-1)[0].item()) if value.size == 1 else text


def _csr(found, name):
    from scipy.sparse import csr_array

    kind = found.get("format", np.array("csr")).reshape(-1)[0]
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if kind != "csr":
        raise ReadError(f"{name} holds a {kind} matrix: save it as CSR, matrix.tocsr()")
    for key in _SPARSE[1:]:  # scipy would cut off what is no whole number
        if found[key].dtype.kind not in "iu" or found[key].ndim != 1:
            raise ReadError(
                f"{name}: {key} of a CSR matrix is a vector of whole numbers, not {_shown(found[key])}"
            )
    shape = tuple(map(int, found["shape"]))
    if found["data"].dtype.kind not in "iufb" or len(shape) != 2 or shape[1] < 1:
        raise ReadError(
            f"{name}: a CSR matrix of numbers, rows x features, is needed, not {found['data'].dtype} of shape {shape}"
        )
    X = csr_array(tuple(found[key] for key in _SPARSE[:3]), shape=shape)
    X.check_format(full_check=True)
    return X


def npy(path, name, labels=None):
    """One array of rows, mapped into memory: what is not looked at is not read."""
    return _matrix(name, _array(path, mmap_mode="r"), _labels(labels) if labels else None, 1 / 255)


def _labels(path):
    with reading(path):
        return _array(path)


def _array(path, mmap_mode=None):
    with open(path, "rb") as file:
        if file.read(len(_NPY)) != _NPY:
            raise ReadError(f"{path} is no .npy file")
    try:
        return np.load(path, mmap_mode, allow_pickle=False)
    except tokenize.TokenError:
        raise ReadError(f"{path} cannot be read: its header is damaged") from None


def idx(path, name, labels=None):
    """Images of an IDX file, with the labels beside it, and t10k-* as the test part of train-*."""
    path = Path(path)
    X, y = _idx_array(path), _idx_labels(path, labels)
    other = path.with_name(path.name.replace("train-", "t10k-", 1))
    test = None
    if path.name.startswith("train-") and other.exists():
        test = (_idx_array(other), _idx_labels(other, None))
        test = None if test[1] is None else test
    return _matrix(name, X, y, 1 / 255, test)


def _idx_labels(path, labels):
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    if labels is None and (beside == path or not beside.exists()):
        return None
    return _idx_array(Path(labels or beside))


def _idx_array(path):
    with reading(path), opened(path) as file:
        zero, kind, dimensions = struct.unpack(">HBB", file.read(4))
        if zero or kind not in _IDX_DTYPES:
            raise ReadError(f"{path} is no IDX file")
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
        dtype, size = np.dtype(_IDX_DTYPES[kind]), math.prod(shape)
        found = file.read(size * dtype.itemsize + 1)
        if len(found) != size * dtype.itemsize:
            raise ReadError(f"{path} should hold {size:,} numbers and ends after {len(found):,} bytes")
        return np.frombuffer(found, dtype).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _matrix(name, X, y, scale, test=None):
    X, y = features(X, name, "X"), label_vector(y, len_of(X), name)
    if test is not None:
        x_test = features(test[0], name, "x_test")
        if x_test.shape[1] != X.shape[1]:
            raise ReadError(f"{name}: {X.shape[1]} features to train on, {x_test.shape[1]} to test on")
        test = x_test, label_vector(test[1], len(x_test), name, "y_test")
        if y is None or test[1] is None:
            raise ReadError(f"{name}: labels are missing")
    return matrix(name, X, y, test, scale if X.dtype == np.uint8 else 1.0)


def len_of(X):
    """Rows of an array or of what is none."""
    return X.shape[0] if np.ndim(X) or hasattr(X, "indptr") else 0


def features(x, name, what):
    """Rows x features in a dtype that the kernels read."""
    if hasattr(x, "indptr"):
        return x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)
    if x.ndim < 1:
        raise ReadError(f"{name}: {what} is a single value; rows of features are needed")
    if x.dtype.kind not in "iufb":
        raise ReadError(f"{name}: features of type {x.dtype} cannot be used; numbers are needed")
    if math.prod(x.shape[1:]) < 1:
        raise ReadError(f"{name}: {what} has shape {x.shape}: there are no features")
    if x.dtype not in (np.uint8, np.float32, np.float64) or not x.dtype.isnative:
        x = x.astype(np.float64 if x.dtype.itemsize > 8 or x.dtype == ">f8" else np.float32)
    return x.reshape(len(x), math.prod(x.shape[1:]))


def label_vector(y, n, name, what="y"):
    """y as a vector of n labels that are numbers or strings, or soft ones (n, classes); None stays None."""
    if y is None:
        return None
    y = np.asarray(y)
    if y.dtype.kind not in "iufbUS":
        raise ReadError(f"{name}: {what} must hold numbers or strings, not {y.dtype}")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and len(y) == n and y.dtype.kind == "f":
        bad = ~((y >= 0) & (y <= 1))
        if bad.any():
            row = int(np.argmax(bad.any(axis=1)))
            raise ReadError(
                f"{name}: {what} has shape {y.shape}, and in row {row + 1} what is no share of a class, between 0 and 1; "
                f"({n},) is needed, a label for each row of X, or ({n}, classes), shares"
            )
        return y
    if y.shape != (n,):
        raise ReadError(f"{name}: {what} has shape {y.shape}; ({n},) is needed, a label for each row of X")
    return np.char.decode(y, "utf-8") if y.dtype.kind == "S" else y
