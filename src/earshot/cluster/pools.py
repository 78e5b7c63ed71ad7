"""Pools that work is spread over: processes or threads of this machine, or a cluster where EARSHOT_CLUSTER names one.

Each is a `concurrent.futures.Executor` for `each`.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from earshot import processes
from earshot.cluster import warm
from earshot.errors import EarshotError

CLUSTER = "EARSHOT_CLUSTER"  # in the environment: a scheduler's address, or its scheduler file
LOCAL = "local"
FEW = 100  # tasks of some milliseconds, for which no cluster is asked


def scheduler() -> str | None:
    """Return where the scheduler is that `EARSHOT_CLUSTER` names; None for processes of this machine.

    Raises
    ------
    EarshotError
        If it is neither an address nor a file.
    """
    found = os.environ.get(CLUSTER, LOCAL)
    if found in ("", LOCAL):
        return None
    if "://" not in found and not os.path.isfile(found):
        raise EarshotError(
            f"{CLUSTER} is {found}, which is neither a scheduler's address, such as tcp://127.0.0.1:8786, nor a "
            f"scheduler file. To start a cluster and run a command on it: `earshot cluster NAME earshot repro`"
        )
    return found


def spread(workers: int, *modules: str) -> Executor:
    """Return a pool of `workers` processes, or all workers of the cluster.

    Parameters
    ----------
    modules : what the work needs, imported once for all processes of a machine
    """
    if address := scheduler():
        from earshot.cluster.remote import Workers  # not without the packages of a cluster

        return Workers(address, modules)
    if warm.COPIED:
        return forked(workers, int, *modules)
    return Lasting(workers, lambda slots: processes.pool(slots, *modules))


def for_runs(workers: int, *modules: str) -> Executor:
    """Return a pool as `spread` does, for trainings: a cluster's workers have cores or GPUs for so many of them."""
    if address := scheduler():
        from earshot.cluster.remote import Workers

        return Workers(address, modules, for_runs=True)
    return spread(workers, *modules)


def forked(workers: int, load: Callable[[], None], *modules: str) -> Executor:
    """Return a pool of processes with all that this one has loaded, or all workers of the cluster.

    Parameters
    ----------
    load : has this process load what they need; not called for a cluster
    modules : what a cluster's workers need
    """
    if scheduler():
        return spread(workers, *modules)
    load()
    context = multiprocessing.get_context("fork" if processes.FORKS else "spawn")
    return Lasting(workers, lambda slots: ProcessPoolExecutor(slots, context, initializer=processes.begin_forked))


def threads(tasks: int, *modules: str) -> Executor:
    """Return a pool of threads for work that holds no lock of Python's, such as hashing and decoding, or the cluster.

    Parameters
    ----------
    tasks : how many there are; `FEW` aren't worth a cluster
    """
    return spread(0, *modules) if tasks > FEW and scheduler() else ThreadPoolExecutor()


def one_by_one(*modules: str) -> Executor:
    """Return a pool of one thread, for work whose memory grows with a recording, or all workers of the cluster."""
    return spread(0, *modules) if scheduler() else ThreadPoolExecutor(1)


def slots(pool: Any) -> int:
    """Return how many processes or threads a pool has now."""
    return pool.slots if hasattr(pool, "slots") else pool._max_workers


class Lasting(Executor):
    """Processes of this machine that are replaced when one of them is killed, which ends a `ProcessPoolExecutor`."""

    def __init__(self, slots: int, make: Callable[[int], ProcessPoolExecutor]) -> None:
        """Take the number of processes, and what makes a pool of so many."""
        self.slots, self._make, self._pool = slots, make, make(slots)

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future:
        """Have a process call `work`; its future has a `BrokenProcessPool` if any process of the pool is killed."""
        with processes.begun_quietly():
            try:
                return self._pool.submit(work, *args)
            except BrokenProcessPool:
                self._pool.shutdown()
                self._pool = self._make(self.slots)
                return self._pool.submit(work, *args)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)
