"""A pool over the workers of a Dask cluster, which has been started by `earshot cluster` or by others.

`distributed` is imported by its name as text, so that results do not count it among the libraries that they depend on.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import pickle
import sys
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, InvalidStateError
from typing import Any

from earshot.cluster import same, worker
from earshot.cluster.each import Gone
from earshot.cluster.pools import CLUSTER
from earshot.errors import EarshotError
from earshot.schema.yaml_text import without_password

TIMEOUT = 10  # seconds for a scheduler to answer
WAIT, SECONDS = "EARSHOT_CLUSTER_WAIT", 60.0  # for a scheduler that is gone to come again
RESOURCES = "EARSHOT_RESOURCES"  # that a training takes of a worker, as `dask worker --resources` has them: GPU=1
LOOK_AGAIN = 2.0  # seconds until the workers are counted again
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # Dask sets them: a client's count


class Killed(BrokenExecutor):
    """Workers died one after another that had a task; perhaps it was another one of theirs that killed them."""


class Workers(Executor):
    """The workers of a cluster; each of their threads has a process, see `worker`."""

    def __init__(self, address: str, modules: tuple[str, ...], for_runs: bool = False) -> None:
        """Connect to a scheduler, at an address or by the file that it has written.

        Parameters
        ----------
        modules : what the work needs
        for_runs : its tasks are trainings, and each takes of a worker what `RESOURCES` in the environment says

        Raises
        ------
        EarshotError
            If none answers, or the packages are missing.
        """
        self._address, self._resources = address, _resources() if for_runs else {}
        self._doing: set[Future] = set()
        self._connect()
        self._session = worker.Session(uuid.uuid4().hex, os.getcwd(), _environment(), modules, same.facts())

    def _connect(self) -> None:
        self._client = _client(self._address)
        self._executor = self._client.get_executor(pure=False, resources=self._resources or None)
        self._counted, self._slots = 0.0, 0

    def again(self, gone: Gone) -> None:
        """Wait until the scheduler is there again; `WAIT` in the environment says how many seconds at most.

        Raises
        ------
        EarshotError
            If it isn't in time.
        """
        if gone.client is not self._client:
            return  # after another task that was lost with it
        seconds = _seconds()
        print(f"{gone}; waiting {seconds:g} s for it", file=sys.stderr, flush=True)
        until = time.monotonic() + seconds
        with contextlib.suppress(OSError, RuntimeError):
            self._client.close(timeout=1)  # else it comes back with tasks that are given up here
        for outer in [*self._doing]:
            self._finish(outer, None, gone)
        while True:
            try:
                self._connect()
                return
            except EarshotError:
                if time.monotonic() > until:
                    kept = "What was finished is kept: start it, and type the same again"
                    raise EarshotError(f"{gone}. {kept}") from None
                time.sleep(LOOK_AGAIN)

    @property
    def slots(self) -> int:
        """The number of processes, which changes with the cluster."""
        if time.monotonic() - self._counted > LOOK_AGAIN:
            try:
                self._slots = self._count()
            except (OSError, RuntimeError):  # the scheduler is gone: a future will say it
                self._slots = 0
            self._counted = time.monotonic()
        return self._slots

    def _count(self) -> int:
        threads = self._client.nthreads()
        if not self._resources:
            return sum(threads.values())
        there = self._client.scheduler_info(n_workers=-1)["workers"].values()
        have = [[one["resources"].get(name, 0) // asked for name, asked in self._resources.items()] for one in there]
        return sum(int(min(one["nthreads"], *counts)) for one, counts in zip(there, have, strict=True))

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future:
        """Have a worker call `work`, a function at the top of a module."""
        outer: Future = Future()
        task = importlib.import_module("cloudpickle").dumps((work, args))
        try:
            inner = self._executor.submit(worker.run, self._session, task)
        except (OSError, RuntimeError):  # the client is closed
            outer.set_exception(self._lost(self._client))
            return outer
        self._doing.add(outer)
        inner.add_done_callback(functools.partial(self._pass_on, outer, self._client))
        outer.add_done_callback(lambda outer: outer.cancelled() and inner.cancel())
        return outer

    def _pass_on(self, outer: Future, client: Any, inner: Future) -> None:
        try:
            result, error = pickle.loads(inner.result())
        except (Exception, CancelledError) as failure:
            result, error = None, self._told(failure, client)
        self._finish(outer, result, error)

    def _finish(self, outer: Future, result: Any, error: BaseException | None) -> None:
        self._doing.discard(outer)
        with contextlib.suppress(InvalidStateError):  # it was given up meanwhile
            if error is None:
                outer.set_result(result)
            else:
                outer.set_exception(error)

    def _lost(self, client: Any) -> Gone:
        return Gone(f"the scheduler at {self._address} is gone", client)

    def _told(self, error: BaseException, client: Any) -> BaseException:
        """Return what to make of an error that is no task's own."""
        distributed = importlib.import_module("distributed")
        if isinstance(error, distributed.KilledWorker):
            return Killed(str(error))
        if isinstance(error, worker.Unlike):
            return EarshotError(f"a worker of the cluster at {self._address} {error}. {INSTALL}")
        if isinstance(error, ImportError | AttributeError):
            return EarshotError(f"a worker of the cluster at {self._address} lacks earshot ({error}). {INSTALL}")
        if isinstance(error, CancelledError | distributed.CancelledError):
            return self._lost(client)
        return error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes of this pool; what they are doing is given up."""
        closed = importlib.import_module("distributed.client").ClosedClientError
        with contextlib.suppress(OSError, RuntimeError, ValueError, closed):  # no scheduler, no workers
            self._executor.shutdown(wait=False)
            self._client.run(worker.end, self._session.name, on_error="ignore")


INSTALL = "Have the same versions and code on all machines, see docs/cluster.md"


@functools.cache
def _connected(address: str) -> Any:
    try:
        distributed = importlib.import_module("distributed")
    except ModuleNotFoundError:
        raise EarshotError(
            f"{CLUSTER} is {address}, and the packages for it are missing: pip install 'earshot[cluster]'"
        ) from None
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what goes wrong is told in one line
    where = {"address": address} if "://" in address else {"scheduler_file": address}
    try:
        if "scheduler_file" in where and not os.path.isfile(address):
            raise FileNotFoundError("the file is gone")  # Dask would wait for it, however long
        with warnings.catch_warnings(action="ignore"):  # of other versions, which `same` tells
            return distributed.Client(**where, timeout=TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise EarshotError(
            f"{CLUSTER} is {address}, and no scheduler answers there ({error}). Start one with `earshot cluster`, "
            "or unset it to work with processes of this machine"
        ) from None


def _client(address: str) -> Any:
    """Return this process's client of a scheduler."""
    found = _connected(address)
    if found.status == "running":
        return found
    _connected.cache_clear()
    return _connected(address)


def _seconds() -> float:
    given = os.environ.get(WAIT, str(SECONDS))
    try:
        return float(given)
    except ValueError:
        raise EarshotError(f"{WAIT} is {given}, and must be a number of seconds") from None


def _resources() -> dict[str, float]:
    """Return what a training takes of a worker.

    Raises
    ------
    EarshotError
        If it can't be read.
    """
    given = os.environ.get(RESOURCES, "")
    try:
        pairs = [part.split("=") for part in given.split(",") if part.strip()]
        return {name.strip(): float(value) for name, value in pairs}
    except ValueError:
        raise EarshotError(f"{RESOURCES} is {given}, and must be like GPU=1 or GPU=1,CPU=4") from None


def _environment() -> dict[str, str | None]:
    """Return the variables that processes of this machine would inherit and work depends on; None for what is not set.

    So that as many threads add up a sum as in a local process, in the same order. Addresses go without passwords.
    """
    mine: dict[str, str | None] = {
        name: without_password(value) for name, value in os.environ.items() if worker.is_clients(name)
    }
    mine |= {name: os.environ.get(name) for name in THREADS} | {CLUSTER: None}
    return mine | ({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {})
