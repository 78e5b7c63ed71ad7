"""One piece of work on each of many things, by a pool: in batches, with progress, and whatever happens to one of them.

What fails is named, and the others are done. What a worker was doing when it died is done again; what kills each
process that tries it is named.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from math import ceil
from typing import Any

from tqdm import tqdm

from earshot import progress
from earshot.cluster import pools
from earshot.errors import EarshotError

SECONDS = 2.0  # of work in a batch
MOST = 1000  # things in a batch
AHEAD = 2  # batches for each process, so that none waits for the next
TRIES = 3  # by how many processes a thing is tried that are all killed by it
MOST_TOLD = 10  # failures in a message
HOPELESS = 10  # failures without a success, after which the rest isn't tried
HELD = 1000  # results, or as many as are being made, that wait for an earlier one; more aren't begun
PATIENCE = 5.0  # seconds without a result, after which it is looked whether there are any workers


class Gone(BrokenExecutor):
    """A pool has lost the scheduler of its cluster, with all that it was to do; it may come again."""

    def __init__(self, told: str, client: Any):
        """Take what is told of it, and the pool's client that has lost it."""
        super().__init__(told)
        self.client = client


Outcome = tuple[Any, BaseException | None]


def each(
    pool: Executor,
    work: Callable[..., Any],
    todo: Sequence[tuple],
    label: str,
    unit: str = "it",
    names: Sequence[object] | None = None,
    instead: Callable[[EarshotError], Any] | None = None,
) -> Iterator[Any]:
    """Yield the result of `work` for each tuple of arguments, in their order, with a progress bar.

    Parameters
    ----------
    pool : one of `pools`; the results do not depend on it, and few of them wait in memory
    work : a function at the top of a module
    todo : the arguments of each call; may be empty
    label, unit : of the progress bar; without a label there is none
    names : what each call is about, for errors; by default its number
    instead : makes what is yielded for a call that has failed, of its error, which is not raised then

    Raises
    ------
    EarshotError
        If calls raised one, or killed `TRIES` processes. It names them, and comes when all others are done.
    Exception
        Another one that a call raised, likewise.
    """
    yield from _Round(pool, work, todo, label, unit, names, instead).results()


