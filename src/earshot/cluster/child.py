"""The process of a worker's thread, `python -m earshot.cluster.child FD`: see `worker`.

It imports what work needs, forks itself for each session, and waits for the fork's end. Both end with the worker.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from earshot.cluster import same, worker


def main(channel: Connection) -> None:
    """Tell what this process has; fork it for each session that is asked for."""
    os.dup2(2, 1)  # what tasks print goes to the worker's log
    channel.send_bytes(pickle.dumps(same.facts()))
    while True:
        try:
            asked = channel.recv_bytes()
        except (EOFError, OSError):
            return
        for module in pickle.loads(asked):
            importlib.import_module(module)
        fork = os.fork()
        if not fork:
            _serve(channel)
        _, status = os.waitpid(fork, 0)
        if status:
            channel.send_bytes(b"")  # instead of the answer


def _serve(channel: Connection) -> None:
    """Do tasks until an empty one."""
    todo: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(channel, todo), daemon=True).start()
    channel.send_bytes(pickle.dumps(os.getpid()))
    while task := todo.get():
        channel.send_bytes(worker.answer(task))
    os._exit(0)


def _receive(channel: Connection, todo: queue.SimpleQueue[bytes]) -> None:
    """Receive tasks in a thread of its own, so that the end of the worker ends a task that is being done."""
    task = b"begin"
    while task:
        try:
            task = channel.recv_bytes()
        except (EOFError, OSError):
            os.kill(os.getpid(), signal.SIGKILL)
        todo.put(task)


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
