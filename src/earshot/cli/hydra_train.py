"""Hydra's side of `earshot train`: it reads the command line and calls one run, or one job of a sweep.

A module of its own, since importing Hydra takes longer than the other commands do in all.
"""

from __future__ import annotations

import signal
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from earshot import project
from earshot.errors import EarshotError
from earshot.processes import leave_in_order
from earshot.settings import check_overrides, run_name
from earshot.tuning import sweep

# torch, Lightning and MLflow take seconds to import: functions below do it, so that `--help` is quick.


def train_one(cfg: DictConfig, out: Path) -> float:
    """Train one run into the folder `out`; return the validation loss."""
    check_overrides(list(HydraConfig.get().overrides.task))
    from earshot.batches import prepare
    from earshot.training import runs

    trained = runs.train(cfg, prepare.load(cfg), out)
    from earshot.metrics import classification

    scores = classification.scores(trained.validation)
    shown = f"validation accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}"
    print(f"{run_name(cfg)}: {shown}, weights in {out}")
    return scores["loss"]


@hydra.main(version_base="1.3", config_path=str(project.root() / "conf"), config_name="config")
def main(cfg: DictConfig) -> float:
    """Train one run; return the validation loss, which Hydra's sweepers minimise."""
    signal.signal(signal.SIGTERM, leave_in_order)
    job = HydraConfig.get()
    train = sweep.train_job if job.mode == RunMode.MULTIRUN else train_one
    try:
        return train(cfg, Path(job.runtime.output_dir))
    except EarshotError as error:
        raise SystemExit(f"error: {error}") from None  # Hydra would add lines of its own to an exception
