"""Promote a trial of a search: its settings become a model of conf/model/."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from earshot import files, project
from earshot.errors import EarshotError
from earshot.settings import compose
from earshot.tuning.study import Search, means

TRAINED_WITH = ("augmentation", "optimizer", "trainer")  # config groups of a training, beside the model


def command(search: Search, number: int) -> str:
    """Return the command that promotes a trial."""
    return f"earshot promote {search.experiment} {number} {search.cfg.model.name}_tuned{search.arguments()}"


def promote(search: Search, number: int, name: str) -> Path:
    """Write the settings of a trial to conf/model/NAME.yaml; return the path.

    Raises
    ------
    EarshotError
        If the trial did not come to its end, or the name is taken or no name for a model.
    """
    path = project.root() / "conf" / "model" / f"{name}.yaml"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise EarshotError(f"'{name}' can't name a model: use small letters, digits and _")
    if path.exists():
        raise EarshotError(f"{path} is there already: choose another name, or remove it")
    whole = {trial.number: trial for trial in search.study.get_trials(states=(TrialState.COMPLETE,))}
    if number not in whole:
        raise EarshotError(f"trial {number} is none of the whole trials of this search: {sorted(whole)}")
    cfg = compose([*search.overrides, *(f"{key}={value}" for key, value in whole[number].params.items())])
    chosen = {group: OmegaConf.to_container(cfg[group]) for group in _groups(search, cfg)}
    chosen["model"]["name"] = name
    after, before = (means(whole[place])[search.plan.metric] for place in (number, 0))
    origin = (
        "# @package _global_\n"
        f"# Trial {number} of `earshot search {search.experiment}{search.arguments()}`\n"
        f"# on {search.data.card.label}: validation {search.plan.metric} {after:.4f}, and {before:.4f} before\n"
        f"# (mean of {len(search.folds)} folds).\n"
    )
    files.write_text(path, origin + yaml.safe_dump(chosen, sort_keys=False))
    return path


def _groups(search: Search, cfg: DictConfig) -> list[str]:
    """Return the config groups that make the trial what it is: those of the space, and what all trials had changed."""
    plain = compose([f"experiment={search.experiment}"])
    changed = {group for group in TRAINED_WITH if cfg[group] != plain[group]}
    return ["model", *sorted(({key.split(".")[0] for key in search.plan.space} | changed) - {"model"})]
