"""Windows to listen to: those that a model predicted with the highest probability, correctly or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from earshot.audio.clips import mp3
from earshot.datasets.excerpts import Excerpts
from earshot.metrics import intervals
from earshot.metrics.surest import surest

PER_CLASS, MOST = 2, 8  # windows
SECONDS = 5.0  # of a window that is longer, its beginning is played


def examples(dataset: str, predictions: pd.DataFrame, right: bool) -> list[dict[str, Any]]:
    """Return the windows that were predicted correctly, or wrongly, with the highest probability.

    Parameters
    ----------
    dataset : whose recordings are in data/raw
    predictions : of one experiment; probabilities are averaged over seeds
    right : correct predictions, else wrong ones

    Returns
    -------
    label, predicted, probability, recording, start (seconds) and the sound as the data address of an MP3, None where
    features were given
    """
    frame = intervals.pool(predictions, intervals.WINDOW)
    chosen = surest(frame[(frame["label"] == frame["predicted"]) == right], MOST, PER_CLASS)
    excerpts = Excerpts(dataset)
    return [
        {
            **{name: getattr(row, name) for name in ("label", "predicted", "probability", "recording", "start")},
            "sound": _sound(excerpts, row),
        }
        for row in chosen.sort_values(["label", "probability"], ascending=[True, False], kind="stable").itertuples()
    ]


def _sound(excerpts: Excerpts, row: Any) -> str | None:
    samples = excerpts.read(row.recording, row.start, min(row.seconds, SECONDS))
    return None if samples is None else mp3(samples)


def page(dataset: str, predictions: pd.DataFrame, part: str) -> str:
    """Return an HTML page of the windows that a model predicted with the highest probability, with their sound."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (Path(__file__).parent / "examples.html.j2").read_text("utf-8")
    )
    groups = {title: examples(dataset, predictions, right) for title, right in (("wrong", False), ("right", True))}
    return template.render(part=part, groups=groups)
