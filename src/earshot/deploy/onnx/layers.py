"""What torch computes inputs with: frames of sound, their power spectra and mel bands in decibels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from earshot.audio import filterbanks


def frames_of(samples: torch.Tensor, length: int, hop: int) -> torch.Tensor:
    """Return the frames of `length` samples, one every `hop`, that lie wholly in each sound: (B, n) -> (B, T, length).

    Put together of blocks, which onnxruntime copies many times faster than single samples.
    """
    block = math.gcd(length, hop)
    whole = samples.shape[1] // block * block
    blocks = samples[:, :whole].reshape(samples.shape[0], -1, block)
    return blocks.unfold(1, length // block, hop // block).transpose(2, 3).flatten(2)


class PowerSpectrum(nn.Module):
    """Squared magnitude of the one-sided Fourier transform of each frame: (B, T, n) -> (B, T, n / 2 + 1).

    One matrix product with all sines would do; two small ones are a tenth of the arithmetic and of the file. They are
    one step of Cooley and Tukey's (https://en.wikipedia.org/wiki/Cooley-Tukey_FFT_algorithm). With n = rows * columns
    and e(t) = exp(-2 pi i t), the sample at columns * r + c as x(r, c), and bins numbered j + rows * k:

        first(j, c) = sum over r of e(r j / rows) x(r, c)
        X(j + rows k) = sum over c of e(c (j + rows k) / n) first(j, c)

    Frames are real: bin n - k has the magnitude of bin k, and j up to rows / 2 is enough.
    """

    def __init__(self, n: int, dtype: torch.dtype):
        """Take a frame's length and the type of what is computed."""
        super().__init__()
        self.rows = max(d for d in range(1, 2 * math.isqrt(n) + 1) if n % d == 0)
        self.columns = n // self.rows
        self.half = self.rows // 2 + 1
        j, r, c, k = (np.arange(size) for size in (self.half, self.rows, self.columns, self.columns))
        over_rows = _turns(np.multiply.outer(j, r), self.rows)
        over_columns = _turns(c[:, None] * (j[:, None, None] + self.rows * k), n)  # (j, c, k)
        real, imaginary = over_columns.real, over_columns.imag
        complex_product = np.block([[real, imaginary], [-imaginary, real]])
        self.register_buffer("first", torch.tensor(np.concatenate([over_rows.real, over_rows.imag])).to(dtype))
        self.register_buffer("second", torch.tensor(complex_product).to(dtype))
        bins = np.arange(n // 2 + 1)
        bins = np.where(bins % self.rows < self.half, bins, n - bins)
        self.register_buffer("place", torch.tensor(bins % self.rows * self.columns + bins // self.rows))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the power in each bin."""
        windows = frames.shape[0]
        found = self.first @ frames.reshape(-1, self.rows, self.columns)  # (B * T, 2 * half, columns)
        found = found.reshape(-1, 2, self.half, self.columns).permute(2, 0, 1, 3)
        found = found.reshape(self.half, -1, 2 * self.columns) @ self.second  # (half, B * T, 2 * columns)
        power = found[..., : self.columns].square() + found[..., self.columns :].square()
        power = power.permute(1, 0, 2).reshape(-1, self.half * self.columns)
        return power.index_select(1, self.place).reshape(windows, -1, len(self.place))


def _turns(part: np.ndarray, whole: int) -> np.ndarray:
    """Return the unit circle's points at `part` / `whole` of a turn backwards."""
    return np.exp(-2j * np.pi * (part % whole) / whole)


class MelDecibels(nn.Module):
    """`spectrum.mel` and `spectrum.decibels`: power of bins, (B, T, F), -> level of mel bands, (B, T, n_mels)."""

    def __init__(self, sample_rate: int, n_fft: int, n_mels: int):
        super().__init__()
        weights = filterbanks.mel(sample_rate, n_fft, n_mels)
        self.register_buffer("weights", torch.from_numpy(weights.T.copy()))

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        """Return the levels in dB."""
        return (power @ self.weights).clamp_min(1e-10).log() * (10 / math.log(10))
