"""The spectrogram and the level of each recording of a dataset, made by worker processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import mlab

from earshot import files
from earshot.audio import decode
from earshot.audio.spectrogram_image import spectrogram_image
from earshot.explore.survey import dbfs, survey

# The genre tutorial's transform.
N_FFT = 2048
OVERLAP = 128
RANGE_DB = 80  # from the brightest colour to black
LEAST = 1e-10  # of the power; less is told from silence by no one


def draw(path: Path, out: Path, start: float, channel: decode.Channel = "mix") -> float:
    """Write the spectrogram of 30 s of a recording as a bare picture; return the RMS of all of it in dBFS.

    A pixel is a frequency of a window, the lowest at the bottom, in dB below the highest and matplotlib's inferno.
    """
    found = survey(path, start, channel=channel)
    power, _, _ = mlab.specgram(found.samples, NFFT=N_FFT, Fs=found.sample_rate, noverlap=OVERLAP)
    decibels = 10 * np.log10(np.maximum(power, LEAST))
    decibels = np.maximum(decibels - decibels.max(), -RANGE_DB)
    with files.replacing(out) as temporary:
        temporary.write_bytes(spectrogram_image(decibels.T, -RANGE_DB, 0))
    return dbfs(found.rms)
