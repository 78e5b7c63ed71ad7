"""Starting a cluster as a file of conf/cluster/ says, for as long as a command runs."""

from __future__ import annotations

import importlib
import inspect
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from earshot import project
from earshot.cluster import pools
from earshot.errors import EarshotError
from earshot.schema.sections import must, read_named

PACKAGES = ("distributed", "dask_jobqueue", "dask_kubernetes")  # whose classes start clusters


class Settings(BaseModel):
    """A file of conf/cluster/.

    target : a class that starts a cluster; null: processes of this machine
    workers : how many; null: one for each core
    options : the arguments of the class
    dask : Dask's configuration, by its keys
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    target: Annotated[str | None, Field(alias="_target_"), must("the class of a cluster, or null")]
    workers: Annotated[int | None, Field(gt=0), must("a number of workers, or null for one for each core")]
    options: dict[str, Any]
    dask: dict[str, Any]


def path_of(name: str) -> Path:
    """Return conf/cluster/NAME.yaml."""
    return project.root() / "conf" / "cluster" / f"{name}.yaml"


def read(name: str) -> Settings:
    """Read conf/cluster/NAME.yaml.

    Raises
    ------
    EarshotError
        If there is none, or a key is missing, unknown or wrong.
    """
    return read_named(path_of(name), Settings, "Clusters", "workers: 4")


@contextmanager
def started(name: str, workers: int | None = None) -> Iterator[str]:
    """Start the cluster of conf/cluster/NAME.yaml; yield the address of its scheduler, and end it with the block.

    Parameters
    ----------
    workers : how many, instead of what the file says

    Raises
    ------
    EarshotError
        If it can't be started: the file is wrong, a package is missing, or the class says why.
    """
    settings = read(name)
    if settings.target is None:
        yield pools.LOCAL
        return
    where = path_of(name)
    make = _class(settings.target, where)
    if unknown := sorted(settings.options.keys() - _arguments(make)):
        raise EarshotError(f"{where}: options.{unknown[0]} is no argument of {settings.target}")
    dask = importlib.import_module("dask")
    with dask.config.set(settings.dask):
        wanted = workers or settings.workers or os.cpu_count()
        try:
            with _interrupts_ignored():
                cluster = make(**{"n_workers": wanted} | settings.options)
        except (OSError, RuntimeError, TypeError, ValueError) as error:
            raise EarshotError(f"{where}: the cluster can't be started: {error}") from None
        try:
            cluster.adapt(minimum=wanted, maximum=wanted)  # one that dies is replaced
            yield cluster.scheduler_address
        finally:
            cluster.close()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Have processes that start meanwhile ignore Ctrl-C: this one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _class(target: str, where: Path) -> Any:
    module, _, name = target.rpartition(".")
    package = module.partition(".")[0]
    if package not in PACKAGES:
        raise EarshotError(f"{where}: _target_ is {target}, and must name a class of {', '.join(PACKAGES)}")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        extra = package.replace("_", "-") if package == "dask_kubernetes" else "'earshot[cluster]'"
        raise EarshotError(f"{where}: {error}: pip install {extra}") from None
    except AttributeError:
        raise EarshotError(f"{where}: _target_ is {target}, and {module} has no {name}") from None


def _arguments(make: Any) -> set[str]:
    """Return the arguments of a class, with those that it hands on to its jobs and to Dask's workers."""
    distributed = importlib.import_module("distributed")
    classes = [make, getattr(make, "job_cls", object), distributed.Worker, distributed.Nanny]
    return {name for one in classes for base in one.__mro__ for name in inspect.signature(base.__init__).parameters}
