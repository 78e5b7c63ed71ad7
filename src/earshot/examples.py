"""Windows to be heard: those a model was surest of, and wrong or right about."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
import soundfile
import soxr

from earshot import audio, config, intervals, metrics, store

PER_CLASS = 2
MOST = 8
SAMPLE_RATE = 16000  # of what is embedded, in Hz
SECONDS = 5.0  # of a long window, its beginning


def surest(dataset: str, predictions: pd.DataFrame, right: bool) -> list[dict[str, Any]]:
    """Return the windows that were named right, or wrong, with the highest probability, each of another group.

    Parameters
    ----------
    dataset : whose recordings stand in data/raw
    predictions : of one experiment; over seeds the probabilities are averaged

    Returns
    -------
    label, predicted, probability, recording, start (seconds) and the sound as the data address of an MP3
    """
    frame = intervals.pooled(predictions, intervals.WINDOW)
    classes = metrics.classes_of(frame)
    frame["probability"] = frame[[metrics.PROBABILITY + name for name in classes]].max(axis=1)
    asked = frame[(frame["label"] == frame["predicted"]) == right]
    asked = asked.sort_values("probability", ascending=False, kind="stable")
    chosen = asked.drop_duplicates("group").groupby("label").head(PER_CLASS).head(MOST)
    manifest = store.read_table(config.data("manifest", f"{dataset}.parquet")).set_index("recording")
    return [
        {
            **{name: getattr(row, name) for name in ("label", "predicted", "probability", "recording", "start")},
            "sound": _sound(config.data("raw", dataset) / manifest.loc[row.recording, "path"], row.start, row.seconds),
        }
        for row in chosen.sort_values(["label", "probability"], ascending=[True, False], kind="stable").itertuples()
    ]


def _sound(path: Path, start: float, seconds: float) -> str:
    heard = _excerpt(path, start, min(seconds, SECONDS))
    loud = heard / max(np.abs(heard).max(), 1e-4) * 0.7  # to be heard, whatever its level
    return mp3(loud, SAMPLE_RATE)


def mp3(samples: np.ndarray, sample_rate: int) -> str:
    """Return a sound, shape (n,), as the data address of an MP3; `sample_rate` is one that MP3 knows."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="MP3")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _excerpt(path: Path, start: float, seconds: float) -> np.ndarray:
    """Read a stretch of a recording as mono at SAMPLE_RATE, without decoding the rest of it where that can be done."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(round(start * rate))
            samples = file.read(round(seconds * rate), dtype="float32", always_2d=True).mean(axis=1)
    except soundfile.LibsndfileError:  # m4a
        first = round(start * SAMPLE_RATE)
        return audio.load(path, SAMPLE_RATE)[first : first + round(seconds * SAMPLE_RATE)]
    return soxr.resample(samples, rate, SAMPLE_RATE)


def page(dataset: str, predictions: pd.DataFrame, part: str) -> str:
    """Return an HTML page of the windows that a model was surest of, with their sound in it."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (Path(__file__).parent / "examples.html.j2").read_text("utf-8")
    )
    found = {title: surest(dataset, predictions, right) for title, right in (("wrong", False), ("right", True))}
    return template.render(part=part, found=found)
