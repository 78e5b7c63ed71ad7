"""Where things are, and the numbers in params.yaml that the data depends on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from earshot.errors import EarshotError

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


def params() -> dict[str, Any]:
    """Read params.yaml.

    Raises
    ------
    EarshotError
        If there is no readable params.yaml in the project's folder.
    """
    path = root() / "params.yaml"
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing: run earshot from the project's folder") from None
    except yaml.YAMLError as error:
        raise EarshotError(f"{path} is not valid YAML: {error}") from None


def experiments(params: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the (input, model) pairs that params.yaml compares, in its order."""
    return [
        (input_name, model)
        for crossed in params["experiments"].values()
        for input_name in crossed["inputs"]
        for model in crossed["models"]
    ]
