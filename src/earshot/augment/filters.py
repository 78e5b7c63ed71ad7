"""Linear filters of samples: rooms, bands, tilts, rates. All of a window's are done by one Fourier transform."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import scipy.fft
import torch

from earshot.augment.draws import Draws
from earshot.augment.level import power
from earshot.augment.settings import Band, Operation, Rate, Room, Tilt

SETTLED = 0.1  # seconds that the responses of bands and tilts may need: silence that follows the window
PASSED = 0.9  # share of the lower rate's band that a resampling leaves alone, as soxr's does
FLAT_BELOW = 50.0  # Hz: down there a tilt goes on no further
PIVOT = 1000.0  # Hz, where a tilt changes nothing
AT_ONCE = 4  # windows whose transforms fit the processor's cache
LEAST = 0.1  # of a window's amplitude that filters must leave, to have its level restored in full


def filtered(x: torch.Tensor, parts: Mapping[str, tuple[Operation, Draws]], sample_rate: int) -> torch.Tensor:
    """Filter windows, (B, T, 1), each by those parts that are drawn for it; their level stays.

    Parameters
    ----------
    parts : the settings and random numbers of room, band, tilt and rate, as far as they are asked for
    """
    longest = max([SETTLED, *(s.rt60[1] for s, _ in parts.values() if isinstance(s, Room))])
    n = 2 * scipy.fft.next_fast_len((x.shape[1] + round(longest * sample_rate) + 1) // 2)
    frequencies = torch.fft.rfftfreq(n, 1 / sample_rate)
    chosen = {name: draws.chosen(len(x), settings.p) for name, (settings, draws) in parts.items()}
    x = x.clone()
    for rows in torch.cat(list(chosen.values())).unique().split(AT_ONCE):
        if len(rows) == 0:  # no window was drawn; a GPU transforms no empty batch
            break
        response = torch.ones(len(rows), len(frequencies))
        for name, (settings, draws) in parts.items():
            of_part = torch.isin(rows, chosen[name])
            if of_part.any():
                found = RESPONSES[name](frequencies, int(of_part.sum()), draws, settings)
                response = response.to(found.dtype) if found.is_complex() else response
                response[of_part] *= found
        rows = rows.to(x.device)
        before = x[rows]
        spectrum = torch.fft.rfft(before[:, :, 0], n).mul_(response.to(x.device))
        after = torch.fft.irfft(spectrum, n)[:, : x.shape[1], None]
        restored = (power(before) / torch.maximum(power(after), LEAST**2 * power(before)).clamp_min(1e-20)).sqrt()
        x[rows] = after * restored
    return x


def room(frequencies: torch.Tensor, n: int, draws: Draws, settings: Room) -> torch.Tensor:
    """Return the responses of rooms: the direct sound, and noise that decays by 60 dB in `rt60` seconds.

    Noise with an exponential decay is the model of Moorer 1979 (Computer Music Journal 3(2)) and Polack 1988.
    """
    size, sample_rate = 2 * (len(frequencies) - 1), 2 * frequencies[-1].item()
    seconds = draws.between(settings.rt60, n, 1)
    below = 10 ** (-draws.between(settings.direct_db, n, 1) / 20)
    time = torch.arange(1, 1 + round(settings.rt60[1] * sample_rate)) / sample_rate
    tail = draws.normal(n, len(time)) * torch.exp(-6.9078 * time / seconds)  # ln 1000: 60 dB
    tail *= below / tail.square().sum(dim=1, keepdim=True).sqrt()
    return torch.fft.rfft(torch.cat([torch.ones(n, 1), tail], dim=1), size)


def band(frequencies: torch.Tensor, n: int, draws: Draws, settings: Band) -> torch.Tensor:
    """Return the magnitudes of Butterworth's high-pass and low-pass of order 4, 24 dB an octave each."""
    low, high = draws.between(settings.low_hz, n, 1), draws.between(settings.high_hz, n, 1)
    return ((1 + _eighth_power(low / frequencies.clamp_min(1.0))) * (1 + _eighth_power(frequencies / high))).rsqrt()


def _eighth_power(x: torch.Tensor) -> torch.Tensor:
    """Return what makes a filter of order 4 of a ratio of frequencies; `**` takes ten times as long."""
    return x.square().square().square()


def tilt(frequencies: torch.Tensor, n: int, draws: Draws, settings: Tilt) -> torch.Tensor:
    """Return magnitudes that change by `db_per_octave`."""
    octaves = torch.log2(frequencies.clamp_min(FLAT_BELOW) / PIVOT)
    return torch.exp(draws.between(settings.db_per_octave, n, 1) * (octaves * math.log(10) / 20))


def rate(frequencies: torch.Tensor, n: int, draws: Draws, settings: Rate) -> torch.Tensor:
    """Return what a resampling to a lower rate and back leaves: all up to `PASSED` of its band, nothing beyond it."""
    edge = draws.between(settings.hz, n, 1) / 2
    within = ((edge - frequencies) / ((1 - PASSED) * edge)).clamp(0, 1)
    return torch.sin(within * torch.pi / 2).square()


RESPONSES: dict[str, Callable[..., torch.Tensor]] = {"band": band, "tilt": tilt, "rate": rate, "room": room}
