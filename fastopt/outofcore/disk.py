"""Reading a file's bytes into memory: through the page cache where it has room for the file, else past it."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from fastopt.readers.sources import ReadError

BLOCK = 4096  # what the places in the file and in memory are multiples of, past the cache
CGROUP = Path("/sys/fs/cgroup")


def fits_in_memory(size):
    """Whether the page cache can keep so many bytes from pass to pass: half of the memory that may be used.

    Of a larger file nothing would be left of the last pass where the next one begins. Past the cache 4 GB take 0.03 s
    of a CPU at 2.0 GB/s, through it 0.9 s at 1.0 to 1.4 GB/s.
    """
    return size <= _memory() // 2


def _memory():
    """Bytes that this process may use: what is available, or what it is limited to."""
    found = []
    with suppress(OSError, ValueError):
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(int(fields["MemAvailable"].split()[0]) << 10)
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds in ("", "memory"):
                name = "memory.limit_in_bytes" if kinds else "memory.max"
                found += _limits(CGROUP / kinds, path.strip("/"), name)
    return min(found + process_limits(), default=1 << 62)


def process_limits():
    """Bytes of addresses that this process may have, where there are such limits."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    found = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return [limit for limit in found if limit != resource.RLIM_INFINITY]


def _limits(root, path, name):
    """Of a group of processes and, where it is called otherwise inside a container, of the root."""
    found = []
    for folder in (root / path, root):
        with suppress(OSError, ValueError):  # "max" is no number
            found.append(int((folder / name).read_text()))
    return found


def room(size):
    """Memory for `size` bytes from any place of a file."""
    memory = np.empty(size + 3 * BLOCK, np.uint8)
    begin = -memory.ctypes.data % BLOCK
    return memory[begin : begin + size + 2 * BLOCK]


class File:
    """An open file. past_cache: whether its bytes go around the page cache, where the system can."""

    def __init__(self, path, past_cache):
        self._path, self._direct = path, past_cache and hasattr(os, "O_DIRECT")
        self._file = self._opened()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def _opened(self):
        flags = os.O_DIRECT if self._direct else 0
        try:
            return open(self._path, "rb", buffering=0, opener=lambda path, own: os.open(path, own | flags))
        except OSError as error:
            if not self._is_no_use(error):
                raise
            return self._opened()

    def _is_no_use(self, error):
        """Whether this file system cannot read past the cache, which is then not tried again."""
        if not self._direct or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            return False
        self._direct = False
        return True

    def read(self, offset, size, room):
        """The bytes [offset, offset + size) of the file, in memory that `room` gave. ReadError where it ends before."""
        skip = offset % BLOCK if self._direct else 0
        begin, wanted = offset - skip, skip + size
        most, got = -(-wanted // BLOCK) * BLOCK if self._direct else wanted, 0
        try:
            while got < wanted:
                self._file.seek(begin + got)
                count = self._file.readinto(memoryview(room)[got:most])
                if not count or (self._direct and got + count < wanted and count % BLOCK):
                    raise ReadError(f"{self._path} became shorter while it was read")
                got += count
        except OSError as error:
            if not self._is_no_use(error):
                raise
            self._file.close()
            self._file = self._opened()
            return self.read(offset, size, room)
        return room[skip:wanted]
