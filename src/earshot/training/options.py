"""How a model is trained: the section `model.training`, of conf/training/ and the model's own file, with its schema."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from earshot.errors import EarshotError
from earshot.schema.sections import Finite, Section, checked, must
from earshot.schema.yaml_text import shown

Whole = Field(ge=1)


class Training(Section):
    """The section `model.training`; what has a default here is off with it. docs/training.md explains each line."""

    max_epochs: Annotated[int, Whole, must("a whole number, 1 or more")]
    batch_size: Annotated[int | None, Whole, must("a whole number, 1 or more, or null for all windows at once")]
    checkpoint: Annotated[Literal["best", "last"], must("best or last")]
    schedule: Annotated[Literal["constant", "cosine", "one_cycle"], must("one of constant, cosine, one_cycle")] = (
        "constant"
    )
    warm_up: Annotated[float, Finite, Field(ge=0, lt=1), must("a share of the steps, 0 or more and below 1")] = 0.1
    early_stopping: Annotated[int | None, Whole, must("a number of epochs, 1 or more, or null")] = None
    gradient_clipping: Annotated[float | None, Finite, Field(gt=0), must("a norm above 0, or null")] = None
    class_weights: Annotated[Literal["none", "balanced"], must("none or balanced")] = "none"
    sampling: Annotated[Literal["shuffled", "balanced"], must("shuffled or balanced")] = "shuffled"
    shuffle_shards: Annotated[
        int | None, Whole, must("a number of shards, 1 or more, or null for the windows of all together")
    ] = None
    label_smoothing: Annotated[float, Finite, Field(ge=0, lt=1), must("a share, 0 or more and below 1")] = 0.0
    averaging: Annotated[Literal["none", "ema", "swa"], must("one of none, ema, swa")] = "none"
    ema_decay: Annotated[float, Finite, Field(gt=0, lt=1), must("a share above 0 and below 1, such as 0.999")] = 0.999
    interpolation: Annotated[
        float, Finite, Field(gt=0, le=1), must("a share above 0, at most 1, of the way from the first weights")
    ] = 1.0
    swa_share: Annotated[float, Finite, Field(gt=0, le=1), must("a share above 0, at most 1, such as 0.25")] = 0.25


OF_STEPS = (
    "schedule",
    "gradient_clipping",
    "class_weights",
    "sampling",
    "label_smoothing",
    "averaging",
    "interpolation",
)


def of(cfg: DictConfig) -> Training:
    """Return how the config's model is trained.

    Raises
    ------
    EarshotError
        Naming each key that is missing, unknown or wrong, or two that contradict each other.
    """
    training = checked(Training, OmegaConf.to_container(cfg.model.training, resolve=True), "model.training")
    if training.early_stopping and training.checkpoint == "last":
        raise EarshotError(
            "model.training.early_stopping waits for the best epoch, and model.training.checkpoint keeps the last one: "
            "set model.training.checkpoint=best"
        )
    if training.schedule == "one_cycle" and training.warm_up == 0:
        raise EarshotError("model.training.warm_up is 0, and the one cycle has to rise: set a share such as 0.3")
    if training.shuffle_shards and training.sampling == "balanced":
        raise EarshotError(
            "model.training.sampling=balanced draws from all windows, and model.training.shuffle_shards from some at a "
            "time: set sampling=shuffled, with class_weights=balanced, or shuffle_shards=null"
        )
    return training


def check_without_steps(how: Training, augmentation: Collection[str], model: str) -> None:
    """Refuse what changes gradient steps, for a model that learns without them.

    Parameters
    ----------
    augmentation : the operations that are asked for
    model : its name

    Raises
    ------
    EarshotError
        Naming the setting, and what turns it off.
    """
    off = {f"model.training.{name}": (getattr(how, name), Training.model_fields[name].default) for name in OF_STEPS}
    wrong = {key: default for key, (value, default) in off.items() if value != default}
    wrong |= {f"augmentation.{name}": None for name in augmentation}
    for key, default in wrong.items():
        raise EarshotError(
            f"{key} is for models that learn by gradient steps, which {model} does not: set {key}={shown(default)}"
        )
