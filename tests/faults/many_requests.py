"""Each server under broken requests and slow connections: what it answers, how fast, and in how much memory."""

from __future__ import annotations

import collections
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests
from measure import anonymous

from conftest import PROJECT, dashboard, new_store, serving
from earshot.deploy.package import save
from earshot.tracking import links
from faults.broken_requests import Answered, Slow, ask, broken
from test_onnx import model

CLIENTS, SLOW = 4, 200
PATIENCE = 60.0  # seconds
WARM = 0.2  # of the requests, after which memory should not grow
MEANT = 503  # of all that is a server's fault: it has too much to do
# what MLflow's servers themselves answer with 500, before earshot sees it: a host that is no UTF-8, and deep JSON
OF_MLFLOW = (b"Host: \xff", b"[" * 3000)


@contextmanager
def served(root: Path) -> Iterator[dict[str, tuple[str, Any, tuple[str, ...]]]]:
    """Start each server; yield its address, its process, and the paths that it knows."""
    folder = model(root / "model", "log_mel", "cnn")
    save(folder, root / "package")
    new_store(root / "data" / "mlflow" / "mlflow.db")
    where = {"cwd": root, "env": os.environ | {"EARSHOT_ROOT": str(root), "PYTHONPATH": str(PROJECT / "src")}}
    packaged = ("-m", str(root / "package"), "--env-manager", "local", "--workers", "1")
    os.environ["EARSHOT_ROOT"] = str(root)
    with (
        serving("earshot.cli", "serve", "--model", str(folder), **where) as listening,
        serving("mlflow", "models", "serve", *packaged, may_log=True, **where) as package,
        dashboard(root, may_log=True) as board,
    ):
        heard = f"/listen?model={folder}"
        yield {
            "earshot serve": (*listening, ("/", "/page.js", "/models", heard, heard, heard)),
            "mlflow models serve": (*package, ("/ping", "/version", "/invocations", "/invocations")),
            "earshot dashboard": (*board, ("/", links.RUNS, f"{links.RUNS}?dataset=a", links.WINDOWS, links.REPORT)),
        }


def memory(process: int) -> float:
    """Return the memory of a process and its children, in MiB."""
    return sum(anonymous(one.pid) for one in [psutil.Process(process), *psutil.Process(process).children(True)])


def asked(
    address: str, process: Any, paths: tuple[str, ...], number: int, left_out: tuple[bytes, ...]
) -> dict[str, Any]:
    """Send broken requests to a server; return the statuses, and what became of its time and its memory.

    Parameters
    ----------
    left_out : no request that has one of these parts is sent
    """
    host, port = address.removeprefix("http://").split(":")
    fit = (one for one in broken(0, paths, f"{host}:{port}") if not any(part in one.content for part in left_out))
    sent = itertools.islice(fit, number)
    statuses: dict[str, int] = collections.Counter()
    slowest, done, before = 0.0, 0, 0.0
    with ThreadPoolExecutor(CLIENTS) as pool:
        while part := list(itertools.islice(sent, max(1, round(WARM * number)))):
            answers: list[Answered] = list(pool.map(lambda one: ask((host, int(port)), one), part))
            slowest = max(slowest, *(answer.seconds for answer in answers))
            for answer in answers:
                statuses.update(map(str, answer.statuses or ["closed"]))
            before = before or memory(process.pid)  # once it is warm
            done += len(part)
    slow = Slow((host, int(port)), min(SLOW, number))
    for _ in range(50):
        slow.go_on()
        requests.get(f"{address}/", timeout=PATIENCE)
    slow.close()
    after = memory(process.pid)
    faults = sum(count for status, count in statuses.items() if status[0] == "5" and status != str(MEANT))
    kinds = {kind: sum(count for one, count in statuses.items() if one[0] == kind) for kind in "2345c"}
    return {
        "requests": done,
        "statuses": dict(sorted(statuses.items())),
        "kinds": kinds,
        "faults": faults,
        "slowest": slowest,
        "slow_connections": len(slow.connections),
        "memory": [round(before, 1), round(after, 1)],
    }
