"""Files of arrays that are written whole or not at all, without pickles, with one checksum over everything.

A file is an uncompressed .npz archive: `meta`, a text of JSON; the arrays; `checksum`, the SHA-256 of
all of them with their names, dtypes and shapes. The checksums of a zip archive leave out its directory,
where one bit can rename or drop an array.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
import zipfile
from pathlib import Path

import numpy as np

try:
    import fcntl
except ImportError:  # Windows: files that killed runs left behind stay there
    fcntl = None  # type: ignore[assignment]

FORMAT = 2  # 1 had no checksum
_KINDS = "biufcUSMm"  # of arrays that a file takes
_NAME = 200  # characters of a file's name that its unfinished form repeats; a name may have 255 in all


def write(path, meta, arrays):
    """Write a dict of plain values and a dict of arrays into one file; numbers of NumPy's become plain ones.

    The file is made beside its place and moved there, so a reader or a crash never sees half of it; one
    that was there keeps its mode. Raises OSError naming the file, and TypeError for what no file takes.
    """
    text = json.dumps({**meta, "format": FORMAT}, default=_plain, allow_nan=False)
    members = {"meta": np.array(text)} | {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in members.items():
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"{name} is an array of {array.dtype}: a file takes numbers and text")
    members["checksum"] = np.frombuffer(_checksum(members), np.uint8)
    with replacing(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r:.60} is no plain value that a file takes")


def _checksum(members):
    found = hashlib.sha256()
    for name in sorted(members):
        array = members[name]
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(array.tobytes() if array.dtype.kind in "USMm" else np.ascontiguousarray(array).data)
    return found.digest()


@contextlib.contextmanager
def replacing(path):
    """A binary file to write, which takes the place of `path` at the end, or is gone where that fails."""
    target = Path(os.path.realpath(path))
    try:
        mode = _mode(target)
        file, part = _new_part(target, mode)
        try:
            with file:
                _clear_parts(target)
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(part, target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _named(error, path) from error


def _named(error, path):
    """The error with the name of the user's file: that of its unfinished form tells him nothing."""
    return type(error)(error.errno, error.strerror or str(error), str(path))


def _mode(target):
    """The permissions of the file that is there, or None."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or device, not a file")
    return stat.S_IMODE(found.st_mode)


def _new_part(target, mode):
    """(open file, path) beside the target. It is locked for as long as its writer lives."""
    while True:
        part = target.with_name(f"{target.name[:_NAME]}{secrets.token_hex(4)}.part")
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666 if mode is None else 0o600)
        file = os.fdopen(handle, "wb")
        if fcntl is not None:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if not os.fstat(handle).st_nlink:  # another writer took it for one that was left behind
                file.close()
                continue
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(handle, mode)
        return file, part


def _clear_parts(target):
    """Remove the unfinished files of writers that were killed: nobody holds their lock."""
    if fcntl is None:
        return
    pattern = re.compile(re.escape(target.name[:_NAME]) + r"[a-z0-9_]{8}\.part")
    for name in filter(pattern.fullmatch, os.listdir(target.parent)):
        part = target.with_name(name)
        with contextlib.suppress(OSError), open(part, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def open_file(path):
    """The file, open; ValueError for a folder, a pipe, a device: to wait for one is not to read a file."""
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError("it is a folder, a pipe or a device, not a file")
    return os.fdopen(handle, "rb")


def load(path, memory=None):
    """{name: array} of an .npz file, the array of an .npy file; else a ValueError on what is wrong with it.

    memory: bytes that the arrays may take, at most all that the machine has. NumPy's own error for any
    other file is about pickles.
    """
    memory = _machine_memory() if memory is None else memory
    with open_file(path) as file:
        start = file.read(6)
        file.seek(0)
        if not start.startswith((b"PK", b"\x93NUMPY")):
            raise ValueError("it is no .npy or .npz file")
        try:
            if start.startswith(b"PK"):
                return _members(file, memory)
            return np.load(file, allow_pickle=False)
        except Exception as error:  # a damaged archive raises a dozen kinds
            objects = "allow_pickle" in str(error)
            raise ValueError("it holds Python objects, not numbers" if objects else f"{error}") from error


def _members(file, memory):
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            raise ValueError("it has two arrays of one name")
        needed = sum(entry.file_size for entry in entries)
        if needed > memory:
            raise ValueError(f"its arrays take {needed:,} bytes, more than the {memory:,} there can be")
        with np.load(file, allow_pickle=False) as loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    strange = [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]
    if strange:
        raise ValueError(f"{strange[0]!r} in it is no array")
    return arrays


def _machine_memory():
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def read(path, kind):
    """(meta, arrays) of a file that `write` made with meta["kind"] == kind.

    ValueError for any other, and where a single bit of what was written has changed.
    """
    try:
        # `write` does not compress, so the arrays are not larger than their file.
        arrays = load(path, os.stat(path).st_size)
        if not isinstance(arrays, dict) or "meta" not in arrays:
            raise ValueError("it has no 'meta'")
        meta = _checked_meta(arrays)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no file that fastopt wrote: {error}") from error
    if meta["kind"] != kind:
        raise ValueError(f"{path} holds a {meta['kind']}, not a {kind}")
    return meta, arrays


def _checked_meta(arrays):
    """meta, which like the checksum is taken out of the arrays."""
    text = arrays["meta"]
    if text.dtype.kind != "U" or text.shape != ():
        raise ValueError("its 'meta' is no text")
    meta = json.loads(str(text))
    if not isinstance(meta, dict) or not isinstance(meta.get("kind"), str):
        raise ValueError("its 'meta' does not say what it is")
    found = meta.pop("format", 1)
    if found not in (1, FORMAT):
        raise ValueError(f"it has the format {found!r}, of a later version")
    if found == FORMAT:
        checksum = arrays.pop("checksum", None)
        if checksum is None or checksum.tobytes() != _checksum(arrays):
            raise ValueError("its checksum is not that of its content")
    del arrays["meta"]
    return meta
