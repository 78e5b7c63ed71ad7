"""Backbones: networks that others trained on much sound, fetched once, verified and used as they are.

A backbone is a card `conf/backbones/NAME.yaml`. `load` returns it ready to use.
"""

from earshot.backbones.backbone import Backbone, carry, load, network, weights_of, width_of
from earshot.backbones.card import BackboneCard, backbone_names, load_card
from earshot.backbones.fetch import obtain_for

__all__ = [
    "Backbone",
    "BackboneCard",
    "backbone_names",
    "carry",
    "load",
    "load_card",
    "network",
    "obtain_for",
    "weights_of",
    "width_of",
]
