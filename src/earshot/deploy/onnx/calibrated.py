"""Calibration as torch computes it."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from earshot.metrics.calibration import CLIP, METHODS, Calibration


class Calibrated(nn.Module):
    """`calibration.applied`: probabilities (B, C) -> (B, C)."""

    def __init__(self, calibration: Calibration, multi_label: bool):
        """Take the calibration of a model's config.json."""
        super().__init__()
        self.multi_label, self.method = multi_label, calibration["method"]
        if self.method == METHODS[0]:
            self.temperature = float(calibration["temperature"])
            return
        for number, each in enumerate(calibration["maps"]):
            x, y = np.array(each["x"]), np.array(each["y"])
            slope = np.diff(y) / np.maximum(np.diff(x), 1e-12)
            for name, values in (("x", x[:-1]), ("width", np.diff(x)), ("slope", slope), ("first", y[:1])):
                self.register_buffer(f"{name}{number}", torch.tensor(values, dtype=torch.float32))

    def forward(self, p: torch.Tensor) -> torch.Tensor:
        """Return calibrated probabilities."""
        if self.method == METHODS[0]:
            log = p.clamp_min(CLIP).log() / self.temperature
            if self.multi_label:
                return torch.sigmoid(log - (1 - p).clamp_min(CLIP).log() / self.temperature)
            return torch.softmax(log, dim=1)
        found = torch.cat([self._mapped(p[:, number : number + 1], number) for number in range(p.shape[1])], dim=1)
        if self.multi_label:
            return found
        total = found.sum(dim=1, keepdim=True)
        return torch.where(total > 0, found / torch.where(total > 0, total, 1), p)

    def _mapped(self, p: torch.Tensor, number: int) -> torch.Tensor:
        """Interpolate between the points of a class's map: the sum of its pieces, each as far as `p` reaches."""
        x, width, slope, first = (getattr(self, f"{name}{number}") for name in ("x", "width", "slope", "first"))
        reached = torch.minimum((p - x).clamp_min(0), width)
        return first + (reached * slope).sum(dim=1, keepdim=True)
