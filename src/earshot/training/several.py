"""One training by several processes of this machine, each with a share of every batch and a device of its own.

Lightning's DDP averages their gradients. Its launcher starts the command line of this process again for each of them,
which a stage's worker or a cluster's does not have, and which would write everything as often. Here this process is the
first of them, does all that is said and written, and starts the others as `python -m earshot.training.other`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd
import psutil
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.strategies import DDPStrategy

from earshot import provenance
from earshot.batches.share import Share
from earshot.batches.windows import Windows
from earshot.errors import EarshotError

READY = "ready"  # what another process says before it is waited for no more
SECONDS = 10.0  # for the others to end after one of them has failed, or after the last epoch


@dataclass
class Other:
    """Another process of the training.

    said : a file with what it says on standard error
    told : the latest that it has told this process, nothing if it has ended
    """

    process: subprocess.Popen
    said: Path
    told: str = ""

    def is_ready(self) -> bool:
        """Wait until it can begin; False if it has failed."""
        self.told = self.process.stdout.readline().strip()
        return self.told == READY

    def failure(self) -> dict[str, Any]:
        """Return what it tells of its failure, once it has ended; nothing if it was killed."""
        if self.told in ("", READY):
            self.told = self.process.stdout.readline().strip()
        return json.loads(self.told or "{}")

    def end(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@dataclass
class Group:
    """The processes of a training, as one of them sees it.

    meeting : a file by which they find each other
    others : of the first process
    first : what the first process reads, of another one
    failed : when this process' part has failed, by the machine's clock
    """

    share: Share = field(default_factory=Share)
    meeting: str = ""
    others: list[Other] = field(default_factory=list)
    first: TextIO | None = None
    failed: float = float("inf")

    @property
    def several(self) -> bool:
        """Whether there are any others."""
        return self.share.of > 1

    def of_trainer(self) -> dict[str, Any]:
        """Return Lightning's arguments for such a training."""
        if not self.several:
            return {}
        return {
            "strategy": DDPStrategy(),
            "plugins": [_Environment(self.share)],
            "use_distributed_sampler": False,
        }

    def callbacks(self) -> list[pl.Callback]:
        """Return what such a training needs of Lightning's callbacks."""
        return [_OneOfSeveral(self.share)] if self.several else []

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Be connected to the others, which are waited for.

        Raises
        ------
        EarshotError
            If one of them has ended.
        """
        if not self.several:
            yield
            return
        for other in self.others:
            if not other.is_ready():
                raise RuntimeError("a process has ended")  # `started` asks which, and why
        if self.first:
            print(READY, file=self.first, flush=True)
        os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        store = torch.distributed.FileStore(self.meeting, self.share.of)
        torch.distributed.init_process_group(store=store, rank=self.share.rank, world_size=self.share.of)
        try:
            yield
        except BaseException:
            self.failed = time.monotonic()
            raise
        finally:
            torch.distributed.destroy_process_group()

    def cause(self, error: Exception) -> Exception:
        """Return the error of the process that failed first, of this one's."""
        first, failed = error, self.failed
        for rank, other in enumerate(self.others, start=1):
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.process.wait(SECONDS)
            code = other.process.poll()
            if not code:
                continue
            told = other.failure()
            if told.get("failed", 0.0) < failed:
                first, failed = _told(rank, self.share.of, code, told, other.said), told.get("failed", 0.0)
        return first


def count(cfg: DictConfig) -> int:
    """Return how many processes train a model of the config: one for each device.

    Raises
    ------
    EarshotError
        If the machine does not have these devices.
    """
    asked = cfg.trainer
    if asked.devices == 1 and asked.accelerator in ("auto", "cpu"):
        return 1
    devices = asked.devices if isinstance(asked.devices, int | str) else list(asked.devices)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    try:
        return pl.Trainer(accelerator=asked.accelerator, devices=devices, **quiet).num_devices
    except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
        where = f"trainer.accelerator is {asked.accelerator} and trainer.devices {devices}"
        raise EarshotError(f"{where}: {' '.join(str(error).split())}") from None


@contextlib.contextmanager
def started(n: int, cfg: DictConfig, windows: Sequence[Windows], state: Path | None) -> Iterator[Group]:
    """Start the other processes of a training by `n`, and end them with the block.

    Parameters
    ----------
    cfg, state : as of `fit.fit`
    windows : the training's, which the others must have as well

    Raises
    ------
    EarshotError
        If one of them fails: what the first of them that failed says.
    """
    if n == 1:
        yield Group()
        return
    with tempfile.TemporaryDirectory() as folder:
        group = Group(Share(0, n), str(Path(folder) / "meeting"))
        job: dict[str, Any] = {"cfg": OmegaConf.to_yaml(cfg, resolve=True), "windows": digest(windows)}
        job |= {"meeting": group.meeting, "of": n, "state": state and str(state)}
        try:
            group.others += [_start(job | {"rank": rank}, Path(folder)) for rank in range(1, n)]
            yield group
            for other in group.others:
                other.process.wait()
        except EarshotError:
            raise
        except Exception as error:
            raise group.cause(error) from error.__cause__
        finally:
            for other in group.others:
                other.end()


def digest(windows: Sequence[Windows]) -> str:
    """Return a digest of which windows they are."""
    return provenance.digest([[str(h) for h in pd.util.hash_pandas_object(part.table)] for part in windows])


def _start(job: dict[str, Any], folder: Path) -> Other:
    said = folder / f"{job['rank']}.txt"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "earshot.training.other"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process
        )
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
    return Other(process, said)


def _told(rank: int, of: int, code: int, told: dict[str, Any], said: Path) -> EarshotError:
    """Return the error of another process."""
    name = f"process {rank + 1} of {of} of the training"
    if "error" in told:
        return EarshotError(told["error"])
    text = said.read_text(errors="replace")
    if "failed" in told or code > 0:  # no user's error: its traceback is what there is to read
        print(text, file=sys.stderr, end="")
        return EarshotError(f"{name} failed, see above")
    return EarshotError(f"{name} was killed ({signal.Signals(-code).name}). Is there too little memory?")


def _loopback() -> str:
    """Return the name of the network interface that only this machine reaches."""
    found = [name for name, at in psutil.net_if_addrs().items() if any(a.address == "127.0.0.1" for a in at)]
    return found[0] if found else "lo"


class _Environment(LightningEnvironment):
    """Tells Lightning that the processes are there, and which of them this is."""

    def __init__(self, share: Share):
        super().__init__()
        self.share = share

    @property
    def creates_processes_externally(self) -> bool:
        return True

    def local_rank(self) -> int:
        return self.share.rank


class _OneOfSeveral(pl.Callback):
    """Has each process draw other random numbers, for dropout, and end at SIGTERM as a training by one does.

    Lightning's own handler waits for all processes, at a moment when they may be at another step.
    """

    def __init__(self, share: Share):
        self.share = share
        self.at_sigterm = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.at_sigterm)
        if self.share.rank:
            place = [torch.initial_seed() % 2**32, self.share.rank]
            pl.seed_everything(int(np.random.SeedSequence(place).generate_state(1)[0]), verbose=False)
