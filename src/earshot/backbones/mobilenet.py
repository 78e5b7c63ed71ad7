"""EfficientAT's networks as backbones, computed with what is the same for every window done once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earshot.backbones import weights
from earshot.backbones.card import BackboneCard
from earshot.backbones.front import MelFrontEnd
from earshot.efficientat.mel import HOP, N_FFT
from earshot.efficientat.mobilenet import MobileNet
from earshot.errors import EarshotError

CLASSES_BIAS = "classifier.3.bias"


def network(path: Path, card: BackboneCard) -> MobileNet:
    """Return the network of a card with its weights, ready to predict.

    Raises
    ------
    EarshotError
        If they are another network's.
    """
    found = weights.read(path, card.digest)
    try:
        net = MobileNet(card.network.width, len(found[CLASSES_BIAS]))
        net.load_state_dict(found)
    except (KeyError, RuntimeError) as error:
        raise EarshotError(f"{path} holds no MobileNet of width {card.network.width:g} ({error})") from None
    return net.eval()


class Runner:
    """Computes embeddings and scores: a `backbone.Run`."""

    def __init__(self, path: Path, card: BackboneCard) -> None:
        """Take the card and the file with its weights."""
        self.front = MelFrontEnd()
        self.net = in_place(fused(network(path, card))).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """Return `embedding` and `scores` of windows, (B, n)."""
        return self._found(self.front(torch.from_numpy(samples)))

    @torch.inference_mode()
    def over(self, samples: np.ndarray, n: int, hop: int, gains: np.ndarray | None) -> dict[str, np.ndarray] | None:
        """Return those of all windows of `n` samples, one every `hop`, in a sound, (m,); None if none share frames.

        Parameters
        ----------
        gains : factors for the samples of each window; None: they stay as they are
        """
        if hop >= n or hop % HOP or n <= 2 * N_FFT:
            return None
        factors = None if gains is None else torch.from_numpy(gains)
        return self._found(self.front.over(torch.from_numpy(samples), n, hop, factors))

    def _found(self, log_mel: torch.Tensor) -> dict[str, np.ndarray]:
        embedding = self.net.embed(log_mel)
        return {"embedding": embedding.numpy(), "scores": torch.sigmoid(self.net.classifier(embedding)).numpy()}


def in_place(net: nn.Module) -> nn.Module:
    """Have activations write over their inputs, which nothing else reads; for prediction alone."""
    for layer in net.modules():
        if isinstance(layer, nn.ReLU | nn.Hardswish):
            layer.inplace = True
    return net


def fused(net: nn.Module) -> nn.Module:
    """Put each batch norm's scale and shift into the convolution before it; for prediction alone."""
    for name, child in list(net.named_children()):
        match list(child.children()):
            case [nn.Conv2d() as convolution, nn.BatchNorm2d() as norm, *after]:
                setattr(net, name, nn.Sequential(fuse_conv_bn_eval(convolution, norm), *after))
            case _:
                fused(child)
    return net
