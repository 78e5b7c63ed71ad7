"""What a model costs: seconds of compute for an hour of sound, on one core of this machine.

Times differ from run to run, so they are no output of a stage: `earshot cost` writes them to a file of their own, and
the report shows what is in it.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from earshot import files, project
from earshot.datasets.card import Card, load_card
from earshot.datasets.experiments import experiments_on
from earshot.errors import EarshotError
from earshot.settings import Experiment, window_of

WINDOWS = 16  # at a time
REPEATS = 3  # of which the fastest counts: what else the machine does only adds
HOUR = 3600


def seconds_per_hour(dataset: str, experiment: Experiment, wiring: str, window: dict[str, float]) -> float:
    """Return the seconds that a model takes for an hour of sound, from samples at its rate to probabilities.

    Parameters
    ----------
    wiring : as in params.yaml; of the grouped models one is timed, they are alike
    window : length and hop in seconds, of the windows that an hour is cut into
    """
    import threadpoolctl
    import torch

    from earshot.trained import predict
    from earshot.trained.model_folder import grouped_models, input_of

    torch.set_num_threads(1)
    model = next(grouped_models(dataset, experiment.name, wiring), None)
    if model is None:
        raise EarshotError(f"{project.models(dataset, experiment.name)} holds no grouped model. Run `dvc repro`")
    built = input_of(model.settings)
    length = getattr(built, "length", None) or window["length"]
    samples = 0.1 * np.random.default_rng(0).standard_normal((WINDOWS, round(length * built.sample_rate)))
    samples = samples.astype(np.float32)
    with threadpoolctl.threadpool_limits(1):
        predict.of_samples(model.settings, model.net, samples)  # what is imported or prepared once is no cost
        taken = [_timed(model, samples) for _ in range(REPEATS)]
    hop = window["hop"] if getattr(built, "hop", window["hop"]) is not None else length
    return min(taken) / WINDOWS * HOUR / hop


def _timed(model: Any, samples: np.ndarray) -> float:
    from earshot.trained import predict

    begun = time.perf_counter()
    predict.of_samples(model.settings, model.net, samples)
    return time.perf_counter() - begun


def measure(card: Card, params: dict[str, Any]) -> dict[str, float]:
    """Measure every experiment on a dataset, one after the other; return and keep seconds by experiment."""
    window = dict(window_of(params["windows"], card.task))
    found = {
        experiment.name: float(f"{seconds_per_hour(card.name, experiment, params['wirings'][0], window):.3g}")
        for experiment in experiments_on(card, params)
    }
    path = project.cost()
    files.write_json(path, (files.read_json(path) if path.exists() else {}) | {card.name: found})
    return found


def measurable(names: list[str]) -> list[Card]:
    """Return the cards of those datasets that have models on sound."""
    return [card for card in map(load_card, names) if card.has_sound and not card.test_only]
