"""What a machine does to the stages and commands: calls that fail, and kills; for docs/reliability.md.

A try may end as if nothing had happened, with one line, or by its signal. After it the step runs again, undisturbed,
and must make the bytes that it always makes: nothing half is taken for whole. Writes build/bench/machine.json; where
steps are named, only with `--keep`, and beside the others that it has. `make faults` runs it.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from math import ceil
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from pathlib import Path

import failing
from failing import Failure

failing.load()  # before what it fails

import numpy as np  # noqa: E402
from measure import write, written  # noqa: E402
from trying import COMMANDS, STAGES, Ended, Step, Tried  # noqa: E402

from earshot import provenance  # noqa: E402

CALLS = 400  # of a kind that fail, one in a try, in all steps together
KILLS, ENDINGS = 2000, 500  # at random moments, in all steps together: SIGKILL; SIGTERM and Ctrl-C in turn
FAILURES = (  # by kind
    Failure("write", errno.ENOSPC, lasting=True),
    Failure("write", errno.EIO),
    Failure("write", signal=signal.SIGKILL),
    Failure("fsync", errno.EIO),
    Failure("rename", errno.EIO),
    Failure("rename", signal=signal.SIGKILL),
    Failure("open", errno.EROFS, lasting=True),
    Failure("open", errno.EMFILE),
    Failure("mmap", errno.ENOMEM),
    Failure("read", errno.EIO),
)
FEW = 4  # steps, for which one project is enough: to make another takes longer
GOOD = ("a line", "as if nothing had happened", "ended by the signal")
BAD = ("traceback", "other bytes", "left over", "left running")
MEMORY = Path("/dev/shm")  # where fsync takes no time


def failures(tried: Tried, step: Step, n: int) -> Iterator[tuple[str, float, bool, Ended]]:
    """Try each failure at N calls of its kind, or at all; yield its name, the call and how the step has ended."""
    for kind, ways in itertools.groupby(FAILURES, lambda failure: failure.kind):
        tried.restore(step)
        Failure(kind).arm(failing.NEVER, tried.root)
        tried.run(step.command, step.arguments)
        calls = failing.disarm()
        at = np.linspace(1, calls, min(calls, n)).round().astype(int).tolist()
        for failure, nth in itertools.product(ways, at):
            tried.restore(step)
            failure.arm(nth, tried.root)
            ended = tried.run(step.command, step.arguments)
            failing.disarm()
            yield str(failure), nth, bool(failure.signal), ended


def signals(tried: Tried, step: Step, kills: int, endings: int, seed: int) -> Iterator[tuple[str, float, bool, Ended]]:
    """Send signals at moments of the time that a step takes; yield the signal, the moment and how it has ended."""
    sent = [signal.SIGKILL] * kills + [(signal.SIGTERM, signal.SIGINT)[n % 2] for n in range(endings)]
    moments = np.random.default_rng(seed).uniform(0, step.seconds, len(sent))
    for number, moment in zip(sent, moments, strict=True):
        tried.restore(step)
        yield number.name, moment, True, tried.run(step.command, step.arguments, sender(number, moment))


def sender(number: signal.Signals, moment: float) -> Callable[[ForkProcess], None]:
    """Return what sends a signal to a process after so many seconds; Ctrl-C to all of its processes, as a terminal."""

    def send(process: ForkProcess) -> None:
        if not wait([process.sentinel], moment):
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)

    return send


def judged(tried: Tried, step: Step, ended: Ended, by_signal: bool) -> Iterator[str]:
    """Yield what is to be said of a try, each of `GOOD` or `BAD`, after a run that nothing disturbs."""
    if ended.running:
        yield "left running"
    if "Traceback" in ended.out + ended.err:
        yield "traceback"
    elif ended.code == 0:
        yield "as if nothing had happened" if tried.made(step.name, ended) == step.made else "other bytes"
    elif by_signal and len(ended.lines) <= 1:
        yield "ended by the signal"
    else:
        yield "a line" if len(ended.lines) == 1 and ended.lines[0].startswith(("error: ", "damaged: ")) else "traceback"
    again = tried.run(step.command, step.arguments)
    if again.code or tried.made(step.name, again) != step.made:
        print(f"then: exit code {again.code}, {again.err[-1000:]}", file=sys.stderr)
        yield "other bytes"
    if more := tried.names() - step.names:
        print(f"then: {more}", file=sys.stderr)
        yield "left over"


def tried_out(tried: Tried, step: Step, calls: int, kills: int, endings: int, seed: int) -> dict[str, dict[str, int]]:
    """Try everything with a step; return how often what has followed, for each way."""
    found: dict[str, dict[str, int]] = {}
    tries = itertools.chain(failures(tried, step, calls), signals(tried, step, kills, endings, seed))
    for way, where, by_signal, ended in tries:
        counts = found.setdefault(way, dict.fromkeys(("tries", *GOOD, *BAD), 0))
        counts["tries"] += 1
        said = {*judged(tried, step, ended, by_signal)}
        for one in said:
            counts[one] += 1
        if said & {*BAD}:
            print(f"{step.name}, {way} {where:g}: {sorted(said)}\n{ended.err[-1000:]}", file=sys.stderr, flush=True)
    for way, counts in found.items():
        print(f"{step.name:15} {way:32} { ({name: n for name, n in counts.items() if n}) }", flush=True)
    return found


def of_steps(names: list[str], calls: int, kills: int, endings: int, seed: int) -> dict[str, dict[str, dict[str, int]]]:
    """Try everything with steps, in a project of their own, so many times in all of them; return it by step."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        tried = Tried(Path(folder).resolve())
        steps = [*tried.steps({*names})]
        pace = 1 / sum(1 / step.seconds for step in steps)  # so that all steps are tried for the same time
        found = {}
        for number, step in enumerate(steps):
            shares = (ceil(n * pace / step.seconds) for n in (calls, kills, endings))
            found[step.name] = tried_out(tried, step, *shares, seed + number)
        os.chdir(Path(__file__).parent)  # the folder goes
    return found


