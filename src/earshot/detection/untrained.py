"""A detector with nothing trained: a backbone's own classes, or those that are asked for by name."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from earshot import backbones, inputs, project
from earshot.backbones import Backbone
from earshot.backbones.fetch import KIND
from earshot.detection.detector import Detector
from earshot.detection.rule import Rule
from earshot.errors import EarshotError
from earshot.inputs.embedding import Tags
from earshot.trained import model_folder

DEFAULT = "mn04_as"  # 4 MB
LENGTH, HOP = 2.0, 1.0  # seconds: measured in docs/events.md
LEVEL = -20.0  # RMS in dB below full scale, as in params.yaml: faint and loud recordings sound alike
LEAST = 0.05  # probability of a class that is asked for
ANY = Rule(threshold=0.3, release=0.15)  # of all classes: at LEAST every sound is many things
CHOSEN = Rule(threshold=LEAST, release=LEAST / 2)
EXACTLY = "="


def load(name: str, labels: Iterable[str] = (), hop: float | None = None) -> Detector:
    """Return a detector of a backbone, which is fetched the first time.

    Parameters
    ----------
    name : of a card in conf/backbones/
    labels : names of classes, see `named`; by default all classes of the backbone
    hop : of the windows, in seconds

    Raises
    ------
    EarshotError
        If the backbone can't be obtained, or has no such class.
    """
    backbone = backbones.load(name)
    chosen = named(labels, backbone)
    members = chosen or {label: [number] for number, label in enumerate(backbone.classes)}
    window = {"length": LENGTH, "hop": hop or HOP}
    built = Tags(name, backbone.card.digest, backbone.card.sample_rate, **window, level=LEVEL)
    settings = {
        "dataset": name,
        "classes": list(members),
        "thresholds": [LEAST if chosen else 0.5] * len(members),
        "input": inputs.recipe("tags", built),
        "model": {
            "name": "zero_shot",
            "_target_": "earshot.models.zero_shot.ZeroShot",
            "members": list(members.values()),
            "threshold": LEAST,
            "multi_label": True,
        },
        "window_shape": [1, len(backbone.classes)],
        "seconds": LENGTH,
        "hop": window["hop"],
        "pad": {"seconds": LENGTH, "how": "zero"},
        "rule": asdict(CHOSEN if chosen else ANY),
    }
    return Detector(settings, model_folder.restore(settings, {}), window["hop"])


def named(labels: Iterable[str], backbone: Backbone) -> dict[str, list[int]]:
    """Return for each class that is asked for the numbers of the backbone's classes that count as it.

    Parameters
    ----------
    labels : each a name, or several with commas between them. A name stands for all classes that have it in theirs as
        whole words, whatever the case: `siren` for Siren, Police car (siren) and others. `=Siren` is that class alone.

    Raises
    ------
    EarshotError
        If there is no such class.
    """
    found: dict[str, list[int]] = {}
    for label in _parts(labels, backbone.classes):
        numbers = _matching(label, backbone.classes)
        if not numbers:
            raise EarshotError(f"{backbone.card.name} has no class '{label}': {_near(label, backbone)}")
        found.setdefault(label.removeprefix(EXACTLY).strip(), numbers)
    return found


def told(detector: Detector) -> list[str]:
    """Return lines that tell what a detector of `load` is."""
    backbone = backbones.load(detector.settings["input"]["backbone"])
    card, members = backbone.card, detector.settings["model"]["members"]
    urls = [f", from {url}" for url in card.files[0].urls[:1]]
    lines = [f"{card.name}, untrained on your data: {card.title}", f"  licence: {''.join([card.licence, *urls])}"]
    if len(members) < len(backbone.classes):
        for label, numbers in zip(detector.classes, members, strict=True):
            lines.append(f"  {label}: {_or([backbone.classes[number] for number in numbers])}")
    others = [name for name in backbones.backbone_names() if name != card.name]
    lines.append(
        "  to choose: --labels siren,dog for some classes, --model FOLDER or --champion DATASET for a trained model"
        + (f", --backbone for {', '.join(others)}" if others else "")
    )
    return lines


def _or(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"the highest of {'; '.join(names)}"


def _parts(labels: Iterable[str], classes: Sequence[str]) -> list[str]:
    """Split at commas what is no class by itself: names have commas as well."""
    known, parts = {name.casefold() for name in classes}, []
    for label in labels:
        whole = label.removeprefix(EXACTLY).strip().casefold() in known
        parts += [label] if whole else next(csv.reader([label], skipinitialspace=True), [])
    return [part.strip() for part in parts if part.strip(f"{EXACTLY} ")]


def _matching(label: str, classes: Sequence[str]) -> list[int]:
    if label.startswith(EXACTLY):
        wanted = label.removeprefix(EXACTLY).strip().casefold()
        return [number for number, name in enumerate(classes) if name.casefold() == wanted]
    words = re.compile(rf"(?<!\w){re.escape(label)}(?!\w)", re.IGNORECASE)
    return [number for number, name in enumerate(classes) if words.search(name)]


def _near(label: str, backbone: Backbone) -> str:
    """Say which classes one may have meant, or where all of them are listed."""
    words: Mapping[str, str] = {word.casefold(): name for name in backbone.classes for word in re.findall(r"\w+", name)}
    known = {**words, **{name.casefold(): name for name in backbone.classes}}
    near = difflib.get_close_matches(label.removeprefix(EXACTLY).casefold(), known, n=3)
    if near:
        return f"did you mean {' or '.join(dict.fromkeys(known[each] for each in near))}?"
    return f"{project.cache(KIND, backbone.card.name, backbone.card.classes.file)} lists its {len(backbone.classes)}"
