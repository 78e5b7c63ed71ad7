"""Processes: pools of workers, signals, and children that must not outlive their parent.

Apart from the code that runs in them, since stages, training and commands end in the same way: a process that went on
after its parent was killed could overwrite what the next one makes.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from earshot.errors import heed_dropped

ENDING = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1  # linux/prctl.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
# Forking is what makes a worker cheap. Where it isn't safe (macOS) or not there (Windows) workers start afresh, and so
# they do here if the variable says so.
FORKS = sys.platform == "linux" and os.environ.get("EARSHOT_START") != "spawn"
MASKS = hasattr(signal, "pthread_sigmask")  # not on Windows


def leave_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; where it can't (it is not Linux), a thread does.

    When `dvc` is killed, its running stage would continue and could overwrite the outputs of the next run.
    """
    parent = os.getppid()
    if sys.platform != "linux":
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call took effect
        sys.exit("error: the process that started this one is gone")


def _end_after(process: int) -> None:
    """Wait for a process to end, and end this one at once."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(process).wait()
    os._exit(1)


def leave_in_order(*_: Any) -> None:
    """Turn SIGTERM into an exception, so that the MLflow run is ended."""
    raise SystemExit("error: ended by SIGTERM")


@contextmanager
def begun_quietly() -> Iterator[None]:
    """Keep Ctrl-C from the workers that are started in the block until they heed it, see `leave_quietly_on_ctrl_c`.

    One that isn't ready for it would end with a traceback. This process gets it after the block.
    """
    if not MASKS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_quietly_on_ctrl_c() -> None:
    """Have Ctrl-C end this worker without a traceback: its parent, which gets it too, says what there is to say.

    The last thing that prepares a worker: a pool tells of an exception in what does so, but not of one in a task.
    """
    if (heeded := signal.getsignal(signal.SIGINT)) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(1))
    if MASKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    if heeded != signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
    heed_dropped()


def begin_forked() -> None:
    """Prepare a worker that the process that made the pool has started itself."""
    leave_with_parent()
    leave_quietly_on_ctrl_c()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Delay SIGTERM and Ctrl-C until the block ends, for example until a database transaction is done.

    Python handles signals in the main thread only; in another one nothing needs to be delayed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {number: signal.signal(number, lambda got, _: waiting.append(got)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


@contextmanager
def told_of_interrupt() -> Iterator[threading.Event]:
    """Have the first Ctrl-C set an event instead of raising KeyboardInterrupt; the second one raises it.

    An exception could come anywhere, even between the prediction of a window and the line that is printed for it.
    In another thread than the main one, and where Ctrl-C is ignored, the event is never set.
    """
    interrupted, before = threading.Event(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield interrupted
        return

    def interrupt(*_: Any) -> None:
        signal.signal(signal.SIGINT, before)
        interrupted.set()

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def keep_memory() -> None:
    """Keep freed memory in this process instead of returning it to the system.

    Training frees and allocates the same megabytes at every step. Mapping them again costs more than the
    computation itself: the CNN on waveforms would run at a fraction of its speed. glibc only.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc takes
        mallopt(M_TRIM_THRESHOLD, 2**30)


def identity(process: int | None = None) -> str:
    """Return an identifier of a process of this machine, by default this one: host, process id and start."""
    number = process or os.getpid()
    return f"{socket.gethostname()} {number} {_start(number)}"


def _start(number: int) -> str:
    """Return when a process began, whatever is done to the clock: on Linux the boot, and the ticks from there on."""
    if sys.platform != "linux":
        return f"{psutil.Process(number).create_time():.2f}"  # as the system has noted it
    ticks = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19]
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{ticks}"


def is_gone(name: str) -> bool:
    """Check whether a process, given by its `identity`, has ended; False for other machines and invalid identities."""
    host, number, started = name.split() if name.count(" ") == 2 else ("", "", "")
    if host != socket.gethostname():
        return False
    try:
        return _start(int(number)) != started or psutil.Process(int(number)).status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True


def pool(workers: int, *modules: str) -> ProcessPoolExecutor:
    """Return a pool of processes, which start with the first task and end with this process.

    They are forked from a process that has imported and done nothing else, so that torch has no threads there; or start
    afresh, see `FORKS`.

    Parameters
    ----------
    modules : what the work needs, imported once for all workers; importing torch and Lightning takes seconds
    """
    if FORKS:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, *modules])
    else:
        context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(dict(os.environ),))


def _begin(environment: dict[str, str]) -> None:
    """Prepare a worker: the environment of the process that made the pool, as it is now, and an end with that process.

    The kernel can't see to the end (`leave_with_parent`), since the worker is the child of another process.
    """
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    leave_quietly_on_ctrl_c()


def _end_with(parent: Any) -> None:
    """Wait for the process that made the pool to end, and end this one at once."""
    parent.join()
    os._exit(1)
