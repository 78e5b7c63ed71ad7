"""The level at which a network hears a window: one for all, so that faint and loud recordings look alike to it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch

HIGHEST_GAIN_DB = 40.0  # what is fainter than that below the level is raised by this alone: silence stays silent

Array = TypeVar("Array", np.ndarray, "torch.Tensor")


def gains(mean_square: Array, level: float) -> Array:
    """Return the factors by which windows come to a level.

    Parameters
    ----------
    mean_square : of the samples of each window; full scale is 1
    level : root mean square, in dB below full scale
    """
    faintest: float = 10 ** ((level - HIGHEST_GAIN_DB) / 10)
    return 10 ** (level / 20) / mean_square.clip(min=faintest) ** 0.5


def checked(level: float | None) -> float | None:
    """Return a level.

    Raises
    ------
    ValueError
        If it is no number, or above full scale.
    """
    if level is not None and not -math.inf < level <= 0:
        raise ValueError(f"level is {level}, and must be in dB below full scale, such as -20.0, or null")
    return level