def main() -> None:
    """Try the steps, in a project for each core; print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("steps", nargs="*", help="stages and commands; all by default")
    for name, default in (("--calls", CALLS), ("--kills", KILLS), ("--endings", ENDINGS)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--keep", action="store_true", help="put the tries of the steps that are named in machine.json")
    asked = parser.parse_args()
    if unknown := sorted({*asked.steps} - {*STAGES, *COMMANDS}):
        parser.error(f"no such step: {', '.join(unknown)}; there are {', '.join((*STAGES, *COMMANDS))}")
    steps = [name for name in (*STAGES, *COMMANDS) if name in asked.steps or not asked.steps]
    n_parts = min(os.cpu_count(), ceil(len(steps) / FEW))
    parts = [steps[n::n_parts] for n in range(n_parts)]
    shares = [ceil(n / len(parts)) for n in (asked.calls, asked.kills, asked.endings)]
    with ProcessPoolExecutor(len(parts), multiprocessing.get_context("fork")) as pool:
        running = [pool.submit(of_steps, part, *shares, len(steps) * n) for n, part in enumerate(parts)]
        found = {name: ways for part in running for name, ways in part.result().items()}
    if asked.keep or not asked.steps:
        _write(found)
    if bad := [name for name, ways in found.items() if any(counts[one] for counts in ways.values() for one in BAD)]:
        raise SystemExit(f"error: {', '.join(bad)}")


def _write(found: dict[str, dict[str, dict[str, int]]]) -> None:
    """Write the tries of steps, with the commit of each, and those of others that were tried before."""
    known = written("machine").get("tries", {})
    known |= {name: {"commit": provenance.commit(), "ways": ways} for name, ways in found.items()}
    write("machine", {"tries": {name: known[name] for name in (*STAGES, *COMMANDS) if name in known}})


if __name__ == "__main__":
    main()
