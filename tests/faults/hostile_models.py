"""Folders of trained models from a stranger, loaded and used as by `predict`."""

from __future__ import annotations

import functools
import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from conftest import tone
from earshot import files, inputs, models
from earshot.detection.answer import answer
from earshot.detection.detector import Detector
from earshot.errors import EarshotError
from earshot.trained import model_folder
from faults.contained import Kind
from faults.mutations import broken, broken_tree

RATE, SECONDS = 8000, 0.5  # of a window
RUN = {"protocol": "grouped", "wiring": "as_coded", "seed": 0, "fold": 0, "seconds": SECONDS, "hop": 0.25}
POINT = {"label": "horn", "step": 0.25, "rule": {"threshold": 0.5, "release": 0.4, "median": 0.5, "snap": 0.25}}
ISOTONIC = {"method": "isotonic", "maps": [{"x": [0.0, 0.5, 1.0], "y": [0.0, 0.4, 1.0]}] * 3}
LOG_MEL = inputs.LogMel(RATE, 16, 256, 80)
SUMMARY = inputs.Summary(RATE, 512, 256, 0.85, 8, (2,), False, SECONDS, None)
CNN = {"_target_": "earshot.models.cnn.CNN", "filters": [4, 4], "kernels": [3, 3], "dropout": 0.3, "dense": 4}
CRNN = {"_target_": "earshot.models.crnn.CRNN", "channels": [4, 4], "halvings": 2, "units": 4, "dropout": 0.2}
LSTM = {"_target_": "earshot.models.lstm.LSTM", "units": [4, 4], "dropout": 0.3, "dense": 4, "samples_per_step": 160}
ANN = {"_target_": "earshot.models.ann.ANN", "hidden": [8, 4]}
WIRED = {"wiring": "as_coded"}
MADE: list[tuple[str, Any, dict[str, Any], dict[str, Any]]] = [  # the input, the model, and what else it says
    ("log_mel", LOG_MEL, CNN | WIRED, {"classes": ["horn", "other"], "operating_point": POINT}),
    ("log_mel", LOG_MEL, CRNN, {"classes": ["a", "b", "horn"], "thresholds": [0.5, 0.1, 0.9]}),
    ("waveform", inputs.Waveform(RATE), LSTM | WIRED, {"classes": ["a", "b"], "pad": {"how": "zero", "seconds": 0.5}}),
    ("summary", SUMMARY, ANN, {"classes": ["a", "b", "c"], "calibration": ISOTONIC}),
]
VALUES = [
    None,
    True,
    -1,
    0,
    1,
    3,
    1e-9,
    1e-300,
    0.5,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
    2**31,
    2**63,
    10**30,
    10**400,
]
VALUES += [0.001, 3600.0, 10**4, 10**6, 10**8, "", "../..", "x" * 10**5, "\0", "a\nb", "\ud800", "1", [], {}, [1] * 5]
VALUES += [
    ["a", "a"],
    ["a", "b", "c", "d"],
    [0.5] * 10**5,
    [[]],
    [None],
    [[1, 2], [3, 4]],
    {"a": 1},
    "published",
    "horn",
]
VALUES += [
    "earshot.models.lstm.LSTM",
    "earshot.inputs.waveform.Waveform",
    "os.system",
    "custom.x.Y",
    "earshot.inputs.x",
]
VALUES += ["earshot.models.linear.Linear", "earshot.models.standardiser.Standardiser", "temperature", "as_described"]
DEEP = "deep"  # becomes a list in a list in a list …
SOUND = tone(900, 2, RATE).astype(np.float32)
FINEST = 0.1  # seconds: with a shorter hop the same sound takes long, as asked for


def kinds() -> Iterator[Kind]:
    """Yield one."""
    yield Kind("model folders", _write, judge)


@functools.cache
def _made(number: int) -> tuple[dict[str, Any], bytes]:
    """Return the settings and weights of a model that has learnt nothing."""
    name, built, model, more = MADE[number]
    torch.set_num_threads(1)  # a forked process would wait for others
    torch.manual_seed(0)
    rows = built.extract(SOUND[: round(SECONDS * RATE)])
    net = models.build(model, built.standardised, *rows.shape, len(more["classes"]))
    settings = RUN | {"input": inputs.recipe(name, built), "model": model, "window_shape": list(rows.shape)} | more
    return settings, save({key: value.contiguous() for key, value in net.state_dict().items()})


def _write(rng: Random, folder: Path) -> None:
    settings, weights = _made(rng.randrange(len(MADE)))
    way = rng.random()
    if way < 0.7:
        settings = broken_tree(settings, [*VALUES, DEEP], rng)
    if way > 0.6:
        weights = rng.choice((_other_tensors, lambda some, rng: broken(some, some, rng)))(weights, rng)
    (folder / "model.safetensors").write_bytes(weights)
    digest = model_folder._digest(settings, files.digest(folder / "model.safetensors"))  # so that the rest is looked at
    settings = settings | {model_folder.DIGEST: digest}
    text = json.dumps(settings).replace(f'"{DEEP}"', "[" * 10**5 + "]" * 10**5)
    content = broken(text.encode(), text.encode(), rng) if 0.4 < way < 0.45 else text.encode()
    (folder / "config.json").write_bytes(content)


def _other_tensors(weights: bytes, rng: Random) -> bytes:
    """Return weights whose header says something else of them."""
    size = struct.unpack("<Q", weights[:8])[0]
    values = [*VALUES, "F64", "BF16", "I64", "BOOL", "F8_E4M3", [2**40, 2**40], [0], [1, 2**62]]
    header = json.dumps(broken_tree(json.loads(weights[8 : 8 + size]), values, rng)).encode()
    data = bytearray(weights[8 + size :])
    if rng.random() < 0.3:
        data[: len(data) // 4 * 4] = struct.pack("<f", rng.choice((math.nan, math.inf, 3e38, 0.0))) * (len(data) // 4)
    return struct.pack("<Q", len(header)) + header + data


def judge(folder: Path) -> None:
    """Load a model, and have it hear a sound if that is not much work."""
    try:
        detector = Detector.load(folder)
        if detector.sample_rate == RATE and detector.step >= FINEST:
            found = answer(detector, [SOUND], detector.rules(), detector.classes)
            assert all(0 <= score <= 1 for score in found.scores.values())
    except EarshotError as error:
        assert str(folder) in str(error) or "lasts" in str(error), error
        raise
