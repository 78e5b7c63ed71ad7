"""EfficientAT's networks as backbones, computed with what is the same for every window done once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earshot.backbones import weights
from earshot.backbones.backbone import Run
from earshot.backbones.card import BackboneCard
from earshot.efficientat.mel import MelFrontEnd
from earshot.efficientat.mobilenet import MobileNet
from earshot.errors import EarshotError

IN_CACHE = 4  # windows of 2 s whose spectra stay in a core's cache
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


def runner(path: Path, card: BackboneCard) -> Run:
    """Return the function that computes embeddings and scores."""
    front, net = MelFrontEnd(), in_place(fused(network(path, card))).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(samples: np.ndarray) -> dict[str, np.ndarray]:
        log_mel = torch.cat([front(few) for few in torch.from_numpy(samples).split(IN_CACHE)])
        embedding = net.embed(log_mel)
        return {"embedding": embedding.numpy(), "scores": torch.sigmoid(net.classifier(embedding)).numpy()}

    return run


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
