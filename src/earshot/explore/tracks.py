"""The spectrogram and the level of each recording of a dataset, made by worker processes."""

from __future__ import annotations

from pathlib import Path

import librosa
import matplotlib
import numpy as np
from matplotlib import mlab
from PIL import Image

from earshot import files
from earshot.explore.survey import dbfs, survey

# The genre tutorial's transform.
N_FFT = 2048
OVERLAP = 128
RANGE_DB = 80  # from the brightest colour to black


def draw(path: Path, out: Path) -> float:
    """Write the spectrogram of a recording's first 30 s as a bare picture; return the RMS of all of it in dBFS.

    A pixel is a frequency of a window, the lowest at the bottom, in dB below the highest and matplotlib's inferno.
    """
    found = survey(path)
    power, _, _ = mlab.specgram(found.samples, NFFT=N_FFT, Fs=found.sample_rate, noverlap=OVERLAP)
    decibels = librosa.power_to_db(power, ref=np.max, top_db=RANGE_DB)
    image = Image.fromarray(np.uint8(255 * (1 + decibels[::-1] / RANGE_DB)))
    image.putpalette(matplotlib.colormaps["inferno"](np.arange(256), bytes=True)[:, :3].tobytes())
    with files.replacing(out) as temporary:
        image.save(temporary, format="png")
    return dbfs(found.rms)
