"""What a detector needs besides its weights, from the validation part: a calibration, and an operating point.

Both are for the grouped protocol alone. Under the published one the validation windows are those of the test.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from omegaconf import DictConfig, OmegaConf

from earshot.batches.prepare import Data
from earshot.datasets import manifest
from earshot.detection.detector import step_of
from earshot.metrics import calibration, classification, labels
from earshot.schema.params import Budget
from earshot.soundscapes import asked as asked_of
from earshot.soundscapes import of_part, operating_point
from earshot.trained import model_folder, predict
from earshot.training.fit import Trained

SECTIONS = ("calibration", "events", "operating_point")  # of params.yaml


def asked(cfg: DictConfig, data: Data) -> dict[str, Any]:
    """Return what params.yaml asks for a run: of `SECTIONS` those that change its model."""
    everything = OmegaConf.to_container(cfg, resolve=True)
    found = {name: (everything.get(name) or {}).get(data.card.task) for name in SECTIONS}
    if cfg.protocol != "grouped" or not data.card.has_sound:
        return {}
    if found["operating_point"] and asked_of.why_not(data.card, found["events"], manifest.read(data.card.name)):
        found["operating_point"] = None
    wanted = {"calibration": ["calibration"], "operating_point": ["events", "operating_point"]}
    return {name: found[name] for key, names in wanted.items() if found[key] for name in names}


def added(cfg: DictConfig, data: Data, trained: Trained) -> Trained:
    """Return a trained model with the calibration and the operating point that are asked for.

    Raises
    ------
    EarshotError
        If no soundscape can be mixed from the validation part.
    """
    wanted, settings = asked(cfg, data), dict(trained.settings)
    if method := wanted.get("calibration"):
        settings["calibration"] = _calibration(method, trained)
    if budget := wanted.get("operating_point"):
        setting = wanted["events"]
        net = model_folder.restore(settings, trained.weights)
        heard = of_part.heard(data.card, OmegaConf.to_container(cfg, resolve=True), settings, net, "validation")
        kept, step = Budget(**budget), step_of(settings, setting["step"])
        settings["operating_point"] = operating_point.point(
            heard, setting["alarm"], step, kept.max_false_alarms_per_hour, kept.margin
        )
    return dataclasses.replace(trained, settings=settings)


def _calibration(method: str, trained: Trained) -> dict[str, Any]:
    frame, classes = trained.validation, trained.settings["classes"]
    probabilities = frame[[classification.PROBABILITY + name for name in classes]].to_numpy()
    true = labels.multi_hot(frame["label"], classes)
    return calibration.fit(method, probabilities, true, predict.is_multi_label(trained.settings))
