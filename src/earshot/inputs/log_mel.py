"""The log-mel spectrogram, for music and sirens alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LogMel:
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
    columns: ClassVar[None] = None

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Compute the log-mel spectrogram of a whole recording: float32, shape (T, F), in dB."""
        import librosa

        power = librosa.feature.melspectrogram(
            y=samples,
            sr=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mels,
            center=False,
        )
        return librosa.power_to_db(power, top_db=None).T.astype(np.float32)

    def first_row(self, start: float) -> float:
        """Return the frame that begins at `start` seconds."""
        return start * self.sample_rate / self.hop_length

    def n_rows(self, length: float) -> int:
        """Return how many whole frames fit into `length` seconds."""
        return 1 + (round(length * self.sample_rate) - self.n_fft) // self.hop_length

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the batch as it is."""
        return batch
