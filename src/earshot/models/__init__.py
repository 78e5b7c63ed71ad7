"""The models: a batch of windows in, logits out. Torch alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from earshot.errors import EarshotError
from earshot.models.ann import ANN
from earshot.models.cnn import CNN
from earshot.models.lstm import LSTM
from earshot.models.standardiser import Standardiser
from earshot.settings import WIRINGS

MODELS = {"ann": ANN, "cnn": CNN, "lstm": LSTM}


def build(settings: Mapping[str, Any], standardised: bool, n_rows: int, n_bins: int, n_classes: int) -> nn.Sequential:
    """Make a model for windows of shape (n_rows, n_bins) and `n_classes` classes.

    Parameters
    ----------
    settings : `network`, one of `MODELS`, and its arguments, as in conf/model/NAME.yaml
    standardised : whether a standardiser comes first

    Raises
    ------
    EarshotError
        If the name, the wiring or a setting is unknown, or the model makes no sense of such windows.
    """
    arguments = {key: value for key, value in settings.items() if key not in ("name", "network", "training")}
    name = settings["network"]
    if name not in MODELS:
        raise EarshotError(f"no network is called '{name}'. Networks there are: {', '.join(MODELS)}")
    if arguments.get("wiring", WIRINGS[0]) not in WIRINGS:
        raise EarshotError(f"model.wiring is '{arguments['wiring']}', and must be one of {', '.join(WIRINGS)}")
    try:
        model = MODELS[name](n_rows, n_bins, n_classes, **arguments)
    except TypeError as error:
        raise EarshotError(f"conf/model/{settings['name']}.yaml: {error}") from None
    first = {"standardiser": Standardiser(n_bins)} if standardised else {}
    return nn.Sequential(OrderedDict(**first, model=model))


def n_parameters(model: nn.Module) -> int:
    """Count what training can change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
