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

from earshot import files, project
from earshot.audio import decode
from earshot.metrics import classification, intervals

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
    frame = by_certainty(intervals.pooled(predictions, intervals.WINDOW))
    asked = frame[(frame["label"] == frame["predicted"]) == right]
    chosen = asked.drop_duplicates("group").groupby("label").head(PER_CLASS).head(MOST)
    found = recordings(dataset)
    return [
        {
            **{name: getattr(row, name) for name in ("label", "predicted", "probability", "recording", "start")},
            "sound": mp3(excerpt(found[row.recording], row.start, min(row.seconds, SECONDS))),
        }
        for row in chosen.sort_values(["label", "probability"], ascending=[True, False], kind="stable").itertuples()
    ]


def by_certainty(predictions: pd.DataFrame) -> pd.DataFrame:
    """Add the column probability, that of the predicted class, and put the surest window first."""
    columns = [classification.PROBABILITY + name for name in classification.classes_of(predictions)]
    found = predictions.assign(probability=predictions[columns].max(axis=1))
    return found.sort_values("probability", ascending=False, kind="stable")


def recordings(dataset: str) -> dict[str, Path]:
    """Return where each recording of a dataset stands."""
    manifest = files.read_table(project.data("manifest", f"{dataset}.parquet"))
    return {row.recording: project.data("raw", dataset) / row.path for row in manifest.itertuples()}


def mp3(samples: np.ndarray, sample_rate: int = SAMPLE_RATE) -> str:
    """Return a sound, shape (n,), as the data address of an MP3; `sample_rate` is one that MP3 knows."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="MP3")
    return data_address("audio/mpeg", buffer.getvalue())


def data_address(kind: str, content: bytes) -> str:
    """Return the address that holds its own content, of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def excerpt(path: Path, start: float, seconds: float) -> np.ndarray:
    """Read a stretch of a recording, to be heard whatever its level: mono, float32, at SAMPLE_RATE, its peak at 0.7.

    Raises
    ------
    ValueError
        If nothing decodes the recording.
    """
    samples = _excerpt(path, start, seconds)
    return samples / max(np.abs(samples).max(), 1e-4) * 0.7


def _excerpt(path: Path, start: float, seconds: float) -> np.ndarray:
    """Read a stretch of a recording as mono at SAMPLE_RATE, without decoding the rest of it where that can be done."""
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            file.seek(round(start * rate))
            samples = file.read(round(seconds * rate), dtype="float32", always_2d=True).mean(axis=1)
    except soundfile.LibsndfileError:  # m4a
        first = round(start * SAMPLE_RATE)
        return decode.load(path, SAMPLE_RATE)[first : first + round(seconds * SAMPLE_RATE)]
    return soxr.resample(samples, rate, SAMPLE_RATE)


def page(dataset: str, predictions: pd.DataFrame, part: str) -> str:
    """Return an HTML page of the windows that a model was surest of, with their sound in it."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True).from_string(
        (Path(__file__).parent / "examples.html.j2").read_text("utf-8")
    )
    found = {title: surest(dataset, predictions, right) for title, right in (("wrong", False), ("right", True))}
    return template.render(part=part, found=found)
