"""Robustness to noise: the grouped test parts with street noise, at falling signal-to-noise ratios.

The noise of a fold is the background class of its own test part, so no model was trained on it. The threshold of the
alarm is chosen for each model on its validation part, without noise: for the highest F1, or a budget of false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from earshot import files, project
from earshot.audio.mix import mixed
from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.datasets.reading import reading_of
from earshot.metrics import labels
from earshot.metrics.event_rates import SECONDS_PER_HOUR
from earshot.settings import Experiment, experiments_of, window_of

if TYPE_CHECKING:
    from torch import nn

    from earshot.batches.prepare import Data

COLUMNS = [
    "input",
    "model",
    "seed",
    "fold",
    "snr_db",
    "recording",
    "group",
    "start",
    "seconds",
    "label",
    "score",
    "threshold",
]
CLEAN = np.inf  # dB: no noise
BATCH_SIZE = 256  # windows; affects memory only
MOST_BACKGROUND = 4096  # windows


@dataclass(frozen=True)
class Job:
    """All models of one input and fold."""

    dataset: str
    input: str
    models: tuple[str, ...]
    wiring: str
    fold: int


def draw_noise(table: pd.DataFrame, background: str, seed: list[int]) -> np.ndarray:
    """Draw a background window of another group of the same part for each window: positions, shape (windows,).

    Of more than `MOST_BACKGROUND` background windows it draws from as many, so that time grows with the windows.
    """
    rng = np.random.default_rng(seed)
    groups = table["group"].to_numpy()
    street = np.flatnonzero(table["label"] == background)
    if len(street) > MOST_BACKGROUND:
        street = np.sort(rng.choice(street, MOST_BACKGROUND, replace=False))
    found = []
    for mine in np.array_split(groups, len(groups) // BATCH_SIZE + 1):
        drawn = rng.permuted(np.tile(street, (len(mine), 1)), axis=1)
        other = groups[drawn] != mine[:, None]
        found.append(drawn[np.arange(len(mine)), other.argmax(axis=1)])
    return np.concatenate(found)


def score(job: Job) -> pd.DataFrame:
    """Score the test windows of one fold at every signal-to-noise ratio, with all models of one input."""
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
    setting, hop = cfg.noise[data.card.task], window_of(cfg.windows, data.card.task)["hop"]
    test, validation = prepare.part(cfg, data, "test"), prepare.part(cfg, data, "validation")
    alarm = data.classes.index(setting.alarm)
    nets = []
    for name in job.models:
        for model in grouped_models(job.dataset, Experiment(job.input, name).name, job.wiring, job.fold):
            found = predict.probabilities(model.settings, model.net, validation)[:, alarm]
            chosen = _threshold((validation.labels == alarm).numpy(), found, hop, setting)
            nets.append(({"input": job.input, "model": name, **model.run, "threshold": chosen}, model.net))
    street = draw_noise(test.table, setting.background, [cfg.split.random_state, job.fold])
    frames = []
    with of_windows(data, test.table, reading_of(data.card, cfg.windows)) as sounds:
        for snr_db in [CLEAN, *setting.snr_db]:
            found = _scores(data, sounds, street, snr_db, [net for _, net in nets])
            for scores, (facts, _) in zip(found, nets, strict=True):
                frames.append(test.table.assign(**facts, snr_db=snr_db, score=scores[:, alarm]))
    return pd.concat(frames, ignore_index=True)[COLUMNS]


def _scores(
    data: Data, sounds: Sequence[np.ndarray], street: np.ndarray, snr_db: float, nets: list[nn.Module]
) -> list[np.ndarray]:
    """Return the probabilities of each network for all windows in noise: shape (windows, classes) each."""
    import torch

    from earshot.trained import predict

    scores: list[list[np.ndarray]] = [[] for _ in nets]
    for first in range(0, len(sounds), BATCH_SIZE):
        rows = range(first, min(first + BATCH_SIZE, len(sounds)))
        batch = np.stack([data.input.extract(mixed(sounds[n], sounds[street[n]], snr_db)) for n in rows])
        x = data.input.finish(torch.from_numpy(batch))
        for batches, net in zip(scores, nets, strict=True):
            batches.append(predict.of_batch(net, x))
    return [np.concatenate(batches) for batches in scores]


def _threshold(labels: np.ndarray, scores: np.ndarray, hop: float, setting: Mapping[str, Any]) -> float:
    from earshot.metrics.thresholds import best_threshold, threshold_within  # scikit-learn is not needed before

    if (budget := setting.get("max_false_alarms_per_hour")) is None:
        return best_threshold(labels, scores)
    hours = (~labels).sum() * hop / SECONDS_PER_HOUR
    return threshold_within(labels, scores, budget * hours)


def jobs(dataset: str, params: dict[str, Any], inputs: list[str]) -> list[Job]:
    """List the jobs of a dataset: one for each input and fold."""
    split = files.read_table(project.split(dataset, "grouped"))
    models = {
        name: tuple(experiment.model for experiment in experiments_of(params) if experiment.input == name)
        for name in inputs
    }
    return [
        Job(dataset, name, models[name], params["wirings"][0], int(fold))
        for name in inputs
        if models[name]
        for fold in sorted(split["fold"].unique())
    ]


def setting_for(card: Card, params: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """Return the noise setting of a dataset in params.yaml, or None and the reason why there is nothing to do."""
    if not card.has_sound:
        return None, "no noise: it is a table of features, which no sound can be mixed into"
    setting = params["noise"].get(card.task)
    if card.test_only:
        return None, "no noise: it is for testing alone"
    if not setting or "grouped" not in params["protocols"]:
        return None, "params.yaml sets no noise for it"
    recordings = manifest.read(card.name)
    if labels.are_sets(manifest.by_event_class(recordings)["label"]):
        return None, "no noise: it is measured of single labels alone"
    classes = manifest.classes_of(recordings)
    for key in ("alarm", "background"):
        if setting[key] not in classes:
            return None, f"no noise: noise.{card.task}.{key} in params.yaml is {setting[key]}, classes are {classes}"
    return setting, ""
