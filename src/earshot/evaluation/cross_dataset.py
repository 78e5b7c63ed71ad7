"""Cross-dataset evaluation: the grouped protocol's models of one dataset, tested on other datasets of its task."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import pandas as pd

from earshot import inputs, project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import manifest, place
from earshot.datasets.card import Card, load_card, trained_on
from earshot.datasets.union import overlap
from earshot.errors import EarshotError
from earshot.settings import Experiment, experiments_of, read_params, window_of
from earshot.splits import spans

COLUMNS = ["on", "input", "model", "seed", "fold", "recording", "group", "start", "seconds", "label", "predicted"]


def evaluate_on(dataset: str, on: str, experiment: Experiment, wiring: str) -> pd.DataFrame:
    """Test every model of an experiment that was trained on `dataset`, on all windows of the dataset `on`.

    Returns
    -------
    Columns `COLUMNS` and p_CLASS

    Raises
    ------
    EarshotError
        If the two datasets have different classes or features.
    """
    import torch

    from earshot.batches import prepare
    from earshot.batches.windows import Windows, windows_in
    from earshot.settings import compose, override
    from earshot.trained import predict
    from earshot.trained.model_folder import grouped_models

    torch.set_num_threads(1)
    cfg = compose([override("dataset", on), *experiment.overrides])
    data = prepare.load(cfg)
    whole = spans.grouped_spans(data.card, manifest.read(on), read_params(), place.folder(data.card))
    cut = windows_in(whole, data.input, window_of(cfg.windows, data.card.task))
    frames = []
    for trained in grouped_models(dataset, experiment.name, wiring):
        classes = trained.settings["classes"]
        if classes != data.classes:
            raise EarshotError(f"{dataset} has the classes {', '.join(classes)}, {on} has {', '.join(data.classes)}")
        if trained.settings["input"] != data.recipe:
            raise EarshotError(f"{experiment.input} of {on} has other settings than the features of {dataset}'s models")
        tested = Windows(data.features, cut, data.input, data.classes)
        found = predict.named(trained.settings, predict.probabilities(trained.settings, trained.net, tested))
        frames.append(
            tested.table.assign(on=on, input=experiment.input, model=experiment.model, **trained.run, **found)
        )
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*COLUMNS, *(name for name in frame.columns if name.startswith("p_"))]]


def same_task(on: str, params: dict[str, Any]) -> list[str]:
    """List the other datasets in params.yaml that have the task of `on` and share no recordings with it.

    Raises
    ------
    EarshotError
        If there are none.
    """
    tested = load_card(on)
    cards = [load_card(name) for name in trained_on(params["datasets"])]
    found = [card.name for card in cards if _is_like(card, tested)]
    if not found:
        raise EarshotError(
            f"params.yaml's datasets have none of task '{tested.task}' besides {on}: say which one with --of"
        )
    return found


def evaluate_prepared(dataset: str, on: str, params: dict[str, Any], workers: int) -> pd.DataFrame:
    """Run the stages that `on` still needs, and evaluate every experiment of `dataset` on it.

    Raises
    ------
    EarshotError
        If `dataset` has no trained models, none can be tested on `on`, or a stage fails, see above.
    """
    card = load_card(dataset)
    if silent := [name for name in (dataset, on) if not load_card(name).has_sound]:
        raise EarshotError(f"{silent[0]} is a table of features: its models and those of other datasets share no input")
    if card.test_only or not project.models(dataset).is_dir():
        raise EarshotError(f"{project.models(dataset)} is missing: there are no models of {dataset} to test")
    made = {("download", on): project.raw(on), ("manifest", on): project.manifest(on)}
    for experiment in experiments_of(params):
        made["features", on, experiment.input] = project.features(on, experiment.input)
    for (stage, *arguments), path in made.items():
        command = [sys.executable, "-m", "earshot.stages", stage, *arguments]
        if not path.exists() and subprocess.run(command, check=False).returncode:
            raise EarshotError(f"{path} could not be made, see above")
    frames = evaluate_all(card, [on], params, workers)
    if not frames:
        raise EarshotError(f"no experiment of {dataset} can be tested on {on}, see above")
    return pd.concat(frames, ignore_index=True)


def others(dataset: str, params: dict[str, Any]) -> list[str]:
    """List the other datasets in params.yaml with the same task and classes that share no recordings with this one.

    Given features have none.
    """
    card = load_card(dataset)
    same = [other for other in map(load_card, params["datasets"]) if _is_like(card, other)]
    return [other.name for other in same if _classes(other.name) == _classes(dataset)]


def _is_like(card: Card, other: Card) -> bool:
    with_sound = card.has_sound and other.has_sound
    return with_sound and card.task == other.task and not overlap(card, other)


def _classes(dataset: str) -> list[str]:
    return manifest.classes_of(manifest.read(dataset))


def _same_features(input_name: str, one: Card, other: Card, params: dict[str, Any]) -> bool:
    """Whether the features of two datasets of a task are of the same kind: a summary is of a window or a recording."""
    first, second = (inputs.build(input_name, params, card.task, card.clips) for card in (one, other))
    return inputs.recipe(input_name, first) == inputs.recipe(input_name, second)


def evaluate_all(card: Card, on: list[str], params: dict[str, Any], workers: int) -> list[pd.DataFrame]:
    """Evaluate every experiment on every dataset in `on`, in parallel; print which can't be."""
    todo = []
    for other, experiment in itertools.product(on, experiments_of(params)):
        if _same_features(experiment.input, card, load_card(other), params):
            todo.append((card.name, other, experiment, params["wirings"][0]))
        else:
            print(
                f"{card.label}: {experiment.name} is not tested on {other}, since {experiment.input} is of windows for "
                "one of them and of whole recordings for the other; `by_window: true` in a card makes it windows"
            )
    with pools.spread(workers, "earshot.batches.prepare", "earshot.trained.predict") as pool:
        return list(each(pool, evaluate_on, todo, card.label))
