"""Bytes in memory followed by stretches of a file, read like one file."""

from __future__ import annotations

import bisect
import io
import os
from itertools import accumulate
from pathlib import Path

Stretch = tuple[int, int | None]  # start and stop in bytes; None: to the end


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
        self._file = path.open("rb")
        end = os.fstat(self._file.fileno()).st_size
        self._before, self._place = before, 0
        self._starts = [start for start, _ in stretches]
        sizes = [(end if stop is None else min(stop, end)) - start for start, stop in stretches]
        self._edges = list(accumulate(sizes, initial=len(before)))  # where each stretch begins, and the end

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
