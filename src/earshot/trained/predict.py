"""Trained weights and windows in, probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from earshot.metrics import calibration, labels
from earshot.models import heads
from earshot.trained.model_folder import input_of

if TYPE_CHECKING:
    from earshot.batches.windows import Windows

RUN = ["protocol", "wiring", "seed", "fold"]  # what tells the runs of an experiment apart
BATCH_SIZE = 32  # changes nothing but memory


def is_multi_label(settings: dict[str, Any]) -> bool:
    """Tell whether a trained model predicts sets of classes."""
    return "thresholds" in settings


def probabilities(settings: dict[str, Any], net: nn.Module, windows: Windows) -> np.ndarray:
    """Return the probability of each class for each window: float32, shape (windows, classes)."""
    multi_label = is_multi_label(settings)
    return np.concatenate([of_batch(net, x, multi_label) for x in windows.batches(BATCH_SIZE)])


def of_samples(settings: dict[str, Any], net: nn.Module, samples: np.ndarray) -> np.ndarray:
    """Return the probability of each class for windows of sound, calibrated where the model has a calibration.

    Parameters
    ----------
    settings : of the trained model
    net : the model, see `restore`
    samples : shape (windows, samples); mono at the input's sample rate, full scale 1

    Returns
    -------
    float32, shape (windows, classes)
    """
    return _of_samples(settings, net, samples)


def of_frames(settings: dict[str, Any], net: nn.Module, samples: np.ndarray) -> np.ndarray:
    """Return the probability of each class for the frames of windows of sound, of a model that has frames.

    Parameters
    ----------
    settings, net, samples : see `of_samples`; windows may be of any length

    Returns
    -------
    float32, shape (windows, frames, classes)
    """
    *before, model = net.children()
    found = _of_samples(settings, nn.Sequential(*before, _ByFrame(model)), samples)
    return found.reshape(len(samples), -1, found.shape[-1])


class _ByFrame(nn.Module):
    """The frames of a batch, each by itself: (B, T, F) -> (B * T', outputs)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model.frames(x).flatten(0, 1)
        return logits


def _of_samples(settings: dict[str, Any], net: nn.Module, samples: np.ndarray) -> np.ndarray:
    built = input_of(settings)
    at_once = getattr(built, "extract_windows", lambda each: np.stack([built.extract(window) for window in each]))
    rows = at_once(samples)
    multi_label = is_multi_label(settings)
    found = of_batch(net, built.finish(torch.from_numpy(rows)), multi_label)
    return calibration.applied(settings.get("calibration"), found, multi_label)


def named(settings: dict[str, Any], probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Return the predicted class and the probability of each class as columns: predicted, and p_CLASS for each.

    A multi-label model predicts the classes that reach their `thresholds`, as a set (see `metrics.labels`).
    """
    classes = settings["classes"]
    columns = {f"p_{name}": probabilities[:, number] for number, name in enumerate(classes)}
    if is_multi_label(settings):
        predicted = labels.from_multi_hot(probabilities >= np.float32(settings["thresholds"]), classes)
    else:
        predicted = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    return {"predicted": predicted, **columns}


@torch.inference_mode()
def of_batch(net: nn.Module, x: torch.Tensor, multi_label: bool = False) -> np.ndarray:
    """Return the probability of each class for a batch of windows as a model is given them."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return heads.probabilities(net.to(device)(x.to(device)), multi_label).cpu().numpy()


def table(settings: dict[str, Any], windows: Windows, probabilities: np.ndarray) -> pd.DataFrame:
    """Return a row for each window.

    Returns
    -------
    Columns protocol, wiring, seed, fold, recording, group, start, seconds, label, predicted, and the probability
    of each class as p_CLASS (float32)
    """
    frame = windows.table[["recording", "group", "start", "seconds", "label"]].reset_index(drop=True)
    frame = frame.assign(**named(settings, probabilities))
    for number, key in enumerate(RUN):
        frame.insert(number, key, settings[key])
    return frame
