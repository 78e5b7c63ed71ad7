"""A process that has imported what stages need, and runs each of them in a copy of itself.

Importing torch, Lightning and MLflow takes longer than most stages do. `earshot repro` starts one such process beside
DVC; `python -m earshot.stages NAME`, which DVC runs, has it run the stage, and ends as the stage does. Where processes
aren't forked (`processes.FORKS`), and where `dvc repro` is called without `earshot`, each stage imports for itself.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import select
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from earshot import processes

if TYPE_CHECKING:
    from multiprocessing.context import ForkProcess

ADDRESS = "EARSHOT_WARM"  # the socket of the process, a path which `earshot repro` sets for the stages
COPIED = False  # whether this process is a copy
LOADING = "~"  # after a socket's name: stages don't find it before all is imported
SIZE = struct.Struct("!I")  # of a request, in bytes
BEGUN = b"b"
STATUS = struct.Struct("!i")  # of a stage that has ended, as `subprocess` has it: -9 if it was killed
STREAMS = (1, 2)  # a process that is forked reads nothing
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Request(NamedTuple):
    """What a stage is run with: its name and arguments, the folder, the environment."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


@contextmanager
def started(
    command: list[str], folder: Path, environment: dict[str, str], at_once: bool = False
) -> Iterator[dict[str, str]]:
    """Start the process in a folder, and end it with the block; yield the environment in which stages find it.

    Parameters
    ----------
    command : what calls `serve`, but for its last argument, the number of the socket
    at_once : whether it imports before a first stage asks, as many will; those that do meanwhile run by themselves,
        since the first import of all, in a new environment, takes half a minute
    """
    if not processes.FORKS:
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="earshot-") as private:  # which no other user can enter
        address = os.path.join(private, "stages")
        try:
            listener = _listening(f"{address}{LOADING}" if at_once else address)
        except OSError:  # TMPDIR is longer than a socket's path may be, or on a file system without sockets
            yield environment
            return
        number = listener.fileno()
        process = subprocess.Popen([*command, str(number)], cwd=folder, env=environment, pass_fds=[number], **QUIET)
        listener.close()  # so that no stage waits for a process that has ended
        try:
            yield environment | {ADDRESS: address}
        finally:
            process.kill()  # and with it what it has forked, see `leave_with_parent`
            process.wait()


def _listening(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    return listener


def run_stage(arguments: list[str], run: Callable[[list[str]], None]) -> None:
    """Run a stage in a copy of the process that is `started`, and end as it does; without one, run it here.

    Parameters
    ----------
    arguments : the stage's name, and what it is called with
    run : runs it here
    """
    status = _ask(arguments)
    if status is None:
        run(arguments)
    else:
        _end(status)


def _ask(arguments: list[str]) -> int | None:
    """Have a stage run, with this process's streams, folder and environment; return its status as `subprocess` has it.

    Return None if no process runs it. While it runs, Ctrl-C is left to it, as a terminal sends it to both; SIGTERM is
    passed on.
    """
    address = os.environ.pop(ADDRESS, None)
    if address is None:
        return None
    processes.leave_with_parent()
    heeded = signal.getsignal(signal.SIGINT)
    if heeded != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it waits Ctrl-C ends it without a traceback
    said = json.dumps(Request(arguments, os.getcwd(), dict(os.environ))).encode()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            socket.send_fds(server, [SIZE.pack(len(said))], STREAMS)
            server.sendall(said)
            begun = server.recv(len(BEGUN))
        except OSError:  # it has ended, or is not ready
            begun = b""
        if not begun:
            signal.signal(signal.SIGINT, heeded)
            return None
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda got, _: server.send(bytes([got])))
        status = server.recv(STATUS.size, socket.MSG_WAITALL)
    return STATUS.unpack(status)[0] if status else -signal.SIGKILL


def _end(status: int) -> NoReturn:
    """End this process as another one has."""
    if status < 0:  # a signal has ended it
        with suppress(OSError):  # SIGKILL is heeded by none
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def serve(number: int, load: Callable[[], None], run: Callable[[list[str]], None]) -> NoReturn:
    """Load, by default once a first stage asks, and run each one that asks in a copy of this process.

    Parameters
    ----------
    number : the socket to listen at
    load : imports what stages need; nothing of it may start a thread of Python's
    run : called with a stage's name and arguments, with its streams, folder and environment
    """
    processes.leave_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # a terminal sends Ctrl-C to this process, too
    with socket.socket(fileno=number) as listener:
        address = listener.getsockname()
        if not address.endswith(LOADING):
            select.select([listener], [], [])
        load()
        os.rename(address, address.removesuffix(LOADING))
        gc.freeze()  # what is imported is not looked at again by any copy, and so stays shared
        Server(listener, run).serve()


class Server:
    """Forks a process for each request, and tells each client how its process has ended."""

    def __init__(self, listener: socket.socket, run: Callable[[list[str]], None]):
        """Take the socket that clients connect to, and what runs a stage."""
        self.run = run
        self.listener = listener
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self._accept)

    def serve(self) -> NoReturn:
        """Do what clients ask for."""
        while True:
            key, _ = self.selector.select()[0]  # one at a time: what it does may end another
            key.data()

    def _accept(self) -> None:
        """Fork for a client's request."""
        client, _ = self.listener.accept()
        head, streams, *_ = socket.recv_fds(client, SIZE.size, len(STREAMS))
        size = SIZE.unpack(head)[0] if head else 0
        said = client.recv(size, socket.MSG_WAITALL)
        try:
            request = Request(*json.loads(said))
        except ValueError:  # the client has ended meanwhile
            _close(client, *streams)
            return
        process = multiprocessing.get_context("fork").Process(target=self._become, args=(request, streams, client))
        process.start()
        _close(*streams)
        self.selector.register(process.sentinel, selectors.EVENT_READ, lambda: self._tell(client, process))
        self.selector.register(client, selectors.EVENT_READ, lambda: self._pass_on(client, process))
        with suppress(OSError):  # the client has ended meanwhile
            client.send(BEGUN)

    def _become(self, request: Request, streams: list[int], client: socket.socket) -> None:
        """Run a stage in a new process, with the streams, folder and environment of the one that asked."""
        _close(self.selector, self.listener, client)
        for here, stream in zip(STREAMS, streams, strict=True):
            os.dup2(stream, here)
        _close(*streams)
        sys.stdout.reconfigure(line_buffering=True)
        os.chdir(request.folder)
        os.environ.clear()
        os.environ.update(request.environment)
        global COPIED
        COPIED = True
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        self.run(request.arguments)

    def _pass_on(self, client: socket.socket, process: ForkProcess) -> None:
        """Send a process the signal that its client has passed on; SIGKILL if the client is gone."""
        try:
            number = client.recv(1)
        except ConnectionResetError:
            number = b""
        os.kill(process.pid, *(number or [signal.SIGKILL]))
        if not number:
            self.selector.unregister(client)

    def _tell(self, client: socket.socket, process: ForkProcess) -> None:
        """Tell a client how its process has ended."""
        self.selector.unregister(process.sentinel)
        with suppress(KeyError):
            self.selector.unregister(client)
        process.join()
        with suppress(OSError):  # the client is gone
            client.send(STATUS.pack(process.exitcode))
        _close(client, process)


def _close(*opened: Any) -> None:
    for one in opened:
        os.close(one) if isinstance(one, int) else one.close()
