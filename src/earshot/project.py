"""Where things are, and the numbers in params.yaml that the data depends on."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = ("cache", "mlflow")  # what no stage makes; `dvc exp run --temp` and `--queue` run the stages in a copy


def root() -> Path:
    """Return the project's folder: `EARSHOT_ROOT` where set, else the current folder; a stage's is always that."""
    return Path("." if "DVC_STAGE" in os.environ else os.environ.get("EARSHOT_ROOT", ".")).resolve()


def workspace() -> Path:
    """Return the folder from which DVC was called, also while a stage runs in a copy of it; else the project's."""
    return Path(os.environ["DVC_ROOT"]).resolve() if "DVC_STAGE" in os.environ else root()


def data(kind: str, *parts: str) -> Path:
    """Return `data/KIND/PARTS...`, e.g. `data("features", "gtzan", "summary.parquet")`.

    What is `SHARED` stands in the workspace.
    """
    base = workspace() if kind in SHARED else root()
    return base.joinpath("data", kind, *parts)
