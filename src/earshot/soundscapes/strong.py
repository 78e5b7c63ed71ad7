"""Strong labels: clips whose classes are known frame by frame, mixed from one part of a split or as recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from earshot.detection.contexts import contexts
from earshot.errors import EarshotError
from earshot.soundscapes.mix import Sound, clips
from earshot.splits.windows import GRID


class Labelled(NamedTuple):
    """A clip and what is heard in it when.

    samples : mono, float32, shape (n,), full scale 1
    pieces : start, end (seconds), class and source; a later one lies over those before it
    """

    samples: np.ndarray
    pieces: list[tuple[float, float, str, str]]


class Strong(NamedTuple):
    """Frames of clips.

    embedded : what a model's backbone says of each, float32, (N, T', D)
    classes : their numbers, (N, T'); below 0 where it is not known
    weights : (N, T'), 1 on average for each class
    """

    embedded: torch.Tensor
    classes: torch.Tensor
    weights: torch.Tensor


def mixed(
    spans: pd.DataFrame, sound: Sound, rate: int, setting: Mapping[str, Any], seed: Sequence[int]
) -> Iterator[Labelled]:
    """Mix clips of one part, see `mix.clips`; where its spans are short, events are as short.

    Raises
    ------
    EarshotError
        If the part has no background, or no event.
    """
    alarms = spans[spans["label"] == setting["alarm"]]
    shortest, longest = setting["event_seconds"]
    if len(alarms):
        shortest = min(shortest, float((alarms["stop"] - alarms["start"]).max()))
    for clip in clips(spans, sound, rate, {**setting, "event_seconds": [shortest, longest]}, seed):
        named = ((clip.background, setting["background"]), (clip.events, setting["alarm"]))
        pieces = [(start, end, label, group) for rows, label in named for start, end, group in rows.to_numpy()]
        yield Labelled(clip.samples, pieces)


def recorded(spans: pd.DataFrame, sound: Sound, rate: int, seconds: float) -> Iterator[Labelled]:
    """Cut clips of `seconds`, and shorter ones at the ends, out of recordings in which several classes are labelled."""
    for recording, rows in spans.sort_values("start").groupby("recording", sort=False):
        apart = rows["start"] > rows["stop"].cummax().shift() + GRID  # what lies between may be of another part
        for _, together in rows.groupby(apart.cumsum()):
            if together["label"].nunique() > 1:
                yield from _clips_of(together, sound(recording), rate, seconds)


def _clips_of(rows: pd.DataFrame, samples: np.ndarray, rate: int, seconds: float) -> Iterator[Labelled]:
    last = rows["stop"].max()
    for begin in np.arange(rows["start"].min(), last - GRID, seconds):
        end = min(begin + seconds, last)
        near = rows[(rows["stop"] > begin) & (rows["start"] < end)]
        pieces = [(row.start - begin, row.stop - begin, row.label, row.group) for row in near.itertuples()]
        yield Labelled(samples[round(begin * rate) : round(end * rate)], pieces)


@torch.inference_mode()
def heard(model: nn.Module, labelled: Iterable[Labelled], rate: int, classes: Sequence[str]) -> Strong:
    """Return what the backbone of a model of frames says of clips, beside the class of each frame.

    A source weighs less the more there is of it: by the square root of its frames. Clips that are shorter than others
    are padded with frames of which nothing is known.

    Raises
    ------
    EarshotError
        If there are no clips.
    """
    model.eval()  # a model that is new is made for training, and its batch norms would hear these clips
    embedded, named, sources = [], [], []
    known: dict[tuple[str, str], int] = {}
    for clip in labelled:
        rows = [
            model.embed(torch.from_numpy(each.samples)[None, :, None])[0, each.first : each.stop]
            for each in contexts([clip.samples], rate, model.grid)
        ]
        embedded.append(torch.cat(rows))
        middles = (np.arange(len(embedded[-1])) + 0.5) * model.step
        number, source = np.full(len(middles), -1), np.full(len(middles), -1)
        for start, end, label, group in clip.pieces:
            inside = (middles >= start) & (middles < end)
            number[inside] = classes.index(label)
            source[inside] = known.setdefault((label, group), len(known))
        named.append(torch.from_numpy(number))
        sources.append(torch.from_numpy(source))
    if not embedded:
        raise EarshotError("the training part has no recording with events to learn from")
    numbers, source = (pad_sequence(each, batch_first=True, padding_value=-1) for each in (named, sources))
    return Strong(pad_sequence(embedded, batch_first=True), numbers, _weights(numbers, source, len(known)))


def _weights(numbers: torch.Tensor, source: torch.Tensor, n_sources: int) -> torch.Tensor:
    there = source >= 0
    frames = torch.bincount(source[there], minlength=n_sources).clamp_min(1)
    found = torch.where(there, frames.double().rsqrt()[source.clamp_min(0)], 0.0)
    for number in numbers[there].unique():
        mine = numbers == number
        found[mine] /= found[mine].mean()
    return found.float()
