"""Mix clips of background with events at known times, from the spans of one part of a split.

As Scaper does (Salamon et al. 2017), but from spans, so that nothing of another part is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from earshot.audio.mix import mix_at_snr
from earshot.errors import EarshotError

FADE = 0.05  # seconds, of each stretch
PIECE = 30.0  # seconds of background in one piece, where a span has as many
MARGIN = 2.0  # seconds between an event and the edges of its slot
Sound = Callable[[str], np.ndarray]  # the samples of a recording, mono at one rate


@dataclass(frozen=True)
class Clip:
    """A clip that was mixed.

    samples : mono, float32, shape (n,), full scale 1
    events, background : columns start, end (seconds) and group, of what was laid over what
    """

    samples: np.ndarray
    events: pd.DataFrame
    background: pd.DataFrame


def clips(
    spans: pd.DataFrame, sound: Sound, rate: int, setting: Mapping[str, Any], seed: Sequence[int]
) -> Iterator[Clip]:
    """Mix the clips of `hours`; the same seed gives the same ones.

    Parameters
    ----------
    spans : of one part of a fold
    rate : of the samples that `sound` gives, in Hz
    setting : a task's section of `events` in params.yaml

    Raises
    ------
    EarshotError
        If the part has no background, or no event that is long enough.
    """
    background, alarms = (spans[spans["label"] == setting[name]] for name in ("background", "alarm"))
    shortest = setting["event_seconds"][0]
    longest = (alarms["stop"] - alarms["start"]).max() if len(alarms) else 0.0
    if background.empty or longest < shortest:
        what = setting["background"] if background.empty else f"{setting['alarm']} of {shortest:g} s or more"
        raise EarshotError(f"no soundscape can be mixed for events: the part has no {what}")
    for number in range(max(1, round(setting["hours"] * 3600 / setting["clip_seconds"]))):
        yield _clip(np.random.default_rng([*seed, number]), background, alarms, sound, rate, setting)


def _clip(
    rng: np.random.Generator,
    background: pd.DataFrame,
    alarms: pd.DataFrame,
    sound: Sound,
    rate: int,
    setting: Mapping[str, Any],
) -> Clip:
    n, pieces, begins = round(setting["clip_seconds"] * rate), [], []
    total = 0
    while total < n:
        piece, group = _stretch(rng, background, sound, rate, PIECE)
        begins.append((total / rate, group))
        pieces.append(piece)
        total += len(piece)
    mix, rows = np.concatenate(pieces)[:n], []
    shortest, longest = setting["event_seconds"]
    slots = max(1, int(setting["clip_seconds"] / (2 * longest)))  # each event has a part of the clip of its own
    room = setting["clip_seconds"] / slots
    share = min(1.0, setting["events_per_hour"] * room / 3600)
    for slot in range(slots):
        event, group = _stretch(rng, alarms, sound, rate, rng.uniform(shortest, longest))
        start = slot * room + rng.uniform(MARGIN, max(MARGIN, room - MARGIN - longest))
        there, snr_db = rng.random() < share, rng.uniform(*setting["snr_db"])
        heard = slice(round(start * rate), min(round(start * rate) + len(event), n))
        event = event[: heard.stop - heard.start]
        if there and len(event) >= round(shortest * rate) and event.any() and mix[heard].any():
            mix[heard] = mix_at_snr(event, mix[heard], snr_db)
            rows.append((heard.start / rate, heard.stop / rate, group))
    ends = [start for start, _ in begins[1:]] + [n / rate]
    laid = [(start, end, group) for (start, group), end in zip(begins, ends, strict=True)]
    columns = ["start", "end", "group"]
    mix = (mix / max(1.0, np.abs(mix).max())).astype(np.float32)
    return Clip(mix, pd.DataFrame(rows, columns=columns), pd.DataFrame(laid, columns=columns))


def _stretch(
    rng: np.random.Generator, spans: pd.DataFrame, sound: Sound, rate: int, seconds: float
) -> tuple[np.ndarray, str]:
    """Return a stretch of one of the spans, of `seconds` or as long as the span is, and its group."""
    lengths = (spans["stop"] - spans["start"]).to_numpy()
    span = spans.iloc[rng.choice(len(spans), p=lengths / lengths.sum())]
    start = rng.uniform(span["start"], max(span["start"], span["stop"] - seconds))
    found = sound(span["recording"])[round(start * rate) : round(min(start + seconds, span["stop"]) * rate)]
    ramp = np.minimum(1, np.arange(1, len(found) + 1) / (FADE * rate))
    return found * ramp * ramp[::-1], span["group"]
