"""The genre tutorial's spectral features, averaged over a stretch of sound."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from earshot import windows

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Summary:
    """Means over time of librosa's spectral features: shape (T, F), T windows, F features.

    With 20 MFCC and bandwidth of order 2 these are the tutorial's 26 columns. `variances` adds a column
    `NAME_var` for each. `length` and `hop` are the windows' in seconds; where `hop` is None a recording is one
    window: its first `length` seconds.
    """

    sample_rate: int
    n_fft: int
    hop_length: int
    roll_percent: float
    n_mfcc: int
    bandwidth_orders: tuple[int, ...]
    variances: bool
    length: float
    hop: float | None

    standardised: ClassVar[bool] = True

    def __post_init__(self):
        object.__setattr__(self, "bandwidth_orders", tuple(self.bandwidth_orders))

    @property
    def columns(self) -> list[str]:
        """Names of the features, in the tutorial's order."""
        bandwidths = ["spectral_bandwidth" + (f"_{p}" if p != 2 else "") for p in self.bandwidth_orders]
        names = ["chroma_stft", "rms", "spectral_centroid", *bandwidths, "rolloff", "zero_crossing_rate"]
        names += [f"mfcc{number}" for number in range(1, self.n_mfcc + 1)]
        return names + [f"{name}_var" for name in names if self.variances]

    def extract(self, samples: np.ndarray) -> np.ndarray:
        """Summarise a recording's windows: float32, shape (T, F)."""
        n = round(self.length * self.sample_rate)
        if self.hop is None:
            return self._summarise(samples[:n])[None]
        firsts = windows.starts(0, len(samples) / self.sample_rate, self.length, self.hop)
        offsets = np.rint(firsts * self.sample_rate).astype(int)
        return np.stack([self._summarise(samples[offset : offset + n]) for offset in offsets])

    def _summarise(self, samples: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            # a window without any pitch is no fault; librosa takes its tuning as 0 then
            warnings.filterwarnings("ignore", message="Trying to estimate tuning from empty")
            over_time = list(self._over_time(samples))
        parts = [values.mean(axis=1) for values in over_time]
        parts += [values.var(axis=1) for values in over_time if self.variances]
        return np.concatenate(parts).astype(np.float32)

    def _over_time(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the features' values, shape (features, values over time), from one short-time Fourier transform.

        Chroma is one feature: its values are those of all pitch classes.
        """
        import librosa
        from librosa import feature

        frames = {"hop_length": self.hop_length}
        magnitude = np.abs(librosa.stft(samples, n_fft=self.n_fft, hop_length=self.hop_length))
        power = magnitude**2
        spectrum = {"S": magnitude, "sr": self.sample_rate}
        yield feature.chroma_stft(S=power, sr=self.sample_rate).reshape(1, -1)
        yield feature.rms(y=samples, frame_length=self.n_fft, **frames)
        yield feature.spectral_centroid(**spectrum)
        for order in self.bandwidth_orders:
            yield feature.spectral_bandwidth(**spectrum, p=order)
        yield feature.spectral_rolloff(**spectrum, roll_percent=self.roll_percent)
        yield feature.zero_crossing_rate(samples, frame_length=self.n_fft, **frames)
        mel = librosa.power_to_db(feature.melspectrogram(S=power, sr=self.sample_rate))
        yield feature.mfcc(S=mel, n_mfcc=self.n_mfcc)

    def first_row(self, start: float) -> float:
        """Return the window that begins at `start` seconds."""
        return 0.0 if self.hop is None else start / self.hop

    def n_rows(self, length: float) -> int:
        """Return 1: a window is one row."""
        return 1

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the batch as it is."""
        return batch
