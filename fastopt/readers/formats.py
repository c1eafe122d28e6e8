"""Which format a file has, by its name and its first bytes."""

import atexit
import bz2
import gzip
import lzma
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from fastopt.readers.sources import ReadError, reading

STANDARD_INPUT = "standard input"
FORMATS = ("csv", "parquet", "arrow", "svmlight", "npz", "npy", "idx", "images")
_SUFFIXES = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".txt": "csv", ".data": "csv",
    ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow",
    ".svm": "svmlight", ".svmlight": "svmlight", ".libsvm": "svmlight",
    ".npz": "npz", ".npy": "npy", ".idx": "idx",
}  # fmt: skip
_MAGIC = (
    (b"PK\x03\x04", "npz"), (b"PK\x05\x06", "npz"), (b"\x93NUMPY", "npy"), (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"), (b"\x00\x00\x08", "idx"),
)  # fmt: skip
_ARRAYS, _CSV = ("npz", "npy", "idx"), ("csv",)
_ONLY_OF = {
    "labels": _ARRAYS,
    "size": ("images",),
    **dict.fromkeys(("delimiter", "decimal", "header", "null"), _CSV),
}
_OPENERS: dict[str, Callable] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def open_data(name, format=None, **options):
    """The Matrix or Table in a file, a folder of images, "digits", or "-" for standard input.

    format: one of FORMATS where the name does not tell. options: `labels` (a file of labels beside
    X), `size` (width, height) of images, and the dialect of CSV: delimiter, decimal, encoding,
    header, null. Raises ReadError, which names the file and what is wrong with it.
    """
    if name == "digits" and format is None:
        from fastopt.readers.arrays import digits

        return digits()
    shown = STANDARD_INPUT if name == "-" else str(name)
    with reading(shown):
        path = _path(str(name))
        kind = format or _format(path, shown)
        _refuse_idle(options, kind, shown)
        return _READERS[kind](path, shown, options)


def _refuse_idle(options, kind, name):
    """ReadError for an option that this kind of file makes no use of: its user expects that it does something."""
    for option, kinds in _ONLY_OF.items():
        if options.get(option) not in (None, ()) and kind not in kinds:
            raise ReadError(
                f"{name} is read as {kind}, and --{option} is for {' and '.join(kinds)}: leave it out"
            )


def _path(name):
    """A path that can be read again and again: what comes through a pipe is kept in a temporary file."""
    if name == "-":
        return _spooled(sys.stdin.buffer, STANDARD_INPUT)
    path = Path(name)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ReadError(f"{name}: no such file (DATA is 'digits', a file, a folder or - )") from None
    except (OSError, ValueError) as error:
        raise ReadError(f"{name} cannot be read: {error}") from error
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return path
    if not stat.S_ISFIFO(mode):
        raise ReadError(f"{name} is neither a file nor a folder nor a pipe")
    with open(path, "rb") as pipe:
        return _spooled(pipe, name)


def _spooled(stream, name):
    with tempfile.NamedTemporaryFile(prefix="fastopt-", delete=False) as file:
        atexit.register(Path(file.name).unlink, missing_ok=True)
        shutil.copyfileobj(stream, file)
        if file.tell() == 0:
            raise ReadError(f"{name} is empty")
    return Path(file.name)


def _format(path, name):
    if path.is_dir():
        return "images"
    with opened(path) as file:
        start = file.read(8)
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    found = _SUFFIXES.get(
        _suffix(path), "csv" if name == STANDARD_INPUT or name.startswith("/dev/fd/") else None
    )
    if found in ("npz", "npy"):
        raise ReadError(f"{name} cannot be read: it is no .npy or .npz file")
    if found in ("parquet", "arrow", "idx"):
        raise ReadError(f"{name} is no {found} file, though its name says so")
    if found is None:
        raise ReadError(f"{name}: what kind of file is it? Say --format {'|'.join(FORMATS)}")
    return found


def _suffix(path):
    """The suffix that tells the format: of letter.csv.gz it is .csv."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _OPENERS:
        suffixes.pop()
    if "-idx" in path.name:
        return ".idx"
    return suffixes[-1] if suffixes else ""


def opened(path):
    """The file's bytes, unpacked where its name ends on .gz, .bz2 or .xz."""
    return _OPENERS.get(Path(path).suffix.lower(), open)(path, "rb")


def _tables(reader):
    def read(path, name, options):
        from fastopt.readers import tables

        return getattr(tables, reader)(path, name, **options)

    return read


def _arrays(reader):
    def read(path, name, options):
        from fastopt.readers import arrays

        return getattr(arrays, reader)(path, name, options.get("labels"))

    return read


def _svmlight(path, name, options):
    from fastopt.readers.svmlight import svmlight

    return svmlight(path, name, options.get("features"))


def _images(path, name, options):
    from fastopt.readers.images import images

    return images(path, name, options.get("size"))


_READERS = {
    "csv": _tables("csv"), "parquet": _tables("parquet"), "arrow": _tables("arrow"),
    "npz": _arrays("npz"), "npy": _arrays("npy"), "idx": _arrays("idx"),
    "svmlight": _svmlight, "images": _images,
}  # fmt: skip
