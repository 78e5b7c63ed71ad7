"""A Postgres on this machine, by the programs of Debian's package `postgresql`."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "earshot", "s3cret/p@ss"
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # on no PATH


def why_not() -> str | None:
    """Say why there can be no Postgres here."""
    return None if PROGRAMS else "no Postgres here: apt-get install postgresql"


@contextmanager
def running() -> Iterator[str]:
    """Start a server on a free port of 127.0.0.1 that asks for a password; yield `HOST:PORT`."""
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="earshot-pg-"))
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **who}
    data, control = folder / "data", PROGRAMS[-1] / "pg_ctl"
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if who:
            for path in (folder, secret):
                shutil.chown(path, who["user"], who["group"])
        made = ["-D", data, "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"]
        subprocess.run([PROGRAMS[-1] / "initdb", *made, "--no-instructions"], **quiet)
        port = _free_port()
        options = f"-h 127.0.0.1 -p {port} -k {folder} -F -c max_connections=60"
        subprocess.run([control, "start", "-w", "-D", data, "-l", folder / "log", "-o", options], **quiet)
        try:
            yield f"127.0.0.1:{port}"
        finally:
            subprocess.run([control, "stop", "-D", data, "-m", "immediate"], **quiet)
    finally:
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
