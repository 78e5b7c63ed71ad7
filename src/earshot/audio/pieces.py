"""Files as a decoder in C reads them by way of Python, which takes a disk that fails for their end: whole, or parts."""

from __future__ import annotations

import bisect
import io
import os
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Stretch = tuple[int, int | None]  # start and stop in bytes; None: to the end
AT_ONCE = 2**16  # bytes


class _Disk(io.FileIO):
    """A file that remembers what the disk did not give, and says that it ends there."""

    failed: OSError | None = None

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            self.failed = OSError(error.errno, error.strerror, self.name)
            return 0


class Whole(io.BufferedReader):
    """A whole file."""

    raw: _Disk

    def __init__(self, path: Path):
        super().__init__(_Disk(path), AT_ONCE)

    @property
    def failed(self) -> OSError | None:
        """With what the disk has failed, if it has."""
        return self.raw.failed

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or stay where a broken header leads before the beginning; return the place."""
        try:
            return super().seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()


class Pieces(io.RawIOBase):
    """What a decoder reads in place of a file that has something wrong or foreign in it.

    Parameters
    ----------
    path : the file
    stretches : of it, in the order in which they are read
    before : what is read before them
    """

    def __init__(self, path: Path, stretches: list[Stretch], before: bytes = b""):
        super().__init__()
        self._file = Whole(path)
        end = os.fstat(self._file.fileno()).st_size
        self._before, self._place = before, 0
        self._starts = [start for start, _ in stretches]
        sizes = [(end if stop is None else min(stop, end)) - start for start, stop in stretches]
        self._edges = list(accumulate(sizes, initial=len(before)))  # where each stretch begins, and the end

    @property
    def failed(self) -> OSError | None:
        """With what the disk has failed, if it has."""
        return self._file.failed

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place from which is read next."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; return it."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._edges[-1]}[whence]
        self._place = max(0, begin + offset)
        return self._place

    def readinto(self, buffer: bytearray) -> int:
        """Read into a buffer as much as it takes or there is; return how much."""
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and (n := self._read_some(view[done:])):
            done += n
        return done

    def _read_some(self, view: memoryview) -> int:
        """Read from the piece in which the place lies."""
        number = bisect.bisect_right(self._edges, self._place) - 1
        if number < 0:
            found = self._before[self._place : self._place + len(view)]
            view[: len(found)] = found
            n = len(found)
        elif number == len(self._starts):
            return 0
        else:
            self._file.seek(self._starts[number] + self._place - self._edges[number])
            n = self._file.readinto(view[: self._edges[number + 1] - self._place])
        self._place += n
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
