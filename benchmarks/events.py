"""How well `earshot predict` finds events: sirens at known times in an hour of street, from test parts alone.

The models are trained by benchmarks/real.py, in build/events. For each fold of its grouped split an hour is mixed, in
clips of a minute, of what the fold's models have not heard: street from the second class, with stretches of sirens laid
over it. The rule by which events begin and end is the default one, and one that is chosen on hours of the validation
parts, for windows as far apart as in training and for closer ones. Writes build/bench/events.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from itertools import product
from pathlib import Path

import mir_eval
import numpy as np
import pandas as pd
import soundfile
from measure import PROJECT, write

from earshot import files
from earshot.audio import decode
from earshot.audio.mix import mix_at_snr
from earshot.detection.detector import Detector, Window
from earshot.detection.events import Events
from earshot.detection.rule import Rule
from earshot.detection.timeline import Timeline

ROOT = PROJECT / "build" / "events"
DATASET, ALARM = "sirens_standin", "emergency"
RATE = 16000
CLIPS, SECONDS = 60, 60  # an hour
SHORTEST, LONGEST = 4.0, 15.0  # seconds of an event
MOST = 2  # events in a clip
SNR_DB = (0, 20)
FADE = 0.05  # seconds
COLLARS = {"0.2 s": 0.2, "1 s": 1.0}  # the first is the usual one of event-based scores
PARTS = ["validation", "test"]
FINE = 0.25  # seconds from window to window, instead of training's
GRID = [
    Rule(threshold, release, least)
    for threshold, release, least in product((0.5, 0.7, 0.8, 0.9), (0.3, 0.4, 0.5, 0.7), (0.0, 1.0, 2.0, 3.0))
    if release <= threshold
]


def stretch(rng: np.random.Generator, spans: pd.DataFrame, sounds: dict[str, np.ndarray], seconds: float) -> np.ndarray:
    """Return a stretch of one of the spans, of `seconds` or as long as the span is."""
    span = spans.iloc[
        rng.choice(len(spans), p=(spans["stop"] - spans["start"]) / (spans["stop"] - spans["start"]).sum())
    ]
    start = rng.uniform(span["start"], max(span["start"], span["stop"] - seconds))
    sound = sounds[span["recording"]][round(start * RATE) : round(min(start + seconds, span["stop"]) * RATE)]
    ramp = np.minimum(1, np.arange(1, len(sound) + 1) / (FADE * RATE))
    return sound * ramp * ramp[::-1]


def clip(rng: np.random.Generator, test: pd.DataFrame, sounds: dict[str, np.ndarray]) -> tuple[np.ndarray, list]:
    """Return a clip and its events: (start, end) in seconds."""
    street, sirens = (test[(test["label"] == ALARM) == wanted] for wanted in (False, True))
    mix = np.empty(0)
    while len(mix) < SECONDS * RATE:
        mix = np.concatenate([mix, stretch(rng, street, sounds, 30.0)])
    mix = mix[: SECONDS * RATE]
    events = []
    room = SECONDS / MOST
    for place in range(MOST):  # each in a part of the clip of its own, or in none
        siren = stretch(rng, sirens, sounds, rng.uniform(SHORTEST, LONGEST))
        start = place * room + rng.uniform(2, room - 2 - LONGEST)
        if rng.random() < 0.5 or len(siren) < SHORTEST * RATE:
            continue
        heard = slice(round(start * RATE), round(start * RATE) + len(siren))
        mix[heard] = mix_at_snr(siren, mix[heard], rng.uniform(*SNR_DB))
        events.append((start, start + len(siren) / RATE))
    return mix / max(1.0, np.abs(mix).max()), events


def hour(split: pd.DataFrame, fold: int, part: str, sounds: dict[str, np.ndarray], to: Path) -> dict[str, list]:
    """Write the clips of a fold's part, and return the events of each."""
    spans = split[(split["fold"] == fold) & (split["part"] == part)]
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    truth = {}
    for number in range(CLIPS):
        mix, truth[f"{number:02d}"] = clip(np.random.default_rng([PARTS.index(part), fold, number]), spans, sounds)
        soundfile.write(to / f"{number:02d}.flac", mix, RATE)
    return truth


