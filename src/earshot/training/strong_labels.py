"""What a model of frames learns from: clips with events at known times, of the training part alone.

They are mixed as the soundscapes of the stage `events` are, from the training part and with another seed; of a dataset
whose labels are events, its recordings are heard as they are besides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from earshot import files, models, project
from earshot.batches.prepare import Data
from earshot.datasets import manifest
from earshot.errors import EarshotError
from earshot.metrics import labels
from earshot.soundscapes import of_part, strong
from earshot.soundscapes.asked import why_not


def learns(cfg: DictConfig) -> bool:
    """Tell whether the config's model learns from strong labels."""
    return hasattr(models.class_of(cfg.model), "learn")


def facts(cfg: DictConfig, task: str) -> dict[str, Any]:
    """Return what a run of such a model depends on besides its settings: how soundscapes are mixed."""
    return {"strong": OmegaConf.to_container(cfg, resolve=True)["events"].get(task)} if learns(cfg) else {}


def teacher(cfg: DictConfig, data: Data) -> Callable[[nn.Module], None] | None:
    """Return what has the config's model learn from strong labels; None where it learns from windows.

    Raises
    ------
    EarshotError
        If the dataset has no events, and nothing says how to mix some.
    """
    if not learns(cfg):
        return None
    params: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)
    recordings, how = manifest.read(data.card.name), params["model"]["learning"]
    setting, are_events = params["events"].get(data.card.task), manifest.STRETCHES in recordings
    why = why_not(data.card, setting, recordings)
    if labels.are_sets(recordings["label"]) or (why and not are_events):
        raise EarshotError(
            f"model={cfg.model.name} learns from events at known times, and {data.card.name} has none: "
            f"events.{data.card.task} in params.yaml says how they are mixed from single labels (docs/events.md)"
        )
    split = files.read_table(project.split(data.card.name, cfg.protocol))
    spans = split[(split["fold"] == cfg.fold) & (split["part"] == "train")].reset_index(drop=True)
    rate = data.input.sample_rate

    def teach(model: nn.Module) -> None:
        sound = of_part.sound_of(data.card, params, rate)
        seed = [of_part.PARTS.index("train"), cfg.fold, cfg.seed]
        mixing = {**(setting or {}), **{name: how[name] for name in ("hours", "snr_db")}}
        clips = itertools.chain(
            [] if why else strong.mixed(spans, sound, rate, mixing, seed),
            strong.recorded(spans, sound, rate, how["clip_seconds"]) if are_events else [],
        )
        model.learn(*strong.heard(model, clips, rate, data.classes), cfg.seed)

    return teach
