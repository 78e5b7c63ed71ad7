"""Work that tests give to workers, which import this file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
from distributed import WorkerPlugin

from earshot.errors import EarshotError


def process(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fails(number: int, done: Path) -> int:
    if number == 3:
        raise EarshotError("is out of tune")
    done.joinpath(str(number)).touch()
    return number


def kills(number: int, done: Path, whom: str, once: Path | None = None) -> int:
    """Kill this process or the worker that it belongs to: each time, or only until the file `once` exists."""
    if number == 3 and not (once and once.exists()):
        if once:
            once.touch()
        worker = psutil.Process().parent().parent() if whom == "worker" else psutil.Process()
        worker.kill()
        time.sleep(60)  # until it has ended
    done.joinpath(str(number)).touch()
    return number


class Deadly(WorkerPlugin):
    """Kills the worker that begins with a task, unless one was killed: then there is a file in a folder."""

    def __init__(self, folder: str):
        self.killed = Path(folder) / "killed"

    def transition(self, key, start, finish, **_) -> None:
        if finish == "executing" and not self.killed.exists():
            self.killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def interrupts(number: int, done: Path, client: int) -> None:
    """Have the first of many never end, and Ctrl-C come meanwhile."""
    done.joinpath(str(os.getpid())).touch()
    if number == 0:
        os.kill(client, signal.SIGINT)
    time.sleep(60)


def begins(number: int, done: Path, until: Path | None = None) -> int:
    """Leave a note of each time that this was begun; all but the first three wait for a file."""
    path = done / str(number)
    path.write_text("again" if path.exists() else "once")
    while until and number >= 3 and not until.exists():
        time.sleep(0.05)
    return number


def worker(number: int) -> int:
    """Return the process id of the worker."""
    return psutil.Process().parent().parent().pid


async def has_gpus(n: int = 0, dask_worker=None) -> int:
    """Have a worker say that it has so many GPUs; return its process id."""
    await dask_worker.set_resources(GPU=n)
    return os.getpid()
