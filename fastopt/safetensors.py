"""Arrays and a text of JSON in one file of the safetensors format, with a checksum over every bit of it.

A file is the length of its header (8 bytes), the header (JSON: of each array its dtype, shape and place, and texts under
"__metadata__"), and the arrays. Any reader of safetensors takes it. `fastopt` in the metadata holds the caller's values,
`sha256` the digest of all the rest; a file is written whole or not at all (checkpoint.replacing).
"""

import hashlib
import json

import numpy as np

from fastopt.checkpoint import open_file, replacing

_NAMES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_OF = {np.dtype(text): name for name, text in _NAMES.items()}
_BFLOAT16 = np.dtype([("bfloat16", "u2")])  # as arrays.BFLOAT16
_MOST_HEADER = 100_000_000  # bytes, as the format says


def write(path, values, arrays):
    """Write a dict of plain values and a dict of arrays. TypeError for a dtype that the format does not have."""
    header: dict = {"__metadata__": {"fastopt": json.dumps(values, default=_plain)}}
    flat, end = [], 0
    for name in sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name)):  # aligned as they lie
        array = np.asarray(arrays[name])
        begin, end = end, end + array.nbytes
        header[name] = {
            "dtype": _name_of(name, array),
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
        flat.append(np.ascontiguousarray(array))
    header["__metadata__"]["sha256"] = _checksum(header, flat)
    text = _text(header)
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in flat:
            file.write(_bytes(array))


def read(path):
    """(values, arrays) of a file that `write` made; ValueError for any other, and where one bit of it has changed."""
    try:
        with open_file(path) as file:
            content = file.read()
        return _parts(content)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} is no file that fastopt wrote, or was changed or cut off: {error}"
        ) from error


def _parts(content):
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(_MOST_HEADER, len(content) - 8):
        raise ValueError("it does not begin as a safetensors file")
    text, data = content[8 : 8 + length], memoryview(content)[8 + length :]
    header = json.loads(text)
    metadata = header["__metadata__"]
    checksum = metadata.pop("sha256")
    places = {name: entry for name, entry in header.items() if name != "__metadata__"}
    found, end = {}, 0
    for name, entry in places.items():
        begin, last = entry["data_offsets"]
        dtype = _BFLOAT16 if entry["dtype"] == "BF16" else np.dtype(_NAMES[entry["dtype"]])
        if begin != end or last > len(data):
            raise ValueError(f"{name} is not where it should be")
        found[name] = np.frombuffer(data[begin:last], dtype).reshape(entry["shape"]).copy()
        end = last
    if end != len(data):
        raise ValueError(f"it has {len(data)} bytes of arrays, its header speaks of {end}")
    if checksum != _checksum(header, [data]):
        raise ValueError("its checksum is not that of its content")
    metadata["sha256"] = checksum
    if _text(header) != text:
        raise ValueError("its header was written by another program")
    return json.loads(metadata["fastopt"]), found


def _name_of(name, array):
    if array.dtype == _BFLOAT16 or array.dtype.name == "bfloat16":
        return "BF16"
    if array.dtype not in _OF:
        raise TypeError(f"{name} is an array of {array.dtype}, which a safetensors file does not take")
    return _OF[array.dtype]


def _text(header):
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def _checksum(header, parts):
    found = hashlib.sha256(_text(header))
    for part in parts:
        found.update(_bytes(part) if isinstance(part, np.ndarray) else part)
    return found.hexdigest()


def _bytes(array):
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r:.60} is no plain value that a file takes")
