"""A process that is started and listened to, line by line, until it ends; it ends with whoever listens."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NamedTuple

import psutil

AT_CTRL_C = 0.25  # seconds to end by itself, as `subprocess.run` gives a process
AT_THE_END = 5.0  # seconds in which something that it has started may still hold its output open


class Line(NamedTuple):
    """A line, and whether it was written to standard error."""

    text: str
    error: bool


class Process:
    """A running process. Threads read it, as no other way works on every system."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]):
        """Start a command; what it writes is taken for UTF-8."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        text = {"encoding": "utf-8", "errors": "replace"}
        self.popen = subprocess.Popen(command, cwd=folder, env=environment, **streams, **text)
        self.heard: SimpleQueue[Line | None] = SimpleQueue()
        threading.Thread(target=self._read_all, daemon=True).start()

    @property
    def lines(self) -> Iterator[Line]:
        """Yield the lines as they come, until the process has ended."""
        return iter(self.heard.get, None)

    def _read_all(self) -> None:
        both = [(self.popen.stdout, False), (self.popen.stderr, True)]
        readers = [threading.Thread(target=self._read, args=one, daemon=True) for one in both]
        for reader in readers:
            reader.start()
        self.popen.wait()
        for reader in readers:
            reader.join(AT_THE_END)
        self.heard.put(None)

    def _read(self, stream: IO[str], error: bool) -> None:
        for line in stream:
            self.heard.put(Line(line.rstrip("\n"), error))


@contextmanager
def started(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[Process]:
    """Start a command in a folder, and end it with the block, and all that it has started."""
    process = Process(command, folder, environment)
    try:
        yield process
    finally:
        family = _family(process.popen.pid)
        try:
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(AT_CTRL_C)
            _signal(family, psutil.Process.terminate)  # a stage ends what it does in order
            psutil.wait_procs(family, AT_THE_END)
        finally:  # also at a second Ctrl-C
            _signal(family, psutil.Process.kill)
            process.popen.wait()


def _family(number: int) -> list[psutil.Process]:
    """Return a process and all that it has started, as long as it runs."""
    try:
        one = psutil.Process(number)
        return [one, *one.children(recursive=True)] if one.status() != psutil.STATUS_ZOMBIE else []
    except psutil.NoSuchProcess:
        return []


def _signal(family: list[psutil.Process], how: Callable[[psutil.Process], None]) -> None:
    for one in family:
        with suppress(psutil.NoSuchProcess):
            how(one)
