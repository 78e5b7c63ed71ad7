"""What a stage's process owes to the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def leave_with_parent() -> None:
    """Have this process killed when its parent dies.

    When `dvc` is killed its running stage would go on, and could overwrite what the next run makes. Linux
    only; elsewhere nothing happens, since there is no such call.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:  # the parent was gone before the call
        sys.exit("error: the process that started this stage is gone")
