"""Stage: the grouped protocol's models of one dataset on the others of its task, as they stand."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any

import click
import pandas as pd

from earshot import files, processes, project
from earshot.datasets.card import Card, load_card
from earshot.errors import EarshotError, without_traceback
from earshot.processes import leave_with_parent
from earshot.settings import experiments_of, read_params, window_of
from earshot.splits import spans

FACTS = ["on", "input", "model", "seed", "fold", "recording", "group", "start", "seconds", "label", "predicted"]


def evaluate_on(dataset: str, on: str, input_name: str, model: str, wiring: str) -> pd.DataFrame:
    """Test every model that an experiment made of `dataset` on all windows of the dataset `on`.

    Returns
    -------
    Columns `FACTS` and p_CLASS

    Raises
    ------
    EarshotError
        If the two have other classes or other features.
    """
    import torch

    from earshot.batches import prepare
    from earshot.batches.windows import Windows, windows_in
    from earshot.settings import compose
    from earshot.trained import predict
    from earshot.trained.model_folder import models

    torch.set_num_threads(1)
    cfg = compose([f"dataset={on}", f"input={input_name}", f"model={model}"])
    data = prepare.load(cfg)
    manifest = files.read_table(project.data("manifest", f"{on}.parquet"))
    whole = spans.grouped_spans(data.card, manifest, read_params(), project.data("raw", on))
    cut = windows_in(whole, data.input, window_of(cfg.windows, data.card.task))
    frames = []
    for trained in models(dataset, f"{input_name}-{model}", wiring):
        classes = trained.settings["classes"]
        if classes != data.classes:
            raise EarshotError(f"{dataset} has the classes {', '.join(classes)}, {on} has {', '.join(data.classes)}")
        if trained.settings["input"] != data.recipe:
            raise EarshotError(f"{input_name} of {on} was made with other settings than {dataset}'s models know")
        tested = Windows(data.features, cut, data.input, data.classes)
        found = predict.named(classes, predict.probabilities(trained.net, tested))
        frames.append(cut.assign(on=on, input=input_name, model=model, **trained.run, **found))
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*FACTS, *(name for name in frame.columns if name.startswith("p_"))]]


def same_task(on: str, params: dict[str, Any]) -> list[str]:
    """List the datasets in params.yaml that have the task of `on` and are not it.

    Raises
    ------
    EarshotError
        If there is none.
    """
    task = load_card(on).task
    found = [name for name in params["datasets"] if name != on and load_card(name).task == task]
    if not found:
        raise EarshotError(f"params.yaml's datasets have none of task '{task}' besides {on}: say which one with --of")
    return found


def evaluate_prepared(dataset: str, on: str, params: dict[str, Any], workers: int) -> pd.DataFrame:
    """Make the features that `on` lacks, and evaluate every experiment of `dataset` on it.

    Raises
    ------
    EarshotError
        If `dataset` has no trained models, or a stage fails; what it said stands above.
    """
    card = load_card(dataset)
    if not project.data("models", dataset).is_dir():
        raise EarshotError(f"{project.data('models', dataset)} is missing: there are no models of {dataset} to test")
    made = {("download", on): project.data("raw", on), ("manifest", on): project.data("manifest", f"{on}.parquet")}
    for name, _ in experiments_of(params):
        made["features", on, name] = project.data("features", on, f"{name}.parquet")
    for (stage, *arguments), path in made.items():
        command = [sys.executable, "-m", f"earshot.{stage}", *arguments]
        if not path.exists() and subprocess.run(command, check=False).returncode:
            raise EarshotError(f"{path} can't be made")
    return pd.concat(evaluate_all(card, [on], params, workers), ignore_index=True)


def others(dataset: str, params: dict[str, Any]) -> list[str]:
    """List the other datasets in params.yaml with the same task and the same classes."""
    card = load_card(dataset)
    return [
        name
        for name in params["datasets"]
        if name != dataset and load_card(name).task == card.task and _classes(name) == _classes(dataset)
    ]


def _classes(dataset: str) -> list[str]:
    return spans.classes_of(files.read_table(project.data("manifest", f"{dataset}.parquet")))


def evaluate_all(card: Card, on: list[str], params: dict[str, Any], workers: int) -> list[pd.DataFrame]:
    """Evaluate every experiment on every dataset in `on`, some side by side."""
    todo = [
        (card.name, other, *experiment, params["wirings"][0])
        for other, experiment in itertools.product(on, experiments_of(params))
    ]
    with processes.pool(workers) as pool:
        return list(processes.each(pool, evaluate_on, todo, card.label))


@click.command()
@click.argument("dataset")
@click.option("--workers", type=int, default=os.cpu_count, help="Processes; by default one per core.")
@without_traceback
def main(dataset: str, workers: int) -> None:
    """Write data/elsewhere/DATASET.parquet; empty where no other dataset has the same task and classes."""
    leave_with_parent()
    card, params = load_card(dataset), read_params()
    on = others(dataset, params) if "grouped" in params["protocols"] else []
    frames = evaluate_all(card, on, params, workers)
    found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=FACTS)
    files.write_table(project.data("elsewhere", f"{dataset}.parquet"), found, {"dataset": dataset, "on": on})
    print(f"{card.label}: tested on {', '.join(on) or 'no other dataset'}")


if __name__ == "__main__":
    main()
