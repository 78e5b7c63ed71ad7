"""A Slurm of one node on this machine, by the programs of Debian: slurmctld, slurmd, slurm-client and munge."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo")
CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={0}
SlurmdPort={1}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus}
PartitionName=all Nodes=ALL Default=YES
"""


def why_not() -> str | None:
    """Say why there can be no Slurm here."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        return f"{', '.join(missing)} not here: apt-get install slurmctld slurmd slurm-client munge"
    return None if os.geteuid() == 0 else "a Slurm of one's own is root's"


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Start Slurm with its files in a folder; yield the environment of its commands once the node is idle."""
    folder.chmod(0o700)
    for name in ("state", "spool"):
        folder.joinpath(name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(*_ports(), host=host, folder=folder, cpus=os.cpu_count()))
    environment = os.environ | {"SLURM_CONF": str(conf), "PATH": os.environ["PATH"] + os.pathsep + "/usr/sbin"}
    files = [f"--{name}-file={folder / f'munge.{name}'}" for name in ("key", "pid", "log", "seed")]
    munge = ["munged", "--foreground", "--force", f"--socket={folder / 'munge.socket'}", *files]
    quiet = {"env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        for command in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            daemon = stack.enter_context(subprocess.Popen(command, **quiet))
            stack.callback(daemon.terminate)
        deadline = time.monotonic() + 300
        while _asked(environment, "sinfo", "-h", "-o", "%T") != "idle":
            assert time.monotonic() < deadline, "Slurm's node is not idle"
            time.sleep(0.2)
        yield environment


def _asked(environment: dict[str, str], *command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False).stdout.strip()


def _ports() -> list[int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [one.getsockname()[1], other.getsockname()[1]]
