"""Where sound comes from: files, folders and patterns, standard input, a stream that grows."""

from __future__ import annotations

import glob
import os
import select
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from earshot import processes
from earshot.audio import decode, files
from earshot.audio.level import Level
from earshot.errors import EarshotError

STDIN = "-"
AT_MOST = 2**16  # bytes that are taken from a stream at once
PAUSE = 0.1  # seconds until a file that grows is looked at again


def recordings(name: str) -> list[Path]:
    """Return the recordings that a name stands for: a file, all of a folder, or what a pattern matches.

    What is ignored in a folder is counted on standard error.

    Raises
    ------
    EarshotError
        If there is none; here and below the message leaves the name to the caller.
    """
    path = Path(name)
    if path.is_dir():
        found = files.find(path)
        if not found.recordings:
            raise EarshotError(f"holds no recordings. Ignored: {files.told(found.counts)}")
        if found.ignored:
            print(
                f"{shown(path)}: {len(found.recordings)} recordings, ignored: {files.told(found.counts)}",
                file=sys.stderr,
            )
        return found.recordings
    if glob.has_magic(name) and not os.path.lexists(path):
        found = sorted(Path(match) for match in glob.glob(name, recursive=True))
        if not found:
            raise EarshotError("matches no file")
        return found
    return [path]


def shown(path: Path) -> str:
    """Return a file's name as it can be printed, whatever its bytes are."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check(path: Path) -> None:
    """Make sure that a file can be read to its end.

    Raises
    ------
    EarshotError
        If it is missing, empty, or no file: one would wait for a named pipe, and a device never ends.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise EarshotError(error.strerror) from None
    if stat.S_ISFIFO(found.st_mode):
        raise EarshotError("is a named pipe: `--follow` reads one")
    if not stat.S_ISREG(found.st_mode):
        raise EarshotError("is no file")
    if not found.st_size:
        raise EarshotError("is empty")


def blocks(path: Path, sample_rate: int, level: Level | None = None) -> Iterator[np.ndarray]:
    """Yield a recording as mono at `sample_rate` Hz, block by block.

    Parameters
    ----------
    level : says which channel is taken, by default the mean of all, and measures it

    Raises
    ------
    EarshotError
        If it can't be read or decoded, a sample is not a number or far beyond full scale, or its channels cancel out
        when they are mixed.
    """
    level = level or Level()
    try:
        recorded_at, decoded = decode.blocks(path)
        for block in decode.at_rate(recorded_at, level.watch(decoded), sample_rate, level.channel):
            if not level.finite:
                raise EarshotError("holds samples that are not numbers, or far beyond full scale")
            yield block
    except (ValueError, MemoryError) as error:
        raise EarshotError(f"does not decode: {str(error) or 'not enough memory'}") from None
    except OSError as error:
        raise EarshotError(f"can't be read: {error.strerror or error}") from None
    if level.cancels:
        raise EarshotError(
            "its channels cancel out when they are mixed: take one of them with `earshot predict --channel`"
        )


@contextmanager
def standard_input() -> Iterator[Path]:
    """Keep what comes on standard input, a whole file of any format, in a temporary file, and yield that."""
    with tempfile.NamedTemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        yield Path(kept.name)


def following(name: str, channels: int) -> Iterator[np.ndarray]:
    """Yield the sound of a stream of PCM (16 bit, little endian) as it comes: float32, shape (n, channels).

    A pipe ends when nobody writes to it any more; a file that grows is followed until Ctrl-C, which ends a pipe, too.

    Parameters
    ----------
    name : a file, a named pipe, or `-` for standard input
    """
    try:
        with (
            open(sys.stdin.fileno() if name == STDIN else name, "rb", buffering=0, closefd=name != STDIN) as file,
            processes.told_of_interrupt() as interrupted,
        ):
            for pcm in decode.frames_of(_buffers(file, interrupted), channels):
                yield pcm * np.float32(1 / decode.FULL_SCALE)
    except OSError as error:
        raise EarshotError(f"{name}: {error.strerror}") from None


def _buffers(file, ended: threading.Event) -> Iterator[bytes]:
    grows = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    while not ended.is_set():
        if not select.select([file], [], [], PAUSE)[0]:  # a file is always ready, at its end, too
            continue
        if buffer := file.read(AT_MOST):
            yield buffer
        elif grows:
            ended.wait(PAUSE)
        else:
            return
