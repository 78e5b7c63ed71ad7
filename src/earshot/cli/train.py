"""`earshot train`: one training, or several with -m; Hydra reads the command line."""

from __future__ import annotations

import signal
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from earshot import project
from earshot.errors import EarshotError
from earshot.processes import leave_in_order
from earshot.settings import check_overrides, run_name
from earshot.tuning import sweep

# torch, Lightning and MLflow take seconds to import: functions below do it, so that `--help` is there at once.


def one(cfg: DictConfig, out: Path) -> float:
    """Train once, into the folder `out`; return the validation loss."""
    check_overrides(list(HydraConfig.get().overrides.task))
    from earshot.batches import prepare
    from earshot.training import runs

    trained = runs.train(cfg, prepare.load(cfg), out)
    from earshot.metrics import classification

    scores = classification.scores(trained.validation)
    told = f"validation accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}"
    print(f"{run_name(cfg)}: {told}, weights in {out}")
    return scores["loss"]


@hydra.main(version_base="1.3", config_path=str(project.root() / "conf"), config_name="config")
def main(cfg: DictConfig) -> float:
    """Train once; return the validation loss, for Hydra's sweepers to minimise."""
    signal.signal(signal.SIGTERM, leave_in_order)
    job = HydraConfig.get()
    made = sweep.one if job.mode == RunMode.MULTIRUN else one
    try:
        return made(cfg, Path(job.runtime.output_dir))
    except EarshotError as error:
        raise CompactHydraException(f"error: {error}") from None  # which Hydra tells without a traceback
