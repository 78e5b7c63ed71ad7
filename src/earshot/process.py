"""What a stage's process owes to the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h


def leave_with_parent() -> None:
    """Have this process killed when its parent dies.

    When `dvc` is killed its running stage would go on, and could overwrite what the next run makes. Linux
    only; elsewhere nothing happens, since there is no such call.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call took effect
        sys.exit("error: the process that started this stage is gone")


def keep_memory() -> None:
    """Have freed memory kept by this process instead of given back to the system.

    Training frees and asks for the same megabytes at every step, and having them mapped anew costs more than
    what is computed in them: the CNN on waveforms runs at a fraction of its speed. glibc only.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
        mallopt(M_TRIM_THRESHOLD, 2**30)
