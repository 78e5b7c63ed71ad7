"""The summary's row as torch computes it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.fft
import torch
from torch import nn
from torch.nn import functional

from earshot.audio import spectrum
from earshot.deploy.onnx.layers import MelDecibels, PowerSpectrum, frames_of
from earshot.deploy.onnx.tuning import TUNINGS, Tuning
from earshot.inputs import Summary, librosa_features

SILENT = float(librosa_features.SILENT)


class SummaryRows(nn.Module):
    """`Summary.extract`: (B, samples) -> (B, 1, F)."""

    def __init__(self, built: Summary):
        super().__init__()
        self.built = built
        self.length = round(built.length * built.sample_rate)
        n_bins = built.n_fft // 2 + 1
        self.register_buffer("window", torch.from_numpy(spectrum.hann(built.n_fft, np.float32)))
        self.register_buffer("frequency", torch.from_numpy(librosa_features.frequencies(n_bins, built.sample_rate)))
        self.power = PowerSpectrum(built.n_fft, torch.float32)
        self.tuning = Tuning(built.sample_rate, n_bins)
        pitch_classes = [
            librosa_features.pitch_classes(built.sample_rate, built.n_fft, float(tuning)) for tuning in TUNINGS
        ]
        self.register_buffer("pitch_classes", torch.from_numpy(np.stack(pitch_classes)))
        self.decibels = MelDecibels(built.sample_rate, built.n_fft, librosa_features.N_MELS)
        cepstrum = scipy.fft.dct(np.eye(librosa_features.N_MELS, dtype=np.float32), type=2, norm="ortho", axis=1)
        self.register_buffer("cepstrum", torch.from_numpy(cepstrum[:, : built.n_mfcc].copy()))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the row."""
        if self.built.hop is None:
            # torch would keep in the graph what a slice does with the clip that it is exported with: nothing
            samples = samples.narrow(1, 0, torch.tensor(samples.shape[1]).clamp_max(self.length).item())
        over_time = list(self._over_time(samples))
        parts = [values.mean(dim=1) for values in over_time]
        parts += [values.var(dim=1, correction=0) for values in over_time if self.built.variances]
        return torch.cat(parts, dim=1)[:, None]

    def _over_time(self, samples: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the features' values as `Summary._over_time` does: (B, values over time, features)."""
        frames = frames_of(self._padded(samples), self.built.n_fft, self.built.hop_length)
        power = self.power(frames * self.window)
        magnitude = power.sqrt()
        yield self._chroma(power).flatten(1)[..., None]
        yield frames.square().mean(dim=-1, keepdim=True).sqrt()
        total = _or_one(magnitude.sum(dim=-1, keepdim=True))
        centroid = (magnitude * self.frequency).sum(dim=-1, keepdim=True) / total
        yield centroid
        for order in self.built.bandwidth_orders:
            moment = (magnitude * (self.frequency - centroid).abs() ** order).sum(dim=-1, keepdim=True)
            yield (moment / total) ** (1 / order)
        yield self._rolloff(magnitude)
        yield self._zero_crossing_rate(samples)
        level = self.decibels(power)
        yield torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - librosa_features.FLOOR_DB) @ self.cepstrum

    def _chroma(self, power: torch.Tensor) -> torch.Tensor:
        strength = power @ self.pitch_classes.index_select(0, self.tuning(power))
        return strength / _or_one(strength.amax(dim=-1, keepdim=True))

    def _rolloff(self, magnitude: torch.Tensor) -> torch.Tensor:
        reached = magnitude.cumsum(dim=-1)
        below = reached < self.built.roll_percent * reached[..., -1:]
        return self.frequency[below.sum(dim=-1, keepdim=True)]

    def _zero_crossing_rate(self, samples: torch.Tensor) -> torch.Tensor:
        negative = samples < -float(librosa_features.CROSSING)
        crossings = self._padded((negative[:, 1:] != negative[:, :-1]).float())
        # one sample less than a frame: what happened before its first one is not its own
        n = self.built.n_fft - 1
        return functional.avg_pool1d(crossings, n, self.built.hop_length)[..., None] * (n / self.built.n_fft)

    def _padded(self, values: torch.Tensor) -> torch.Tensor:
        half = self.built.n_fft // 2
        return functional.pad(values, (half, half))


def _or_one(values: torch.Tensor) -> torch.Tensor:
    """Return values to divide by: one where there is silence."""
    return torch.where(values < SILENT, 1, values)
