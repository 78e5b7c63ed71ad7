"""Trainings and predictions side by side, in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

from earshot.process import leave_with_parent


def each(work: Callable, todo: Sequence[tuple], workers: int, label: str, unit: str = "it") -> Iterator[Any]:
    """Yield what `work` makes of each tuple of arguments, in their order, with a progress bar.

    Parameters
    ----------
    work : at the top of a module; what it raises is raised here
    todo : perhaps nothing
    workers : processes; the results do not depend on it
    label, unit : of the progress bar
    """
    if not todo:
        return
    context = multiprocessing.get_context("spawn")  # torch is not to be forked
    with ProcessPoolExecutor(min(workers, len(todo)), context, initializer=leave_with_parent) as pool:
        yield from tqdm(pool.map(work, *zip(*todo, strict=True)), total=len(todo), desc=label, unit=unit, disable=None)
