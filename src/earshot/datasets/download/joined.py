"""The parts of a file, read as the one file that they are parts of."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO


class Joined(io.RawIOBase):
    """Files one after the other.

    Parameters
    ----------
    pieces : (file, how many bytes of it from its beginning), in their order

    Attributes
    ----------
    starts : the byte where each piece begins, and the end of the last
    """

    def __init__(self, pieces: Sequence[tuple[BinaryIO, int]]) -> None:
        self._files = [file for file, _ in pieces]
        self.starts = [0, *accumulate(length for _, length in pieces)]
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, as of any file."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.starts[-1]}[whence]
        if at < 0:
            raise OSError(f"no byte {at}")  # as zipfile expects of a file that is too short
        self._at = at
        return at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read up to the end of a piece, or as many bytes as fit."""
        if self._at >= self.starts[-1]:
            return 0
        piece = bisect_right(self.starts, self._at) - 1
        self._files[piece].seek(self._at - self.starts[piece])
        data = self._files[piece].read(min(len(buffer), self.starts[piece + 1] - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def buffered(pieces: Sequence[tuple[BinaryIO, int]]) -> BinaryIO:
    """Return files one after the other as one, see `Joined`."""
    return io.BufferedReader(Joined(pieces))


@contextmanager
def opened(parts: Sequence[Path]) -> Iterator[tuple[BinaryIO, list[int]]]:
    """Open the parts of a file.

    Yields
    ------
    file : of all their bytes
    starts : see `Joined`
    """
    with ExitStack() as stack:
        pieces = [(stack.enter_context(path.open("rb")), path.stat().st_size) for path in parts]
        starts = [0, *accumulate(size for _, size in pieces)]
        yield (pieces[0][0] if len(pieces) == 1 else buffered(pieces)), starts
