"""The models: a batch of windows in, logits out. Torch alone.

A model is a class that conf/model/NAME.yaml names by its `_target_`: a `torch.nn.Module` that is made with the shape of
its windows, the number of classes and the file's other keys, `Model(n_rows, n_bins, n_classes, **settings)`, and turns
a batch (B, n_rows, n_bins) into logits, (B, 1) for two classes and else (B, n_classes); see `heads`.

A model may have `solve(x, y, epoch)`, which finds its weights from all training windows at once and takes the place of
an epoch of gradient steps; a class method `completed(settings, labels, classes, known)`, which turns names in its
settings into numbers before the model is made; `parameter_groups(rate)`, which returns torch's parameter groups, so
that some parameters learn at another rate than the optimizer's; and a `sample_rate` in Hz, where it takes samples of
that rate alone.

A model that learns from events at known times, as `Frames`, has `learn`, `embed`, `frames` and `grid`; what it makes of
a whole sound is then told by its frames (`detection.detector`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from earshot.errors import EarshotError
from earshot.models.ann import ANN
from earshot.models.cnn import CNN
from earshot.models.crnn import CRNN
from earshot.models.fast import faster
from earshot.models.frames import Frames
from earshot.models.linear import Linear
from earshot.models.lstm import LSTM
from earshot.models.mel_crnn import MelCRNN
from earshot.models.mn import MN
from earshot.models.standardiser import Standardiser
from earshot.models.zero_shot import ZeroShot
from earshot.settings import WIRINGS, class_named

__all__ = [
    "ANN",
    "CNN",
    "CRNN",
    "LSTM",
    "MN",
    "Frames",
    "Linear",
    "MelCRNN",
    "Standardiser",
    "ZeroShot",
    "build",
    "class_of",
    "completed",
    "faster",
    "n_parameters",
]
FILE = "conf/model/{name}.yaml"
NO_ARGUMENTS = ("name", "_target_", "plan", "training")  # keys of conf/model/NAME.yaml that others read


def build(
    settings: Mapping[str, Any],
    standardised: bool,
    n_rows: int,
    n_bins: int,
    n_classes: int,
    where: str = FILE,
) -> nn.Module:
    """Make a model for windows of shape (n_rows, n_bins) and `n_classes` classes, ready to be trained.

    Parameters
    ----------
    settings : `_target_`, a class, and its arguments, as in conf/model/NAME.yaml
    standardised : whether a standardiser comes first
    where : the file that the settings are from, for errors

    Raises
    ------
    EarshotError
        If the class, the wiring or a setting is unknown, or the model makes no sense of such windows.
    """
    made, where = class_of(settings, where), where.format(name=settings.get("name"))
    arguments = {key: value for key, value in settings.items() if key not in NO_ARGUMENTS}
    if arguments.get("wiring", WIRINGS[0]) not in WIRINGS:
        raise EarshotError(f"model.wiring is '{arguments['wiring']}', and must be one of {', '.join(WIRINGS)}")
    try:
        model = made(n_rows, n_bins, n_classes, **arguments)
    except (TypeError, ValueError) as error:
        raise EarshotError(f"{where}: {' '.join(str(error).split())}") from None
    first = {"standardiser": Standardiser(n_bins)} if standardised else {}
    return nn.Sequential(OrderedDict(**first, model=model))


def completed(
    settings: Mapping[str, Any],
    labels: Mapping[str, Any] | None,
    classes: Sequence[str],
    known: Sequence[str] | None,
    where: str = FILE,
) -> dict[str, Any]:
    """Return a model's settings with what follows from the dataset and input that it is made for.

    Parameters
    ----------
    labels : for each class of the dataset's task those of `known` that stand for it; None where nobody has said it
    classes : of the dataset
    known : the names of the input's numbers, where they have names, or the classes of the model's backbone

    Raises
    ------
    EarshotError
        If the settings don't fit them.
    """
    made = class_of(settings, where)
    if not hasattr(made, "completed"):
        return dict(settings)
    try:
        found: dict[str, Any] = made.completed(settings, labels, classes, known)
    except ValueError as error:
        raise EarshotError(f"{where.format(name=settings.get('name'))}: {error}") from None
    return found


def class_of(settings: Mapping[str, Any], where: str = FILE) -> type[nn.Module]:
    """Return the class that a model's settings name.

    Raises
    ------
    EarshotError
        If it is no model of `earshot.models` or `custom`.
    """
    where = where.format(name=settings.get("name"))
    if "network" in settings:
        raise EarshotError(f"{where}: `network` is no longer read. Name the class: `_target_: earshot.models.cnn.CNN`")
    found = class_named(settings.get("_target_"), __name__, where)
    if not issubclass(found, nn.Module):
        raise EarshotError(f"{where}: _target_ {settings['_target_']} is no torch.nn.Module")
    return found


def n_parameters(model: nn.Module) -> int:
    """Count what training can change."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
