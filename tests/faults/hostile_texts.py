"""Cards, label tables and params.yaml as nobody should write them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from conftest import PROJECT
from earshot.datasets import card as cards
from earshot.datasets import listing, stretches
from earshot.datasets.annotations import formats
from earshot.datasets.annotations.annotation import Annotation
from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.settings import compared, read_params
from faults.contained import Kind
from faults.mutations import broken_text

PARAMS = (PROJECT / "params.yaml").read_text("utf-8")
CARDS = [*(PROJECT / "conf" / "cards").glob("*.yaml"), *(PROJECT / "tests" / "cards").glob("*.yaml")]
TEXTS = [path.read_text("utf-8") for path in sorted(CARDS)]
UNITED = ("synthetic_sirens", "sirens")  # cards that others name
RECORDINGS, SECONDS = ("a", "b", "c"), 10.0
EVENTS = [
    Annotation(start, start + 1.5, label, file, 100.0, 4000.0, 0.5)
    for start, label, file in [(0.0, "siren", "a"), (1.0, "horn", "a"), (4.25, "siren", "b"), (7.0, "dog, far", "c")]
]
FILE = {"kind": "table", "file": "labels.csv", "path": "{file}.wav"}
TABLES: list[tuple[dict[str, Any], str]] = [  # layouts, and what they read
    ({**FILE, "label": "class", "group": "who"}, "file,class,who\na,siren,1\nb,horn,2\nc,siren,NA\n"),
    ({**FILE, "label": "class", "separator": ","}, 'file\tclass\na\tsiren,horn\nb\t\nc\t"dog, horn"\n'),
    (
        {**FILE, "label": "class", "start": "from", "end": "to"},
        "file;class;from;to\na;siren;0;1,5\na;horn;2;3\nb;dog;1;9\n",
    ),
    ({"kind": "features", "file": "labels.csv"}, "filename,label,x,y\na,siren,0.5,1e3\nb,horn,-1,2\nc,dog,0,0\n"),
    *(
        ({"kind": "events", "format": form, "labels": "labels.csv", "background": "other"}, formats.write(form, EVENTS))
        for form in ("raven", "dcase", "audioset", "csv")
    ),
    ({"kind": "events", "format": "audacity", "labels": "{stem}.csv"}, formats.write("audacity", EVENTS)),
]


def kinds() -> Iterator[Kind]:
    """Yield them."""
    yield Kind("cards", _write_card, judge_card)
    yield Kind("label tables", _write_table, judge_table)
    yield Kind("params.yaml", _write_params, judge_params)


def _write_card(rng: Random, folder: Path) -> None:
    there = folder / "conf" / "cards"
    there.mkdir(parents=True)
    for name in UNITED:
        (there / f"{name}.yaml").symlink_to(PROJECT / "conf" / "cards" / f"{name}.yaml")
    (there / "ours.yaml").write_bytes(broken_text(rng.choice(TEXTS), rng))


def judge_card(folder: Path) -> None:
    """Read a card, and ask what others ask it."""
    os.environ["EARSHOT_ROOT"] = str(folder)
    try:
        card = cards.load_card("ours")
        _ = card.clips, card.multi_label, card.label, cards.known_bad_of(card), cards.members_of(card)
        cards.channel_of(card)("sirens/a.wav" if card.union and "sirens" in card.union else "a.wav")
    except EarshotError as error:
        assert ".yaml" in str(error) or "no dataset is called" in str(error), error
        raise


def _write_table(rng: Random, folder: Path) -> None:
    number = rng.randrange(len(TABLES))
    for name in RECORDINGS:
        (folder / f"{name}.wav").touch()
    for name in ("labels", *RECORDINGS):
        (folder / f"{name}.csv").write_bytes(broken_text(TABLES[number][1], rng))
    (folder / f"{number}.layout").touch()


def judge_table(folder: Path) -> None:
    """List the recordings of a dataset with such a table, and their stretches."""
    [number] = folder.glob("*.layout")
    about = {"title": "ours", "task": "ours", "licence": "none", "citation": "none", "source": {"folder": "."}}
    try:
        rows = listing.recordings_of(Card(name="ours", **about, layout=TABLES[int(number.stem)][0]), folder)
    except EarshotError as error:
        assert ".csv" in str(error) or "begins with a bracket" in str(error), error
        raise
    for row in rows:
        if "annotations" in row:
            for part in stretches.facts(row["annotations"], SECONDS, row["background"])["stretches"]:
                assert 0 <= part["start"] <= part["stop"]


def _write_params(rng: Random, folder: Path) -> None:
    (folder / "conf").symlink_to(PROJECT / "conf")
    (folder / "params.yaml").write_bytes(broken_text(PARAMS, rng))


def judge_params(folder: Path) -> None:
    """Read the settings as each command does."""
    os.environ["EARSHOT_ROOT"] = str(folder)
    try:
        compared(read_params())
    except EarshotError as error:
        assert "params.yaml" in str(error), error
        raise
