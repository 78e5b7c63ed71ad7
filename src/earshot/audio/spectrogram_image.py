"""A spectrogram as a bare image: a pixel for each frequency of each frame."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
from PIL import Image


def spectrogram_image(level: np.ndarray, darkest: float, brightest: float, format: str = "png") -> bytes:
    """Return levels as an image in the colours of matplotlib's inferno.

    Parameters
    ----------
    level : in dB, shape (T, F); time goes to the right and frequency up
    darkest, brightest : the levels in dB of the two ends of the colours; beyond them a colour stays what it is
    format : `png`, with a palette, or `jpeg`
    """
    shades = np.clip((level.T[::-1] - darkest) / (brightest - darkest), 0, 1)
    image = Image.fromarray(np.uint8(255 * shades))
    image.putpalette(matplotlib.colormaps["inferno"](np.arange(256), bytes=True)[:, :3].tobytes())
    buffer = io.BytesIO()
    (image if format == "png" else image.convert("RGB")).save(buffer, format)
    return buffer.getvalue()
