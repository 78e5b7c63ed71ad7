"""EfficientAT's network and its front end as torch can export them."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

from earshot import backbones
from earshot.backbones.card import MobileNetV3
from earshot.deploy.onnx.layers import PowerSpectrum, frames_of
from earshot.efficientat import mel
from earshot.efficientat.level import gains
from earshot.errors import EarshotError
from earshot.inputs.embedding import Embedding


class MelFrontEnd(mel.MelFrontEnd):
    """The same numbers without torch.fft, which ONNX lacks: (B, n) -> (B, 128, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.power = PowerSpectrum(mel.N_FFT, torch.float32)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the log-mel spectrogram of each row of samples."""
        emphasised = samples[:, 1:] - mel.PRE_EMPHASIS * samples[:, :-1]
        padded = functional.pad(emphasised[:, None], (mel.N_FFT // 2, mel.N_FFT // 2), mode="reflect")[:, 0]
        power = self.power(frames_of(padded, mel.N_FFT, mel.HOP) * self.window)
        return ((torch.log(power @ self.filters + mel.LEAST) + mel.SHIFT) / mel.SCALE).mT


class EmbeddingRows(nn.Module):
    """`Embedding.extract` and `Tags.extract`: (B, samples) -> (B, 1, F)."""

    def __init__(self, built: Embedding):
        """Take the input.

        Raises
        ------
        EarshotError
            If its backbone is a file of another library.
        """
        super().__init__()
        card = built.loaded().card
        if not isinstance(card.network, MobileNetV3):
            raise EarshotError(
                f"the backbone {card.name} is a {card.network.kind} file: a model on it can't be exported to ONNX"
            )
        self.length = round(built.length * built.sample_rate)
        self.of_clips, self.scores = built.hop is None, built.output == "scores"
        self.level, self.front, self.net = built.level, MelFrontEnd(), backbones.network(built.backbone)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Return the row."""
        if self.of_clips:  # see `SummaryRows`
            samples = samples.narrow(1, 0, torch.tensor(samples.shape[1]).clamp_max(self.length).item())
        if self.level is not None:
            samples = samples * gains(samples.square().mean(dim=1, keepdim=True), self.level)
        embedding = self.net.embed(self.front(samples))
        return (torch.sigmoid(self.net.classifier(embedding)) if self.scores else embedding)[:, None]


def exportable(net: nn.Module) -> nn.Module:
    """Return a copy of a model with a front end that can be exported, where it has one that can't."""
    net = copy.deepcopy(net)
    for layer in list(net.modules()):
        for name, child in list(layer.named_children()):
            if type(child) is mel.MelFrontEnd:
                setattr(layer, name, MelFrontEnd())
    return net
