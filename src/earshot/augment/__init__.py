"""Random changes of training windows: levels, rooms, bands, masks, mixup. Torch alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from earshot.augment import settings
from earshot.augment.background import background
from earshot.augment.bands import bands
from earshot.augment.codec import codec
from earshot.augment.draws import Draws
from earshot.augment.filters import RESPONSES, filtered
from earshot.augment.level import gain, turned_down
from earshot.augment.masks import masks
from earshot.augment.mixup import Mixing, mixing
from earshot.augment.shift import shift

__all__ = ["Augmenter", "Mixing", "settings"]
Change = Callable[..., torch.Tensor]  # windows, their random numbers and an operation's settings in, windows out
MASKED = {"time": 1, "frequency": 2}  # the dimension of a batch
ORDER = list(settings.Augmentation.model_fields)  # an operation's number decides its random numbers


def _silence(draws: Draws, n: int) -> torch.Tensor:
    return torch.zeros(n, 1, 1)


class Augmenter:
    """Changes batches of training windows as the config group `augmentation` says.

    What is done to a batch follows from the seed, the epoch and the step.
    """

    def __init__(
        self,
        chosen: settings.Augmentation,
        seed: int,
        sample_rate: int,
        fill: torch.Tensor,
        noise: Callable[[Draws, int], torch.Tensor] = _silence,
        rank: int = 0,
    ):
        """Take the settings, and what operations need to know.

        Parameters
        ----------
        sample_rate : of windows of samples, in Hz
        fill : what masks hide with, (F,): the mean of the training windows
        noise : returns so many windows of background sound, (n, T, 1); where `chosen.background` is set
        rank : of this process among those that train a model together: each has other random numbers
        """
        self.operations, self.mixup, self.seed, self.sample_rate = chosen.operations, chosen.mixup, seed, sample_rate
        self.fill, self.noise, self.places = fill, noise, [rank] if rank else []

    @property
    def mixes(self) -> bool:
        """Whether labels are mixed."""
        return "mixup" in self.operations

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, epoch: int, step: int) -> tuple[torch.Tensor, Mixing | None]:
        """Change a batch of windows, (B, T, F); its labels are mixed as the second value says."""
        place = (self.seed, epoch, step)
        draws = {name: Draws(*place, ORDER.index(name), *self.places) for name in self.operations}
        x = self._changed(x, draws, {"shift": shift, "background": self._background})
        if parts := {name: (self.operations[name], draws[name]) for name in RESPONSES if name in self.operations}:
            x = filtered(x, parts, self.sample_rate)
        x = self._changed(x, draws, {"gain": gain})
        if {"background", "gain", *RESPONSES} & {*self.operations}:
            x = turned_down(x)
        over = {f"{name}_masks": partial(masks, dim=dim, fill=self.fill) for name, dim in MASKED.items()}
        x = self._changed(x, draws, {"codec": codec, "filter": bands, **over})
        if self.mixup is None or not self.mixes:
            return x, None
        mixed = mixing(len(x), draws["mixup"], self.mixup, x.device)
        return mixed.of(x), mixed

    def _changed(self, x: torch.Tensor, draws: dict[str, Draws], changes: dict[str, Change]) -> torch.Tensor:
        """Do some operations one after another, each to those windows of a batch that are drawn for it."""
        for name, change in changes.items():
            if name in self.operations:
                rows = draws[name].chosen(len(x), self.operations[name].p).to(x.device)
                if len(rows) == len(x):
                    x = change(x, draws[name], self.operations[name])
                elif len(rows):
                    x = x.index_copy(0, rows, change(x[rows], draws[name], self.operations[name]))
        return x

    def _background(self, x: torch.Tensor, draws: Draws, chosen: settings.Background) -> torch.Tensor:
        return background(x, self.noise(draws, len(x)).to(x.device), draws, chosen)
