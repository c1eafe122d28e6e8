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


def read(path, kind):
    """(meta, arrays) of a file that `write` made with meta["kind"] == kind."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        meta = json.loads(str(arrays.pop("meta")))
        found = meta["kind"]
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no file that fastopt wrote: {error}") from error
    if found != kind:
        raise ValueError(f"{path} holds a {found}, not a {kind}")
    return meta, arrays
