"""What is checked before the pipeline starts, so that a mistake in the settings does not stop it hours later."""

from __future__ import annotations

import re

from earshot import inputs, project
from earshot.datasets import classes
from earshot.datasets.card import Card, load_card, trained_on
from earshot.datasets.union import check_cards
from earshot.errors import EarshotError
from earshot.schema.yaml_text import did_you_mean
from earshot.settings import compared, compose, experiments_of, for_task, read_params, window_of


def check() -> None:
    """Check params.yaml, the cards of its datasets, and what each says of the other.

    Raises
    ------
    EarshotError
        Naming the file, the key, and what is right.
    """
    params = read_params()
    compared(params)
    if not experiments_of(params):
        raise EarshotError(f"{project.root() / 'params.yaml'} lists no experiment: inputs and models under experiments")
    for name in params["datasets"]:
        _check_dataset(load_card(name), params)
    _check_noise(params)
    for model in dict.fromkeys(experiment.model for experiment in experiments_of(params)):
        compose([f"model={model}"])


def _check_noise(params: dict) -> None:
    """Check that the classes of `noise` are those of a dataset of the task, where the classes are known by now."""
    for task, setting in params["noise"].items():
        cards = [load_card(name) for name in trained_on(params["datasets"])]
        known = [classes.known(card) for card in cards if card.task == task and card.has_sound]
        if not known or None in known:
            continue
        there = sorted(set().union(*known))
        for key in ("alarm", "background"):
            if setting[key] not in there:
                raise EarshotError(
                    f"{project.root() / 'params.yaml'}: noise.{task}.{key} is {setting[key]}, which is no class of the "
                    f"task's datasets; {did_you_mean(setting[key], there)}"
                )


def check_repository() -> None:
    """Check that DVC can work in the project's folder.

    Raises
    ------
    EarshotError
        With the command that mends it.
    """
    root = project.root()
    if not (root / "dvc.yaml").is_file():
        raise EarshotError(f"{root} has no dvc.yaml: run earshot from the project's folder")
    above = [root, *root.parents]
    of_dvc = next((folder / ".dvc" for folder in above if (folder / ".dvc").is_dir()), None)
    if of_dvc is None:
        raise EarshotError(f"{root} is no DVC repository: type `git init && dvc init` in it, or `dvc init --no-scm`")
    configs = [of_dvc / name for name in ("config", "config.local")]
    alone = any(re.search(r"no_scm\s*=\s*true", path.read_text("utf-8"), re.I) for path in configs if path.is_file())
    if not alone and not any((folder / ".git").exists() for folder in above):
        raise EarshotError(
            f"{root} is not under git, as after the download of a ZIP: type `git init` in it, or to do without git "
            "`dvc config --local core.no_scm true`"
        )


def _check_dataset(card: Card, params: dict) -> None:
    if not card.holds_recordings:
        raise EarshotError(f"{card.name} holds no recordings: take it out of datasets in params.yaml ({card.title})")
    if card.needs:
        load_card(card.needs)
    if card.union and project.raw(card.name).is_dir():
        check_cards(card, project.raw(card.name))
    window_of(params["windows"], card.task)
    for_task(params["split"]["folds"], card.task, "split.folds")
    for name in dict.fromkeys(experiment.input for experiment in experiments_of(params)) if card.has_sound else ():
        inputs.build(name, params, card.task, card.clips)
