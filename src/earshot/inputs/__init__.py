"""The input representations: what a model is given of a recording.

Each is a frozen dataclass whose fields are its settings in params.yaml, with one contract:

- `extract(samples)` turns a whole recording (mono, `sample_rate` Hz) into rows: shape (T, F), T frames or
  windows, F bins or features;
- `first_row(start)` and `n_rows(length)` say which of those rows the window of `length` seconds from second
  `start` is, so that a window is a view of them and nothing is computed or kept twice;
- `finish(batch)` does on a batch of windows, shape (B, T, F), what belongs to the representation itself;
- `standardised` tells whether the rows are then scaled by statistics of the training part;
- `columns` names the F features, where they have names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from earshot.errors import EarshotError
from earshot.inputs.log_mel import LogMel
from earshot.inputs.log_spectrogram import LogSpectrogram
from earshot.inputs.summary import Summary
from earshot.inputs.waveform import Waveform
from earshot.settings import window_of
from earshot.splits import windows

INPUTS = {"summary": Summary, "waveform": Waveform, "log_spectrogram": LogSpectrogram, "log_mel": LogMel}

Input = Summary | Waveform | LogSpectrogram | LogMel


def build(name: str, params: Mapping[str, Any], task: str | None, clips: bool) -> Input:
    """Make an input from the numbers in params.yaml.

    Parameters
    ----------
    name : one of `INPUTS`
    params : the whole of params.yaml
    task : whose windows are meant
    clips : whether the dataset's recordings are short, each summarised as a whole

    Raises
    ------
    EarshotError
        Naming an unknown input, or a key of `features.NAME` that is missing or unknown.
    """
    if name not in INPUTS:
        raise EarshotError(f"no input is called '{name}'. Inputs there are: {', '.join(INPUTS)}")
    settings = {"sample_rate": params["audio"]["sample_rate"]} | dict(params["features"][name] or {})
    window = window_of(params["windows"], task)
    if name == "summary":
        clip_seconds = settings.pop("clip_seconds", None)
        settings |= {"length": clip_seconds, "hop": None} if clips else dict(window)
    try:
        built = INPUTS[name](**settings)
    except TypeError as error:
        raise EarshotError(f"features.{name} in params.yaml: {error}") from None
    _check_grid(name, built, window["hop"])
    return built


def recipe(name: str, built: Input) -> dict[str, Any]:
    """Return what decides an input's values, as JSON knows it: its name and settings."""
    return json.loads(json.dumps({"input": name, **asdict(built)}))


def _check_grid(name: str, built: Input, hop: float) -> None:
    row = built.first_row(hop)
    if abs(row - round(row)) > windows.GRID:
        raise EarshotError(
            f"windows that start every {hop:g} s do not start on a frame of {name}: {row:g} frames per hop. "
            f"Choose windows in params.yaml so that hop * sample_rate is a multiple of features.{name}'s hop length"
        )
