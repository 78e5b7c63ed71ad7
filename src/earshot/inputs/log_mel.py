"""The log-mel spectrogram, for music and sirens alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from earshot.inputs.frames import OverTime


@dataclass(frozen=True)
class LogMel(OverTime):
    """Mel spectrogram in dB: shape (T, F), T frames, F = n_mels bands.

    librosa's `melspectrogram` (Hann window, Slaney's mel scale and norm, power) of frames that lie wholly in
    the recording (`center=False`), then `power_to_db` with reference 1 and no floor below the loudest frame:
    a floor would make a window depend on the rest of its recording.
    """

    sample_rate: int
    n_mels: int
    n_fft: int
    hop_length: int

    standardised: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the settings; a ValueError says which is wrong."""
        super().__post_init__()
        if self.n_mels < 1:
            raise ValueError(f"n_mels is {self.n_mels}, and must be 1 or more")

    @property
    def frame_length(self) -> int:
        """Samples that a frame sees."""
        return self.n_fft

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the log-mel spectrogram of a stretch of sound: float32, shape (T, F), in dB."""
        from earshot.audio import spectrum  # where it is needed: a training takes rows from a file

        # float64 up to the transform, as in librosa: bands a hundred decibels below the loudest are still right
        frames = spectrum.windowed(samples, spectrum.hann(self.n_fft, np.float64), self.hop_length)
        power = np.square(spectrum.magnitude(frames))
        return spectrum.decibels(spectrum.mel(power, self.sample_rate, self.n_fft, self.n_mels))
