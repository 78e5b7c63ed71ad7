"""The genre tutorial's spectral features, averaged over a stretch of sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from earshot.inputs.per_window import PerWindow


@dataclass(frozen=True)
class Summary(PerWindow):
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

    def __post_init__(self) -> None:
        """Check the settings; a ValueError says which is wrong."""
        super().__post_init__()
        object.__setattr__(self, "bandwidth_orders", tuple(self.bandwidth_orders))
        if min(self.n_fft, self.hop_length, self.n_mfcc, *self.bandwidth_orders) < 1:
            raise ValueError("n_fft, hop_length, n_mfcc and bandwidth_orders must be above 0")
        if not 0 < self.roll_percent <= 1:
            raise ValueError(f"roll_percent is {self.roll_percent}, and must be a share above 0, such as 0.85")

    @property
    def columns(self) -> list[str]:
        """Names of the features, in the tutorial's order."""
        bandwidths = ["spectral_bandwidth" + (f"_{p}" if p != 2 else "") for p in self.bandwidth_orders]
        names = ["chroma_stft", "rms", "spectral_centroid", *bandwidths, "rolloff", "zero_crossing_rate"]
        names += [f"mfcc{number}" for number in range(1, self.n_mfcc + 1)]
        return names + [f"{name}_var" for name in names if self.variances]

    def of_window(self, samples: np.ndarray) -> np.ndarray:
        """Summarise a window: (samples,) -> (1, F), float32."""
        over_time = list(self._over_time(samples))
        parts = [values.mean(axis=1) for values in over_time]
        parts += [values.var(axis=1) for values in over_time if self.variances]
        return np.concatenate(parts).astype(np.float32)[None]

    def _over_time(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the features' values, shape (features, values over time).

        Chroma is one feature: its values are those of all pitch classes.
        """
        from earshot.audio import spectrum  # where they are needed: a training takes rows from a file
        from earshot.inputs import librosa_features

        spectra = spectrum.centred(samples, self.n_fft, self.hop_length)
        power, pitch, height, mel, *by_frequency = map(np.concatenate, zip(*map(self._of_frames, spectra), strict=True))
        tuning = librosa_features.tuning(pitch, height)
        yield librosa_features.chroma(power, self.sample_rate, self.n_fft, tuning).reshape(1, -1)
        yield librosa_features.rms(samples, self.n_fft, self.hop_length)[None]
        yield from (values[None] for values in by_frequency)
        yield librosa_features.zero_crossing_rate(samples, self.n_fft, self.hop_length)[None]
        yield librosa_features.mfcc(mel, self.n_mfcc)

    def _of_frames(self, magnitude: np.ndarray) -> list[np.ndarray]:
        """Return what is known of some frames by themselves, shape (T, F): all but what needs the whole window."""
        from earshot.audio import spectrum
        from earshot.inputs import librosa_features

        power = np.square(magnitude)
        centroid = librosa_features.centroid(magnitude, self.sample_rate)
        return [
            power,
            *librosa_features.peaks(power, self.sample_rate),
            spectrum.mel(power, self.sample_rate, self.n_fft, librosa_features.N_MELS),
            centroid,
            *(
                librosa_features.bandwidth(magnitude, centroid, self.sample_rate, order)
                for order in self.bandwidth_orders
            ),
            librosa_features.rolloff(magnitude, self.sample_rate, self.roll_percent),
        ]
