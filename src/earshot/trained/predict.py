"""Trained weights and windows in, probabilities out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from earshot import models
from earshot.errors import EarshotError
from earshot.inputs import INPUTS, Input
from earshot.models import heads

if TYPE_CHECKING:
    from earshot.batches.windows import Windows

RUN = ["protocol", "wiring", "seed", "fold"]  # what tells the runs of an experiment apart
BATCH_SIZE = 32  # changes nothing but memory


def restore(settings: dict[str, Any], weights: dict[str, torch.Tensor]) -> nn.Module:
    """Build the model that `settings` (config.json) describes, with its weights, ready to predict."""
    standardised = INPUTS[settings["input"]["input"]].standardised
    net = models.build(settings["model"], standardised, *settings["window_shape"], len(settings["classes"]))
    net.load_state_dict(weights)
    return net.eval()


def input_of(settings: dict[str, Any]) -> Input:
    """Build the input that a model was trained on."""
    chosen = dict(settings["input"])
    return INPUTS[chosen.pop("input")](**chosen)


def folders(place: Path) -> list[Path]:
    """List the folders of an experiment's trained models, data/models/DATASET/INPUT-MODEL/*.

    Raises
    ------
    EarshotError
        If there is none.
    """
    found = sorted(path.parent for path in place.glob("*/config.json"))
    if not found:
        raise EarshotError(f"{place} holds no trained model. Run `dvc repro`")
    return found


def read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read config.json and model.safetensors; nothing is unpickled.

    Raises
    ------
    EarshotError
        If one of them is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise EarshotError(f"{folder} holds no trained model ({error}). Run `dvc repro`") from None


def digest(folder: Path) -> str:
    """Return the sha256 of a trained model's weights."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def probabilities(net: nn.Module, windows: Windows) -> np.ndarray:
    """Return the probability of each class for each window: float32, shape (windows, classes)."""
    return np.concatenate([of_batch(net, x) for x in windows.batches(BATCH_SIZE)])


def of_samples(settings: dict[str, Any], net: nn.Module, samples: np.ndarray) -> np.ndarray:
    """Return the probability of each class for windows of sound.

    Parameters
    ----------
    settings : of the trained model
    net : the model, see `restore`
    samples : shape (windows, samples); mono at the input's sample rate, full scale 1

    Returns
    -------
    float32, shape (windows, classes)
    """
    built = input_of(settings)
    rows = np.stack([built.extract(window) for window in samples])
    return of_batch(net, built.finish(torch.from_numpy(rows)))


def named(classes: list[str], probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Return the predicted class and the probability of each class as columns: predicted, and p_CLASS for each."""
    columns = {f"p_{name}": probabilities[:, number] for number, name in enumerate(classes)}
    return {"predicted": np.array(classes, dtype=object)[probabilities.argmax(axis=1)], **columns}


@torch.inference_mode()
def of_batch(net: nn.Module, x: torch.Tensor) -> np.ndarray:
    """Return the probability of each class for a batch of windows as a model is given them."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return heads.probabilities(net.to(device)(x.to(device))).cpu().numpy()


def table(settings: dict[str, Any], windows: Windows, probabilities: np.ndarray) -> pd.DataFrame:
    """Return a row for each window.

    Returns
    -------
    Columns protocol, wiring, seed, fold, recording, group, start, seconds, label, predicted, and the probability
    of each class as p_CLASS (float32)
    """
    frame = windows.table[["recording", "group", "start", "seconds", "label"]].reset_index(drop=True)
    frame = frame.assign(**named(settings["classes"], probabilities))
    for number, key in enumerate(RUN):
        frame.insert(number, key, settings[key])
    return frame
