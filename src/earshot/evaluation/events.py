"""Events in soundscapes of the test parts: what the grouped protocol's models find, miss and falsely find.

Each model is asked with the default rule and, where it has one, at its operating point, which was chosen on a
soundscape of its validation part.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from earshot.datasets.card import Card
from earshot.metrics import event_rates
from earshot.metrics.psds import PSDS1, PSDS2, Psds, area, counts, curve
from earshot.settings import Experiment, experiments_of

RUN = ["input", "model", "seed", "fold"]
POINTS = ("default", "chosen")
JUDGED = [*RUN, "point", *event_rates.COLUMNS]
SCORES = {"psds1": PSDS1, "psds2": PSDS2}
PSDS_COLUMNS = [*RUN, *SCORES, *(f"{name}_resampled" for name in SCORES), "operating_point"]
RESAMPLES = 200  # of the clips


def score(dataset: str, experiment: Experiment, fold: int, wiring: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Have the models of one experiment and fold, one for each seed, hear the soundscape of their test part.

    Returns
    -------
    judged : columns `JUDGED`; events for each run and point
    scores : columns `PSDS_COLUMNS`; a row for each run
    """
    import torch

    from earshot.datasets.card import load_card
    from earshot.detection.detector import step_of
    from earshot.detection.rule import Rule
    from earshot.evaluation.logged import log_events
    from earshot.settings import read_params
    from earshot.soundscapes import of_part
    from earshot.soundscapes.operating_point import events_by
    from earshot.trained.model_folder import grouped_models

    torch.set_num_threads(1)
    params, card = read_params(), load_card(dataset)
    judged, scores = [], []
    for trained in grouped_models(dataset, experiment.name, wiring, fold):
        step = step_of(trained.settings, params["events"][card.task]["step"])
        heard = of_part.heard(card, params, trained.settings, trained.net, "test")
        run = {"input": experiment.input, "model": experiment.model, **trained.run}
        point = trained.settings.get("operating_point")
        rules = {POINTS[0]: Rule()} | ({POINTS[1]: Rule(**point["rule"])} if point else {})
        for name, rule in rules.items():
            found = event_rates.table(heard.events, events_by(rule, heard, step), heard.background)
            judged.append(found.assign(**run, point=name))
        scores.append({**run, **_psds(heard.by_clip(), fold), "operating_point": point and json.dumps(point)})
        log_events(trained, card.task, judged[-1], scores[-1])
    return pd.concat(judged, ignore_index=True)[JUDGED], pd.DataFrame(scores)[PSDS_COLUMNS]


def _psds(clips: list[Any], fold: int) -> dict[str, Any]:
    """Return both PSDS, and their values over clips that were drawn with replacement, alike for a fold's models."""
    rng = np.random.default_rng(fold)
    times = [np.bincount(rng.integers(len(clips), size=len(clips)), minlength=len(clips)) for _ in range(RESAMPLES)]
    found: dict[str, Any] = {}
    for name, setting in SCORES.items():
        counted = counts(clips, 0, setting)
        values = [_area(counted, clips, setting, drawn) for drawn in [None, *times]]
        found |= {name: values[0], f"{name}_resampled": [round(value, 6) for value in values[1:]]}
    return found


def _area(counted: Any, clips: list[Any], setting: Psds, times: np.ndarray | None) -> float:
    return area([curve(counted, 0, clips, setting, times)], setting)


def jobs(card: Card, params: dict[str, Any], folds: list[int]) -> list[tuple[str, Experiment, int, str]]:
    """List the arguments of `score`: for each experiment whose input is asked for, and each fold."""
    asked = params["events"][card.task]["inputs"]
    return [
        (card.name, experiment, fold, params["wirings"][0])
        for experiment in experiments_of(params)
        if experiment.input in asked
        for fold in folds
    ]
