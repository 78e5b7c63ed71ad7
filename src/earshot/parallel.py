"""Trainings and predictions side by side, in processes of their own."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

from earshot.processes import leave_with_parent


def pool(workers: int) -> Executor:
    """Return a pool of processes, which end with this one and start when there is something to do."""
    context = multiprocessing.get_context("spawn")  # torch is not to be forked
    return ProcessPoolExecutor(workers, context, initializer=_begin)


def _begin() -> None:
    """End with the parent, also where it died in the seconds until a worker gets here."""
    leave_with_parent()
    if not multiprocessing.parent_process().is_alive():
        sys.exit("error: the process that started this one is gone")


def each(workers: Executor, work: Callable, todo: Sequence[tuple], label: str, unit: str = "it") -> Iterator[Any]:
    """Yield what `work` makes of each tuple of arguments, in their order, with a progress bar.

    Parameters
    ----------
    workers : a `pool`; the results do not depend on how many they are
    work : at the top of a module; what it raises is raised here
    todo : perhaps nothing
    label, unit : of the progress bar
    """
    yield from tqdm(workers.map(work, *zip(*todo, strict=True)), label, len(todo), unit=unit, disable=None)
