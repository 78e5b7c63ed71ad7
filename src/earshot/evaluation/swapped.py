"""Swapped conditions: the grouped test parts, each window as if recorded under the conditions of another class.

Where recording conditions alone tell the classes (the audit's hint), a model may have learnt these. One that still
knows a class when each has the conditions of another has not. The conditions are those of the training part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from earshot import files, project
from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.datasets.reading import reading_of
from earshot.errors import EarshotError
from earshot.evaluation import noise
from earshot.evaluation.conditions import Conditions, swapped, typical
from earshot.evaluation.noise import BATCH_SIZE, Job
from earshot.metrics import labels
from earshot.settings import Experiment, experiments_of, window_of
from earshot.splits.spans import windows_of

COLUMNS = [
    *["input", "model", "seed", "fold", "recording", "group", "start", "seconds", "label"],
    *["conditions_of", "predicted", "as_is"],
]
HINT = 0.5  # of the way from chance to certainty: from there on the conditions alone name the class


def is_hinted(audit: dict[str, Any]) -> bool:
    """Whether the audit has found that conditions alone name the class of unheard groups, more often than not."""
    hint = audit.get("hints", {}).get("label")
    return bool(hint) and hint["balanced_accuracy"] >= hint["chance"] + HINT * (1 - hint["chance"])


def draw_classes(label: np.ndarray, classes: list[str], seed: list[int]) -> np.ndarray:
    """Draw another class for each window, each as likely: text, shape (windows,)."""
    drawn = np.random.default_rng(seed).permuted(np.tile(np.array(classes, dtype=object), (len(label), 1)), axis=1)
    return drawn[np.arange(len(label)), (drawn != label[:, None]).argmax(axis=1)]


def of_training(dataset: str, fold: int, window: dict[str, float]) -> dict[str, Conditions]:
    """Return the typical conditions of each class in the training part of a fold of the grouped protocol."""
    split, described = (
        files.read_table(project.split(dataset, "grouped")),
        files.read_table(project.conditions(dataset)),
    )
    train = split[(split["fold"] == fold) & (split["part"] == "train")].reset_index(drop=True)
    keyed = [table.assign(key=table["start"].round(3)) for table in (windows_of(train, window), described)]
    return typical(keyed[0].merge(keyed[1].drop(columns="start"), on=["recording", "key"]))


def score(job: Job) -> pd.DataFrame:
    """Score the test windows of one fold under swapped conditions, with all models of one input: `COLUMNS`."""
    import torch

    from earshot.batches import prepare
    from earshot.evaluation.sounds import of_windows
    from earshot.settings import compose, override
    from earshot.trained import predict
    from earshot.trained.model_folder import grouped_models

    torch.set_num_threads(1)
    named = [override("dataset", job.dataset), override("input", job.input)]
    cfg = compose([*named, f"fold={job.fold}", "protocol=grouped"])
    data = prepare.load(cfg)
    table = prepare.part(cfg, data, "test").table
    known = of_training(job.dataset, job.fold, dict(window_of(cfg.windows, data.card.task)))
    seed = [cfg.split.random_state, job.fold]
    others = draw_classes(table["label"].to_numpy(), sorted(known), seed)
    nets = [
        (name, model)
        for name in job.models
        for model in grouped_models(job.dataset, Experiment(job.input, name).name, job.wiring, job.fold)
    ]
    found: list[list[np.ndarray]] = [[] for _ in nets]
    rate, label = data.input.sample_rate, table["label"].tolist()
    with of_windows(data, table, reading_of(data.card, cfg.windows)) as sounds:
        for first in range(0, len(sounds), BATCH_SIZE):
            heard = [
                swapped(sounds[n], rate, known[label[n]], known[others[n]], np.random.default_rng([*seed, n]))
                for n in range(first, min(first + BATCH_SIZE, len(sounds)))
            ]
            x = data.input.finish(torch.from_numpy(np.stack([data.input.extract(window) for window in heard])))
            for batches, (_, model) in zip(found, nets, strict=True):
                batches.append(predict.of_batch(model.net, x))
    frames = []
    for batches, (name, model) in zip(found, nets, strict=True):
        predicted = predict.named(model.settings, np.concatenate(batches))["predicted"]
        as_is = _as_is(job, name, model.settings, table)
        _log(data.card, model.digest, table["label"], predicted, as_is)
        facts = {"input": job.input, "model": name, **model.run}
        frames.append(table.assign(**facts, conditions_of=others, predicted=predicted, as_is=as_is))
    return pd.concat(frames, ignore_index=True)[COLUMNS]


def _as_is(job: Job, model: str, settings: dict[str, Any], table: pd.DataFrame) -> np.ndarray:
    """Return what the stage `evaluate` has predicted for the same windows."""
    path = project.predictions(job.dataset, Experiment(job.input, model).name)
    frame = files.read_table(path)
    for key in ("protocol", "wiring", "seed", "fold"):
        frame = frame[frame[key] == settings[key]]
    if frame[["recording", "start"]].to_numpy().tolist() != table[["recording", "start"]].to_numpy().tolist():
        raise EarshotError(f"{path} has other windows than the split's. Run `dvc repro`")
    return frame["predicted"].to_numpy()


def _log(card: Card, digest: str, label: pd.Series, predicted: np.ndarray, as_is: np.ndarray) -> None:
    from earshot.tracking import logger

    accuracy, before = (float((label.to_numpy() == one).mean()) for one in (predicted, as_is))
    with logger.continued(card.task, digest) as run:
        run.metrics({"swapped_accuracy": accuracy, "swapped_drop": before - accuracy})


def jobs(card: Card, params: dict[str, Any]) -> list[Job]:
    """List the jobs of a dataset: one for each input and fold."""
    return noise.jobs(card.name, params, list(dict.fromkeys(each.input for each in experiments_of(params))))


def why_not(card: Card, params: dict[str, Any]) -> str:
    """Return the reason why a dataset's conditions are not swapped; nothing where they are."""
    when = params["swapped"]["when"]
    if card.test_only:
        return "conditions not swapped: it is for testing alone"
    if not card.has_sound:
        return "conditions not swapped: it is a table of features, without sound"
    if when == "never" or "grouped" not in params["protocols"]:
        return "conditions not swapped: params.yaml does not ask for it"
    if labels.are_sets(manifest.by_event_class(manifest.read(card.name))["label"]):
        return "conditions not swapped: that is done with single labels alone"
    if when == "hinted" and not is_hinted(files.read_json(project.audit(card.name))):
        return "conditions not swapped: the audit does not find that they name the class"
    return ""
