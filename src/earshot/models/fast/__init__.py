"""The same models, computed faster: `faster(net)`. Who reads the models need not read this.

A layer's own equivalent stands in a file of its own here, and a model's in one of the model's name.
"""

from __future__ import annotations

from torch import nn

from earshot.models.cnn import CNN
from earshot.models.fast.cnn import FastCNN
from earshot.models.fast.lstm import FastLSTM
from earshot.models.lstm import LSTM


def faster(net: nn.Module) -> nn.Module:
    """Return a network, with an equivalent in place of each model in it that has one.

    The equivalent takes over the layers themselves: parameters, names and results stay as they are, and in training
    the distribution of what is dropped.
    """
    if type(net) is CNN:
        return FastCNN(net)
    if type(net) is LSTM:
        return FastLSTM(net)
    for name, child in list(net.named_children()):
        setattr(net, name, faster(child))
    return net
