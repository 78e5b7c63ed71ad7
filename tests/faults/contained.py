"""Work that may crash, hang or fill the memory, number by number, in a child that is forked from this process."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import pyarrow as pa

from conftest import PROJECT
from earshot.errors import EarshotError
from earshot.processes import leave_with_parent

SECONDS = 10  # of a processor, for one try
BYTES = 2**30  # above what a child begins with
KEPT = PROJECT / "build" / "bench" / "inputs"  # what was bad, to be looked at
MOST_KEPT = 20  # of a kind
LONGEST = 300  # letters of what is told that are shown
OUT_OF_MEMORY = ("not enough memory", "allocate memory", "Unable to allocate", "MemoryError")
ENDS = {signal.SIGPROF: f"takes more than {SECONDS} s"}
USED, TOLD, BAD, CRASH = "used", "told", "bad", "crash"


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    make : writes one, which the numbers decide, to an empty folder
    judge : has it read as its readers do; it raises an `EarshotError` where that is told of
    """

    name: str
    make: Callable[[Random, Path], None]
    judge: Callable[[Path], None]


@dataclass(frozen=True)
class Outcome:
    """What has followed of a try: `USED`, `TOLD`, `BAD`, or `CRASH` of the child; and why."""

    what: str
    why: str


def tried(kind: Kind, tries: int) -> Counter[str]:
    """Make and judge inputs in children; return how many there were of each outcome, and keep those that are bad."""
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "given"
        for number, outcome in _outcomes(kind, folder, tries):
            found[outcome.what] += 1
            if outcome.what in (BAD, CRASH):
                print(f"{kind.name} {number}: {outcome.what}: {outcome.why}", file=sys.stderr)
                if found[BAD] + found[CRASH] <= MOST_KEPT:
                    _keep(kind, number)
    return found


def given(kind: Kind, number: int, folder: Path) -> None:
    """Make one input: the same number gives the same one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    kind.make(Random(f"{kind.name} {number}"), folder)


def _keep(kind: Kind, number: int) -> None:
    given(kind, number, KEPT / f"{kind.name}-{number}")


def _outcomes(kind: Kind, folder: Path, tries: int) -> Iterator[tuple[int, Outcome]]:
    """Yield what follows of each number; where a child dies of one, the next child goes on behind it."""
    number = 0
    while number < tries:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(reading)
                _work(kind, folder, range(number, tries), writing)
            finally:
                os._exit(1)  # whatever happens, it does not go on as its parent would
        os.close(writing)
        with open(reading) as lines:
            for line in lines:
                yield number, Outcome(*json.loads(line))
                number += 1
        status = os.waitpid(child, 0)[1]
        if number < tries:
            ended = signal.Signals(os.WTERMSIG(status)) if os.WIFSIGNALED(status) else None
            yield number, Outcome(BAD if ended in ENDS else CRASH, ENDS.get(ended, ended.name if ended else "ends"))
            number += 1


def _work(kind: Kind, folder: Path, numbers: range, writing: int) -> None:
    """Write a line for each number, and leave."""
    leave_with_parent()
    most = psutil.Process().memory_info().vms + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    pa.set_memory_pool(pa.system_memory_pool())  # pyarrow's own begins with a gigabyte of addresses
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # libmpg123 tells of every fault in a stream
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in numbers:
        given(kind, number, folder)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        outcome = judged(kind, folder)
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(writing, json.dumps([outcome.what, outcome.why]).encode() + b"\n")
    os._exit(0)


def judged(kind: Kind, folder: Path) -> Outcome:
    """Judge one input."""
    try:
        kind.judge(folder)
    except EarshotError as error:
        wrong = "\n" in str(error) or any(words in str(error) for words in OUT_OF_MEMORY)
        return Outcome(BAD if wrong else TOLD, str(error)[:LONGEST])
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(BAD, f"{error!r:.{LONGEST}} in {place.name}")
    return Outcome(USED, "")
