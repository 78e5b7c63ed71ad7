"""Trained models as earshot 0.1 wrote them, read as they are written today."""

from __future__ import annotations

import re
from typing import Any

import torch

from earshot.settings import FORMER_WIRINGS

MODELS = {
    "ann": "earshot.models.ann.ANN",
    "cnn": "earshot.models.cnn.CNN",
    "lstm": "earshot.models.lstm.LSTM",
}
INPUTS = {
    "summary": "earshot.inputs.summary.Summary",
    "waveform": "earshot.inputs.waveform.Waveform",
    "log_spectrogram": "earshot.inputs.log_spectrogram.LogSpectrogram",
    "log_mel": "earshot.inputs.log_mel.LogMel",
}
Weights = dict[str, torch.Tensor]


def updated(settings: dict[str, Any], weights: Weights) -> tuple[dict[str, Any], Weights]:
    """Return a model's settings and weights under today's names.

    Then `model.network` and the input's name told the class, the wirings had other names, and the CNN's last
    convolution stood apart from the others.
    """
    try:
        model, source = dict(settings["model"]), dict(settings["input"])
    except (KeyError, TypeError, ValueError):
        return settings, weights  # no model's, which whoever uses them says
    if "network" not in model:
        return settings, weights
    model = {"_target_": MODELS.get(model["network"]), **model}
    del model["network"]
    source = {"_target_": INPUTS.get(source.get("input", "")), **source}
    settings = settings | {"model": _rewired(model), "input": source}
    return _rewired(settings), _renamed(weights)


def _rewired(settings: dict[str, Any]) -> dict[str, Any]:
    wiring = settings.get("wiring")
    return settings | {"wiring": FORMER_WIRINGS[wiring]} if wiring in FORMER_WIRINGS else settings


def _renamed(weights: Weights) -> Weights:
    before = len([name for name in weights if re.fullmatch(r"model\.convolutions\.\d+\.weight", name)])
    last = ("model.last.convolution.", f"model.convolutions.{before}.")
    return {name.replace(*last): value for name, value in weights.items()}
