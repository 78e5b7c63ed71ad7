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
import time
import uuid
import warnings
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from typing import Any

from earshot.cluster import same, worker
from earshot.cluster.pools import CLUSTER
from earshot.errors import EarshotError
from earshot.schema.yaml_text import without_password

TIMEOUT = 10  # seconds for a scheduler to answer
LOOK_AGAIN = 2.0  # seconds until the workers are counted again
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # Dask sets them: a client's count


class Killed(BrokenExecutor):
    """Workers died one after another that had a task; perhaps it was another one of theirs that killed them."""


class Workers(Executor):
    """The workers of a cluster; each of their threads has a process, see `worker`."""

    def __init__(self, address: str, modules: tuple[str, ...]) -> None:
        """Connect to a scheduler, at an address or by the file that it has written.

        Raises
        ------
        EarshotError
            If none answers, or the packages are missing.
        """
        self._address = address
        self._client = _client(address)
        self._executor = self._client.get_executor(pure=False)
        self._counted, self._slots = 0.0, 0
        self._session = worker.Session(uuid.uuid4().hex, os.getcwd(), _environment(), modules, same.facts())

    @property
    def slots(self) -> int:
        """The number of processes, which changes with the cluster."""
        if time.monotonic() - self._counted > LOOK_AGAIN:
            try:
                self._slots = sum(self._client.nthreads().values())
            except (OSError, RuntimeError):  # the scheduler is gone: a future will say it
                self._slots = 0
            self._counted = time.monotonic()
        return self._slots

    def submit(self, work: Callable[..., Any], /, *args: Any) -> Future:
        """Have a worker call `work`, a function at the top of a module."""
        outer: Future = Future()
        inner = self._executor.submit(
            worker.run, self._session, importlib.import_module("cloudpickle").dumps((work, args))
        )
        inner.add_done_callback(functools.partial(self._pass_on, outer))
        outer.add_done_callback(lambda outer: outer.cancelled() and inner.cancel())
        return outer

    def _pass_on(self, outer: Future, inner: Future) -> None:
        if not outer.set_running_or_notify_cancel():
            return
        try:
            result, error = pickle.loads(inner.result())
        except (Exception, CancelledError) as failure:
            result, error = None, self._told(failure)
        if error is None:
            outer.set_result(result)
        else:
            outer.set_exception(error)

    def _told(self, error: BaseException) -> BaseException:
        """Return what to make of an error that is no task's own."""
        distributed = importlib.import_module("distributed")
        if isinstance(error, distributed.KilledWorker):
            return Killed(str(error))
        if isinstance(error, worker.Unlike):
            return EarshotError(f"a worker of the cluster at {self._address} {error}. {INSTALL}")
        if isinstance(error, ImportError | AttributeError):
            return EarshotError(f"a worker of the cluster at {self._address} lacks earshot ({error}). {INSTALL}")
        if isinstance(error, CancelledError | distributed.CancelledError):
            return EarshotError(
                f"the scheduler at {self._address} is gone. What was finished is kept: start it, and type "
                "the same again"
            )
        return error

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes of this pool; what they are doing is given up."""
        self._executor.shutdown(wait=False)
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # no scheduler, no workers
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
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is told in one line
    where = {"address": address} if "://" in address else {"scheduler_file": address}
    try:
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


def _environment() -> dict[str, str | None]:
    """Return the variables that processes of this machine would inherit and work depends on; None for what is not set.

    So that as many threads add up a sum as in a local process, in the same order. Addresses go without passwords.
    """
    mine: dict[str, str | None] = {
        name: without_password(value) for name, value in os.environ.items() if worker.is_clients(name)
    }
    mine |= {name: os.environ.get(name) for name in THREADS} | {CLUSTER: None}
    return mine | ({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {})
