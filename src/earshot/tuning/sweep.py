"""Several trainings by one line: `earshot train -m model=cnn,lstm seed=0,1,2`.

Hydra makes the runs of the line and joblib trains them in parallel. Here the line is checked before anything is
trained, a run that was trained before is read from the cache, and the results are written to a table. So the same
line, given again after a kill, is resumed.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from earshot import files
from earshot.cluster import pools
from earshot.errors import EarshotError
from earshot.processes import leave_with_parent
from earshot.settings import check_overrides, check_protocol

NAME = "EARSHOT_SWEEP"  # in the environment of the runs: their sweep's name
RESULT = "run.json"
SHOWN = 20  # rows of the table; all of them are in runs.csv


class Sweep(Callback):
    """Hydra's callback before and after the runs of a line."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check the line, and name the sweep."""
        overrides = list(config.hydra.overrides.task)
        try:
            check_overrides(overrides)
            check_protocol(overrides, config.protocol)
        except EarshotError as error:
            raise SystemExit(f"error: {error}") from None  # Hydra only warns of other exceptions
        os.environ[NAME] = " ".join(overrides)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write the results of the runs; fail if one of them failed."""
        place = Path(config.hydra.sweep.dir)
        paths = sorted(place.glob(f"*/{RESULT}"), key=lambda path: int(path.parent.name))  # in the order of the line
        found = [json.loads(path.read_text("utf-8")) for path in paths]
        failed = [run for run in found if "error" in run]
        if done := [run for run in found if "error" not in run]:
            write_results(done, place)
        if failed:
            if pools.scheduler():  # its workers have logs of their own
                for run in failed:
                    _tell_error(run["overrides"], run["error"])
            raise SystemExit(f"error: {len(failed)} of {len(found)} runs failed, see above")


def train_job(cfg: DictConfig, out: Path) -> float:
    """Train one run of a sweep, or read it from the cache; write its result to `out` and return the validation loss."""
    from earshot.batches import prepare
    from earshot.metrics import classification
    from earshot.training import run_cache, runs

    if multiprocessing.current_process().name != "MainProcess":
        leave_with_parent()
    overrides = list(HydraConfig.get().overrides.task)
    tried = [item for item in overrides if not item.startswith(("experiment=", "mlflow."))]
    cfg = OmegaConf.merge(cfg, {"mlflow": {"tried": " ".join(tried)}})
    try:
        data = prepare.shared(cfg)
        known = run_cache.is_whole(run_cache.folder(cfg, data))
        folder = runs.once(cfg, data)
    except EarshotError as error:  # the other runs go on
        _tell_error(overrides, error)
        files.write_json(out / RESULT, {"overrides": overrides, "error": str(error)})
        return math.nan
    trained = run_cache.read(folder)
    scores = classification.scores(trained.validation)
    result = {"overrides": overrides, "folder": str(folder), "best_epoch": trained.settings["best_epoch"], **scores}
    files.write_json(out / RESULT, files.rounded(result))
    print(
        f"{' '.join(overrides)}: validation accuracy {scores['accuracy']:.4f}{' (kept)' if known else ''}", flush=True
    )
    return scores["loss"]


def _tell_error(overrides: list[str], error: object) -> None:
    print(f"error: {' '.join(overrides)}: {error}", file=sys.stderr, flush=True)


def write_results(runs: list[dict[str, Any]], place: Path) -> None:
    """Write all runs to runs.csv in `place`, the best first; print the best as a table."""
    import pandas as pd

    from earshot.terminal import print_frame

    swept = pd.DataFrame([dict(line.split("=", 1) for line in run["overrides"]) for run in runs])
    scores = pd.DataFrame(runs).reindex(columns=["accuracy", "macro_f1", "loss", "best_epoch", "folder"])
    table = pd.concat([swept, scores], axis=1).sort_values("accuracy", ascending=False, kind="stable")
    files.write_text(place / "runs.csv", table.to_csv(index=False, lineterminator="\n"))
    shown = table.drop(columns="folder")[:SHOWN]
    print_frame(f"validation, best first ({len(shown)} of {len(table)})", shown)
    print(f"all:       {place / 'runs.csv'}\ncompare:   earshot dashboard, then Views, Sweeps")
