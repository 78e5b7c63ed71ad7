"""Scores of frames much shorter than a window, learnt from events at known times, on what a backbone hears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from earshot.efficientat.mel import HOP, SAMPLE_RATE
from earshot.efficientat.mobilenet import STRIDE
from earshot.errors import EarshotError
from earshot.models.mn import MN
from earshot.models.standardiser import Standardiser

KERNEL = 9  # frames that a convolution sees


class Frames(MN):
    """A backbone's frames and convolutions over them: samples (B, T, 1) -> (B, 1) for two classes, else (B, classes).

    The backbone stays as it is. Its last layer has a frame every 0.32 s; it is run `passes` times, each later by the
    same part of these, so that there is one every 0.32 s / `passes`. A frame is what the last layer says, averaged over
    frequency, and, where `members` says which of AudioSet's classes stand for the task's, their logits. Small networks
    alike but for their seed (`Head`) make logits of it, which are averaged, see `frames`; those of a window are the
    mean over its frames. They learn from strong labels, events at known times (`learn`), as in DCASE's task 4
    (Turpault et al. 2019, "Sound Event Detection in Domestic Environments with Weakly Labeled Data and Soundscape
    Synthesis").

    Frame k of a sound is about the time from k to k + 1 times `step`.
    """

    def __init__(
        self,
        n_rows: int,
        n_bins: int,
        n_classes: int,
        *,
        backbone: str,
        width: float,
        members: list[list[int]] | None,
        level: float | None,
        passes: int,
        seconds: float,
        margin: float,
        heads: int,
        units: int,
        dropout: float,
        learning: Mapping[str, Any],
    ) -> None:
        """Take windows of shape (n_rows, n_bins).

        Parameters
        ----------
        backbone, width, members, level : see `MN`; the level is that of what is heard at a time
        passes : frames in 0.32 s, a divisor of 16
        seconds : of a longer sound that are heard at a time
        margin : seconds at both ends of these whose frames are taken from what is heard before or after
        heads : how many small networks are averaged
        units : channels of their convolutions
        dropout : share of their inputs that is dropped in training
        learning : `epochs`, `batch_size` (clips), `lr` (the highest of one cycle), `weight_decay` and
            `gradient_clipping`; the others are of the soundscapes, see `training.strong_labels`

        Raises
        ------
        EarshotError
            If a window is no samples.
        ValueError
            If a setting is wrong.
        """
        if n_bins != 1:
            raise EarshotError("frames takes samples at 32 kHz: use input=waveform_32k")
        super().__init__(
            n_rows,
            n_bins,
            n_classes,
            backbone=backbone,
            width=width,
            members=members,
            threshold=0.5,
            level=level,
            blocks=0,
            lower=1.0,
            dropout=0.0,
        )
        if passes < 1 or STRIDE // 2 % passes:
            raise ValueError(f"passes is {passes}, and must be a divisor of {STRIDE // 2}")
        self.apart = STRIDE // passes  # mel frames from one frame to the next
        self.step = self.apart * HOP / SAMPLE_RATE
        self.seconds, self.margin = (round(round(each / self.step) * self.step, 6) for each in (seconds, margin))
        if self.margin < 0 or self.seconds <= 2 * self.margin:
            raise ValueError(f"seconds is {seconds} and margin {margin}; seconds must be more than twice the margin")
        self.copies, self.learning = None, dict(learning)  # nothing is solved for of windows
        n_features = self.net.n_embedding + sum(map(len, members or []))
        self.standardiser = Standardiser(n_features)
        self.heads = nn.ModuleList(Head(n_features, units, self.n_outputs, dropout) for _ in range(heads))
        self.requires_grad_(False)

    @property
    def grid(self) -> dict[str, float]:
        """The frames' `step`, and the `seconds` that are heard at a time with the `margin` at both ends of them."""
        return {"step": self.step, "seconds": self.seconds, "margin": self.margin}

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the backbone says of each frame: (B, T, 1) -> (B, T', D)."""
        mel = self.log_mel(x)
        mel = functional.pad(mel, (0, -mel.shape[2] % STRIDE))
        # the backbone's first frame is about its first mel frame, and this one about the middle of the first step
        starts = range(self.apart // 2, STRIDE, self.apart)
        heard = [self.net.features(mel[:, None, :, start:]).mean(dim=2) for start in starts]  # (B, D, T' / passes)
        found = torch.stack(heard, dim=3).flatten(2).mT[:, : -(-x.shape[1] // (self.apart * HOP))]
        return torch.cat([found, self.net.classifier(found)], dim=2) if self.members else found

    def of_embedded(self, embedded: torch.Tensor) -> torch.Tensor:
        """Return the logits of frames of which the backbone has said something: (B, T', D) -> (B, T', outputs)."""
        x = self.standardiser(embedded)
        return torch.stack([head(x) for head in self.heads]).mean(dim=0)

    def frames(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of each frame: (B, T, 1) -> (B, T', 1) for two classes, else (B, T', classes)."""
        return self.of_embedded(self.embed(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of windows."""
        return self.frames(x).mean(dim=1)

    def learn(self, embedded: torch.Tensor, classes: torch.Tensor, weights: torch.Tensor, seed: int) -> None:
        """Learn from clips in which each frame's class is known.

        AdamW with the rate of one cycle (Smith and Topin 2019, arXiv:1708.07120); the same clips and seed give the same
        weights.

        Parameters
        ----------
        embedded : of clips, see `embed`, (N, T', D)
        classes : the number of the class of each frame, (N, T'); below 0 where it is not known
        weights : of the frames' losses, (N, T')
        seed : of the weights and of the order of the clips, beside the number of a head
        """
        rows = embedded[classes >= 0]
        self.standardiser.set(rows.mean(dim=0), rows.std(dim=0, correction=0))
        x = self.standardiser(embedded)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            for number, head in enumerate(self.heads):
                torch.manual_seed(seed * len(self.heads) + number)
                self._fit(head, x, classes, weights)

    def _fit(self, head: nn.Module, x: torch.Tensor, classes: torch.Tensor, weights: torch.Tensor) -> None:
        how = self.learning
        for layer in head.modules():
            if isinstance(layer, nn.Linear | nn.Conv1d):
                layer.reset_parameters()
        head.requires_grad_(True).train()
        optimizer = torch.optim.AdamW(head.parameters(), how["lr"], weight_decay=how["weight_decay"])
        steps = how["epochs"] * -(-len(x) // how["batch_size"])
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how["lr"], total_steps=steps + 1)
        for _ in range(how["epochs"]):
            for batch in torch.randperm(len(x)).split(how["batch_size"]):
                optimizer.zero_grad()
                _loss(head(x[batch]), classes[batch], weights[batch]).backward()
                nn.utils.clip_grad_norm_(head.parameters(), how["gradient_clipping"])
                optimizer.step()
                schedule.step()
        head.requires_grad_(False).eval()


class Head(nn.Module):
    """A projection and two residual convolutions over time: (B, T, D) -> (B, T, outputs)."""

    def __init__(self, n_features: int, units: int, n_outputs: int, dropout: float) -> None:
        """Take the sizes, and the share of the inputs of each layer that is dropped in training."""
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.projection = nn.Linear(n_features, units)
        self.convolutions = nn.ModuleList(nn.Conv1d(units, units, KERNEL, padding=KERNEL // 2) for _ in range(2))
        self.output = nn.Linear(units, n_outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        x = functional.gelu(self.projection(self.dropout(x))).mT
        for convolution in self.convolutions:
            x = x + functional.gelu(convolution(self.dropout(x)))
        logits: torch.Tensor = self.output(self.dropout(x.mT))
        return logits


def _loss(logits: torch.Tensor, classes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean of the cross-entropies of frames, (B, T', outputs), whose class is known, (B, T')."""
    known = classes >= 0
    logits, labels, weights = logits[known], classes[known], weights[known]
    if logits.shape[1] == 1:
        binary = functional.binary_cross_entropy_with_logits
        return binary(logits[:, 0], labels.to(logits.dtype), weight=weights, reduction="sum") / weights.sum()
    return (functional.cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum()