def _by_name(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as other processes import it, also one of the module that runs as `__main__`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if work.__module__ != "__main__" or spec is None:
        return work
    return getattr(importlib.import_module(spec.name), work.__name__)


def batch(work: Callable[..., Any], todo: list[tuple]) -> tuple[list[Outcome], float]:
    """Call `work` with each tuple of arguments; return the results or errors, and the seconds that it took."""
    began = time.perf_counter()
    return [_outcome(work, arguments) for arguments in todo], time.perf_counter() - began


def _outcome(work: Callable[..., Any], arguments: tuple) -> Outcome:
    try:
        return work(*arguments), None
    except Exception as error:
        return None, _that_travels(error)


def _that_travels(error: Exception) -> Exception:
    """Return an error that can be sent to another process, with its traceback as a note if it is no user's."""
    said = "".join(traceback.format_exception(error))
    try:
        error = type(error)(*error.args) if isinstance(error, EarshotError) else error.with_traceback(None)
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(repr(error))
    if not isinstance(error, EarshotError):
        error.add_note(said)
    return error


class _Round:
    """What is to be done, what is being done, and what came of it, by the numbers of the calls."""

    def __init__(self, pool, work, todo, label, unit, names, instead):
        self.pool, self.work, self.todo = pool, _by_name(work), todo
        self.names = names or [f"{label}, {number} of {len(todo)}" for number in range(1, len(todo) + 1)]
        self.label, self.instead, self.ended = label, instead, 0
        self.bar = progress.bar(desc=label, total=len(todo), unit=unit, disable=None if label else True)
        self.waiting, self.alone = deque(range(len(todo))), deque()
        self.apart: deque[int] = deque()  # of a batch whose process died
        self.running: dict[Future, list[int]] = {}
        self.found: dict[int, Any] = {}
        self.failed: dict[int, BaseException] = {}
        self.deaths: Counter[int] = Counter()
        self.pace: float | None = None  # seconds for a call
        self.told = False

    def results(self) -> Iterator[Any]:
        following = 0
        try:
            while self.waiting or self.apart or self.alone or self.running:
                self._submit()
                self._take()
                while following in self.found:
                    yield self.found.pop(following)
                    following += 1
        finally:
            self.bar.close()
            for future in self.running:
                future.cancel()
        if self.failed:
            raise self._error()

    def _submit(self) -> None:
        slots = max(1, self._slots())
        while len(self.running) < AHEAD * slots and (self.apart or self.waiting):
            queue, size = (self.apart, 1) if self.apart else (self.waiting, self._size(slots))
            if queue is self.waiting and len(self.found) >= max(HELD, AHEAD * slots * size):
                break  # one that all of them wait for takes long
            self._start([queue.popleft() for _ in range(min(size, len(queue)))])
        if self.alone and not self.running:
            self._start([self.alone.popleft()])

    def _start(self, numbers: list[int]) -> None:
        future = self.pool.submit(batch, self.work, [self.todo[number] for number in numbers])
        self.running[future] = numbers

    def _size(self, slots: int) -> int:
        """Return how many calls make a batch of `SECONDS`, and leave some for every process until the end."""
        if self.pace is None:
            return 1
        return max(1, min(MOST, int(SECONDS / max(self.pace, 1e-6)), ceil(len(self.waiting) / (AHEAD * slots))))

    def _slots(self) -> int:
        return pools.slots(self.pool)

    def _take(self) -> None:
        """Wait for a batch, and take what came of it."""
        done = wait(self.running, PATIENCE, FIRST_COMPLETED).done
        if not done and not self.told and not self._slots():
            self.told = True
            tqdm.write(f"{self.label}: waiting for a worker", file=sys.stderr)
        for future in done:
            numbers = self.running.pop(future)
            try:
                outcomes, seconds = future.result()
            except Gone as gone:
                self.waiting = deque(sorted([*self.waiting, *numbers]))
                self.pool.again(gone)
                continue
            except BrokenExecutor as death:
                self._died(numbers, death)
                continue
            self.pace = seconds / len(numbers)
            for number, (found, error) in zip(numbers, outcomes, strict=True):
                if error is None:
                    self._done(number, found)
                else:
                    self._fail(number, error)

    def _done(self, number: int, found: Any) -> None:
        if number < min(self.failed, default=len(self.todo)):  # else nobody gets it
            self.found[number] = found
        self._count()

    def _count(self) -> None:
        self.ended += 1  # the bar counts where there is a terminal
        self.bar.update()

    def _died(self, numbers: list[int], death: BrokenExecutor) -> None:
        """Have calls done again whose process was killed; each by itself, to see which of them kills."""
        if len(numbers) > 1:
            self.apart.extend(numbers)
            return
        [number] = numbers
        self.deaths[number] += 1
        if self.deaths[number] >= TRIES:
            n = f"{self.deaths[number]} processes"
            why = "Is there too little memory?"
            self._fail(number, EarshotError(f"{self.names[number]}: {n} that worked on it were killed. {why}"))
        elif getattr(death, "by_itself", False):
            self.apart.append(number)
        else:  # perhaps it was another one that killed them all
            self.alone.append(number)

    def _fail(self, number: int, error: BaseException) -> None:
        if self.instead and isinstance(error, EarshotError):
            self._done(number, self.instead(error))
            return
        self.failed[number] = error
        self.found = {other: result for other, result in self.found.items() if other < number}
        self._count()
        if len(self.failed) == HOPELESS and self.ended == HOPELESS:
            for queue in (self.waiting, self.apart, self.alone):
                queue.clear()
        elif self.ended < len(self.todo):
            tqdm.write(f"{self.names[number]} failed, the others are done first", file=sys.stderr)

    def _error(self) -> BaseException:
        """Return one error for all."""
        for number, error in sorted(self.failed.items()):
            if not isinstance(error, EarshotError):
                error.add_note(f"({self.names[number]})")
                if isinstance(error, OSError) and error.errno and error.filename is None:  # of a file that was open
                    error.filename = str(self.names[number])
                return error
        told = [self._told(number) for number in sorted(self.failed)]
        more = [f"and {len(told) - MOST_TOLD} more failed"] if len(told) > MOST_TOLD else []
        return EarshotError("\n".join([*told[:MOST_TOLD], *more]))

    def _told(self, number: int) -> str:
        said, name = str(self.failed[number]), str(self.names[number])
        return said if name in said else f"{name}: {said}"
