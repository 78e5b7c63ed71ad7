"""Statistics of mel-frequency cepstral coefficients, what timbre was told by before networks learnt it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from earshot.inputs.per_window import PerWindow


@dataclass(frozen=True)
class Mfcc(PerWindow):
    """How a window's MFCC lie and move: shape (T, F), T windows, F = 3 n_mfcc.

    Of each of the first `n_mfcc` coefficients of the log-mel spectrum (`earshot.inputs.log_mel`; Davis and Mermelstein
    1980): the mean over a window's frames, the standard deviation, and that of the differences from one frame to the
    next. So timbre, its variety, and how fast it changes (means and variances as in Tzanetakis and Cook 2002).
    `n_fft` and `hop_length` are samples; `length` and `hop` are the windows' in seconds.
    """

    sample_rate: int
    n_mels: int
    n_fft: int
    hop_length: int
    n_mfcc: int
    length: float
    hop: float | None

    def __post_init__(self) -> None:
        """Check the settings; a ValueError says which is wrong."""
        super().__post_init__()
        if min(self.n_fft, self.hop_length) < 1 or not 1 <= self.n_mfcc <= self.n_mels:
            raise ValueError("n_fft and hop_length must be above 0, and n_mfcc from 1 to n_mels")
        if self.length * self.sample_rate < self.n_fft + self.hop_length:
            raise ValueError(f"a window of {self.length:g} s has fewer than two frames of {self.n_fft} samples")

    @property
    def columns(self) -> list[str]:
        """Names of the statistics."""
        names = [f"mfcc{number}" for number in range(1, self.n_mfcc + 1)]
        return [name + what for what in ("_mean", "_std", "_delta_std") for name in names]

    def of_window(self, samples: np.ndarray) -> np.ndarray:
        """Compute a window's row: (samples,) -> (1, F), float32."""
        import scipy.fft  # where it is needed: a training takes rows from a file

        from earshot.inputs.log_mel import LogMel

        levels = LogMel(self.sample_rate, self.n_mels, self.n_fft, self.hop_length).extract(samples)
        mfcc = scipy.fft.dct(levels, type=2, norm="ortho", axis=1)[:, : self.n_mfcc].astype(np.float64)
        return np.concatenate([mfcc.mean(0), mfcc.std(0), np.diff(mfcc, axis=0).std(0)])[None].astype(np.float32)
