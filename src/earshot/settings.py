"""The settings of conf/ and params.yaml as Hydra puts them together."""

from __future__ import annotations

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig

from earshot import project
from earshot.errors import EarshotError


def run_name(cfg: DictConfig) -> str:
    """Return a short name that tells one run of an experiment from the others."""
    wiring = cfg.model.get("wiring", "published")
    return f"{cfg.protocol}-{wiring}-seed{cfg.seed}-fold{cfg.fold}"


def compose(overrides: list[str]) -> DictConfig:
    """Return the Hydra config with overrides, as `python -m earshot.train OVERRIDES` sees it.

    Raises
    ------
    EarshotError
        If an override names nothing.
    """
    params = f"hydra.searchpath=['file://{project.root()}']"  # a stage's, whatever EARSHOT_ROOT says
    try:
        with hydra.initialize_config_dir(str(project.root() / "conf"), version_base="1.3"):
            return hydra.compose("config", [params, *overrides])
    except HydraException as error:
        raise EarshotError(f"{' '.join(overrides)}: {error}") from None
