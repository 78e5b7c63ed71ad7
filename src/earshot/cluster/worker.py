"""What runs in a worker of Dask: each of its threads has its tasks done by a process of its own.

A worker lives for days, and the code of a stage counts on a process that is new: modules are as they are on disk now,
what is cached in memory is of this stage, the environment and the folder are the client's. So a thread has a process,
the *origin*, that has imported what work needs, and each session (a pool of a client) works in a fork of it. A
recording that kills its process does not kill the worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from earshot.cluster import same

OWN = ("EARSHOT_", "DVC_", "MLFLOW_")  # variables that the client's environment decides
OF_JOB = re.compile("SLURM_(?!CONF$)").match  # what Lightning would take for a job of its own
SECRET = ("PASSWORD", "TOKEN", "SECRET")  # but for these


@dataclass(frozen=True)
class Session:
    """What a pool of a client asks of the processes that work for it.

    folder : the client's current folder, which workers share
    environment : what is set in it for them, and what isn't (None)
    modules : what their work needs
    facts : what they must have, see `same.facts`
    """

    name: str
    folder: str
    environment: dict[str, str | None]
    modules: tuple[str, ...]
    facts: dict[str, str] = field(repr=False)


class Died(BrokenExecutor):
    """The process that did a task was killed, and did nothing else."""

    by_itself = True


class Unlike(Exception):
    """This worker can't work for the client; the message says why."""


@dataclass
class Origin:
    """A process that forks itself for each session, see `child`."""

    process: subprocess.Popen
    channel: Connection
    asked: tuple[str, dict[str, str | None]]
    facts: dict[str, str]
    session: str = ""
    worker: int = 0  # the fork's process id

    def end(self) -> None:
        """End it, and the fork: it sees the end of the channel."""
        self.channel.close()
        self.process.kill()
        self.process.wait()


_mine = threading.local()
_all: dict[int, Origin] = {}
_ended: set[str] = set()  # sessions; a task of theirs may still be waiting here


def run(session: Session, task: bytes) -> bytes:
    """Have a task done by this thread's process for the session; return its result, pickled.

    Raises
    ------
    Died
        If the process was killed.
    Unlike
        If the worker has other code or libraries than the client, or doesn't share its folder.
    """
    if session.name in _ended:
        raise Died("its session has ended")
    origin = _ready_for(session)
    if session.name in _ended:  # meanwhile, so that `end` did not see this thread's process
        end(session.name)
        raise Died("its session has ended")
    try:
        origin.channel.send_bytes(task)
        answer = origin.channel.recv_bytes()
    except (EOFError, OSError):
        _forget(origin)
        answer = b""
    if not answer:
        origin.session, origin.worker = "", 0
        raise Died("the process was killed")
    return answer


def end(name: str) -> None:
    """End the processes of a session, whatever they do."""
    _ended.add(name)
    for origin in [*_all.values()]:
        if origin.session == name and origin.worker:
            with contextlib.suppress(ProcessLookupError):
                os.kill(origin.worker, signal.SIGKILL)
            origin.session, origin.worker = "", 0


def _ready_for(session: Session) -> Origin:
    """Return this thread's origin, with a fork for the session."""
    origin = _origin_for(session)
    if origin.session == session.name:
        return origin
    try:
        _begin(origin, session)
    except (EOFError, OSError):  # it was killed, or fell over a task of a session that had ended
        _forget(origin)
        origin = _origin_for(session)
        _begin(origin, session)
    return origin


def _origin_for(session: Session) -> Origin:
    """Return this thread's origin; a new one where it has another environment, or other code than the client."""
    found: Origin | None = getattr(_mine, "origin", None)
    asked = (session.folder, session.environment)
    if found and (found.asked != asked or found.facts != session.facts or found.process.poll() is not None):
        _forget(found)
        found = None
    if found is None:
        found = _mine.origin = _all[threading.get_ident()] = _start(session)
    if differs := same.difference(session.facts, found.facts):
        _forget(found)
        raise Unlike(f"has {differs}")
    return found


def _start(session: Session) -> Origin:
    kept = {name: value for name, value in os.environ.items() if not is_clients(name) and not OF_JOB(name)}
    environment = kept | session.environment
    environment = {name: value for name, value in environment.items() if value is not None}
    here, there = multiprocessing.Pipe()
    with there:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "earshot.cluster.child", str(there.fileno())],
                cwd=session.folder,
                env=environment,
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the worker
            )
        except OSError as error:
            raise Unlike(f"can't work in the client's folder {session.folder} ({error.strerror})") from None
    try:
        facts = pickle.loads(here.recv_bytes())
    except (EOFError, OSError):
        process.kill()
        process.wait()
        raise Unlike("can't import earshot's code, see its log") from None
    return Origin(process, here, (session.folder, session.environment), facts)


def _begin(origin: Origin, session: Session) -> None:
    """Have the origin fork itself for a session; the fork of the session before ends."""
    if origin.worker:
        origin.channel.send_bytes(b"")
    origin.channel.send_bytes(pickle.dumps(session.modules))
    while not (begun := origin.channel.recv_bytes()):
        pass  # that the fork before was killed
    origin.session, origin.worker = session.name, pickle.loads(begun)


def _forget(origin: Origin) -> None:
    origin.end()
    _mine.origin = None
    _all.pop(threading.get_ident(), None)


def is_clients(name: str) -> bool:
    """Tell whether a variable of the environment is the client's to set, here and for its workers."""
    return name.startswith(OWN) and not any(word in name for word in SECRET)


def answer(task: bytes) -> bytes:
    """Do a task in this process; return its result or its error, pickled."""
    try:
        work, arguments = pickle.loads(task)
        return pickle.dumps((work(*arguments), None))
    except BaseException as error:  # an exit as well: this process is for other tasks, too
        traceback.print_exc()  # in the worker's log
        return pickle.dumps((None, RuntimeError(f"the task can't be done: {error!r}")))
