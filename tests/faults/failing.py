"""The library of failing.c: compiled, loaded before libc, and armed with one failure at a time."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
KINDS = ("write", "fsync", "rename", "open", "mmap", "read")  # in the order of failing.c, from 1
NEVER = 2**31 - 1


@dataclass(frozen=True)
class Failure:
    """What a machine does to a call of a kind.

    error : with which it ends, of errno.h; 0: it does as it should
    lasting : each later one ends so too, as on a disk that is full
    signal : that is sent to the process and to those it has started
    """

    kind: str
    error: int = 0
    lasting: bool = False
    signal: int = 0

    def __str__(self) -> str:
        """Return its name in tables."""
        if self.signal:
            return f"{self.kind}: {signal.Signals(self.signal).name}"
        return f"{self.kind}: {errno.errorcode[self.error]}{', and from there on' if self.lasting else ''}"

    def arm(self, nth: int, folder: Path) -> None:
        """Have it happen to the Nth call on files below a folder, from 1, of this process and those that it forks."""
        kind = 1 + KINDS.index(self.kind)
        ctypes.CDLL(None).arm_failure(kind, nth, self.error, self.signal, self.lasting, os.fsencode(folder))


def disarm() -> int:
    """Have nothing fail from now on; return how many calls there were of the kind that was armed."""
    return ctypes.CDLL(None).disarm_failure()


def load() -> None:
    """Load the library: compile it, and start this program again with it.

    Raises
    ------
    FileNotFoundError
        If there is no compiler.
    """
    if hasattr(ctypes.CDLL(None), "arm_failure"):
        shutil.rmtree(Path(os.environ.pop("LD_PRELOAD")).parent)  # this process has it, and others need none
        return
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # a fork has no other threads
    path = Path(tempfile.mkdtemp()) / "failing.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, SOURCE], check=True)
    os.environ["LD_PRELOAD"] = str(path)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
