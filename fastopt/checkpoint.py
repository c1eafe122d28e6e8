"""Files that are written whole or not at all, without pickles."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np


def write(path, meta, arrays):
    """Write a dict of plain values and a dict of arrays into one .npz file.

    The file is made beside its place and moved there, so a reader or a crash never sees half of it.
    """
    path = Path(path)
    handle, temporary = tempfile.mkstemp(dir=path.parent or ".", prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load(path):
    """{name: array} of an .npz file, the array of an .npy file; else a ValueError on what is wrong with it.

    NumPy's own error for any other file is about pickles.
    """
    with open(path, "rb") as file:
        start = file.read(6)
    if not start.startswith((b"PK", b"\x93NUMPY")):
        raise ValueError("it is no .npy or .npz file")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except Exception as error:  # a damaged archive raises a dozen kinds
        objects = "allow_pickle" in str(error)
        raise ValueError("it holds Python objects, not numbers" if objects else str(error)) from error


def read(path, kind):
    """(meta, arrays) of a file that `write` made with meta["kind"] == kind."""
    try:
        arrays = load(path)
        if not isinstance(arrays, dict) or "meta" not in arrays:
            raise ValueError("it has no 'meta'")
        meta = json.loads(str(arrays.pop("meta")))
        found = meta["kind"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no file that fastopt wrote: {error}") from error
    if found != kind:
        raise ValueError(f"{path} holds a {found}, not a {kind}")
    return meta, arrays
