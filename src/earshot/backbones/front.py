"""EfficientAT's log-mel spectrogram of many windows, with what they share computed once."""

from __future__ import annotations

import itertools

import torch
from torch.nn import functional

from earshot.efficientat import mel

GROUPS = 8  # of mel bands: filters are narrow, so that each group hears a few bins alone
IN_CACHE = 800  # frames whose spectra stay in a core's cache
BESIDE = mel.N_FFT // 2


class MelFrontEnd(mel.MelFrontEnd):
    """The same numbers as `efficientat.mel.MelFrontEnd`, for prediction alone."""

    def __init__(self) -> None:
        super().__init__()
        ends = torch.linspace(0, mel.N_MELS, GROUPS + 1).long().tolist()
        self.groups = []
        for first, end in itertools.pairwise(ends):
            bins = self.filters[:, first:end].sum(dim=1).nonzero()[:, 0].tolist()
            heard = slice(bins[0], bins[-1] + 1)
            self.groups.append((heard, self.filters[heard, first:end].contiguous()))

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the log-mel spectrogram of each row of samples: (B, n) -> (B, 128, T)."""
        emphasised = samples[:, 1:] - mel.PRE_EMPHASIS * samples[:, :-1]
        return _log(self.bands(_frames(_reflected(emphasised, BESIDE, BESIDE)))).mT

    def over(self, samples: torch.Tensor, n: int, hop: int, gains: torch.Tensor | None = None) -> torch.Tensor:
        """Return those of all windows of `n` samples, one every `hop`, that lie in a sound: (m,) -> (B, 128, T).

        A frame that lies wholly in several windows is computed once; at both ends of a window sound is reflected.

        Parameters
        ----------
        gains : factors by which each window's samples are multiplied, (B,); None: they stay as they are
        """
        emphasised = samples[1:] - mel.PRE_EMPHASIS * samples[:-1]
        windows = emphasised.unfold(0, n - 1, hop)
        first, end = -(-BESIDE // mel.HOP), (n - 1 - BESIDE) // mel.HOP + 1  # of a window's frames, those inside
        shared = self.bands(_frames(emphasised[None, first * mel.HOP - BESIDE :]))[0]
        if gains is None:
            shared = _log(shared)  # before windows share it
        inside = shared.unfold(0, end - first, hop // mel.HOP)[: len(windows)]
        head = _reflected(windows[:, : (first - 1) * mel.HOP + BESIDE], BESIDE, 0)
        tail = _reflected(windows[:, end * mel.HOP - BESIDE :], 0, BESIDE)
        ends = [self.bands(_frames(end)).mT for end in (head, tail)]
        if gains is None:
            return torch.cat([_log(ends[0]), inside, _log(ends[1])], dim=2)
        return _log(torch.cat([ends[0], inside, ends[1]], dim=2).mul_(gains.square()[:, None, None]))

    def bands(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the power of each band: (B, T, 1024) -> (B, T, 128)."""
        few = frames.flatten(0, 1).split(IN_CACHE) if len(frames) == 1 else frames.split(_rows(frames))
        found = torch.cat([self._bands(each) for each in few])
        return found.reshape(*frames.shape[:2], mel.N_MELS)

    def _bands(self, frames: torch.Tensor) -> torch.Tensor:
        spectrum = torch.fft.rfft(frames * self.window)
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.cat([power[..., heard] @ weights for heard, weights in self.groups], dim=-1)


def _log(bands: torch.Tensor) -> torch.Tensor:
    return bands.add_(mel.LEAST).log_().add_(mel.SHIFT).div_(mel.SCALE)


def _rows(frames: torch.Tensor) -> int:
    return max(1, IN_CACHE // frames.shape[1])


def _frames(samples: torch.Tensor) -> torch.Tensor:
    return samples.unfold(1, mel.N_FFT, mel.HOP)


def _reflected(samples: torch.Tensor, before: int, after: int) -> torch.Tensor:
    return functional.pad(samples[:, None], (before, after), mode="reflect")[:, 0]