def predicted(model: Path, clips: Path, hop: float | None, rule: Rule) -> dict[str, list[tuple[float, float]]]:
    """Return the alarm's events that the command finds in each clip."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(rule).items()]
    options += [f"--hop={hop}"] if hop else []
    command = [sys.executable, "-m", "earshot.cli", "predict", "--model", str(model), "--json", "--only", ALARM]
    said = subprocess.run([*command, *options, str(clips)], capture_output=True, check=True).stdout
    lines = [json.loads(line) for line in said.splitlines()]
    return {Path(line["file"]).stem: [(e["start"], e["end"]) for e in line["events"]] for line in lines}


def windows(detector: Detector, clips: Path) -> dict[str, list[Window]]:
    """Return the windows of each clip."""
    return {p.stem: list(detector.windows(decode.stream(p, detector.sample_rate))) for p in sorted(clips.iterdir())}


def events_by(rule: Rule, detector: Detector, heard: dict[str, list[Window]]) -> dict[str, list[tuple[float, float]]]:
    """Return the alarm's events in windows that are known."""
    found = {}
    for name, clip_windows in heard.items():
        timeline, events = Timeline(detector.length, detector.hop), Events(detector.classes, [ALARM], rule)
        ended = [e for window in clip_windows for e in events.add(timeline.add(window))]
        ended += [e for stretch in timeline.end() for e in events.add(stretch)]
        found[name] = [(event.start, event.end) for event in ended + events.end()]
    return found


def scores(truth: dict[str, list], found: dict[str, list]) -> dict[str, float]:
    """Return event-based F1 with each collar, with and without the offsets, missed events and false alarms per hour."""
    true, ours = (
        np.array([np.add(event, 1000 * n) for n, name in enumerate(truth) for event in events[name]]).reshape(-1, 2)
        for events in (truth, found)
    )
    same = [np.full(len(events), 440.0) for events in (true, ours)]  # one class: every pitch alike
    result = {}
    for name, collar in COLLARS.items():
        asked = {"onset_tolerance": collar, "offset_min_tolerance": collar}
        for what, share in (("onset", None), ("onset and offset", 0.5)):
            result[f"{what}, {name}"] = mir_eval.transcription.precision_recall_f1_overlap(
                true, same[0], ours, same[1], offset_ratio=share, **asked
            )[2]
    meet = (true[:, None, 0] < ours[None, :, 1]) & (ours[None, :, 0] < true[:, None, 1])
    return result | {
        "events": len(true),
        "missed": int((~meet.any(axis=1)).sum()),
        "false": int((~meet.any(axis=0)).sum()),
    }


def chosen(models: dict[Path, Path], truths: dict[Path, dict[str, list]], hop: float | None) -> Rule:
    """Return the rule with the best mean F1 of onsets within a second, on the hours of the validation parts."""
    total = dict.fromkeys(GRID, 0.0)
    for model, clips in models.items():
        detector = Detector.load(model, hop)
        heard = windows(detector, clips)
        for rule in GRID:
            total[rule] += scores(truths[clips], events_by(rule, detector, heard))["onset, 1 s"]
    return max(total, key=total.__getitem__)


def main() -> None:
    """Train, mix, choose, predict, score, print and write."""
    experiments = "experiments={over_time: {inputs: [log_spectrogram, log_mel], models: [cnn]}}"
    trained = ["--to", ROOT.name, f"datasets=[{DATASET}]", "protocols=[grouped]", experiments]
    subprocess.run([sys.executable, str(PROJECT / "benchmarks" / "real.py"), *trained], check=True)
    split = files.read_table(ROOT / "data" / "splits" / DATASET / "grouped.parquet")
    manifest = files.read_table(ROOT / "data" / "manifest" / f"{DATASET}.parquet")
    raw = ROOT / "data" / "raw" / DATASET
    sounds = {row.recording: decode.load(raw / row.path, RATE) for row in manifest.itertuples()}
    truths, models = {}, {part: {} for part in PARTS}
    for fold, part in product(sorted(split["fold"].unique().tolist()), PARTS):
        clips = ROOT / "hours" / f"{part}{fold}"
        truths[clips] = hour(split, fold, part, sounds, clips)
        trained = sorted((ROOT / "data" / "models" / DATASET).glob(f"*/grouped-*-fold{fold}"))
        models[part] |= dict.fromkeys(trained, clips)
    ways = [("default", None, Rule())]
    ways += [("chosen", hop, chosen(models["validation"], truths, hop)) for hop in (None, FINE)]
    found = [
        {"experiment": model.parent.name, "run": model.name, "rule": name, "hop": Detector.load(model, hop).hop}
        | asdict(rule)
        | scores(truths[clips], predicted(model, clips, hop, rule))
        for model, clips in models["test"].items()
        for name, hop, rule in ways
    ]
    means = pd.DataFrame(found).groupby(["experiment", "rule", "hop"], sort=False).mean(numeric_only=True)
    write("events", {"hours": split["fold"].nunique(), "runs": found})
    print(means.to_string(float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
