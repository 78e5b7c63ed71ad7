"""The clips of FSD50K as one table: who uploaded each to freesound.org, and its licence.

They are published as two JSON files, `{fname: {"uploader": …, "license": …, "title": …, …}}`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ["fname", "uploader", "license"]
FILES = ("dev_clips_info_FSD50K.json", "eval_clips_info_FSD50K.json")
FOLDER = "FSD50K.metadata"


def convert(unpacked: Path, out: Path) -> None:
    """Write `out/FSD50K.metadata/clips.csv` from the JSON files in `unpacked`.

    Raises
    ------
    ValueError
        If a file is missing or reads otherwise.
    """
    rows = [row for name in FILES for row in _rows(unpacked / FOLDER / name)]
    (out / FOLDER).mkdir()
    with (out / FOLDER / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(rows)


def _rows(path: Path) -> Iterator[list[str]]:
    if not path.is_file():
        raise ValueError(f"{FOLDER}/{path.name} is missing")
    clips = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(clips, dict):
        raise ValueError(f"{path.name}: expected a mapping of clips")
    for name, clip in clips.items():
        if not isinstance(clip, dict):
            raise ValueError(f"{path.name}: expected a mapping with uploader and license for clip {name}")
        yield [name, *(str(clip.get(key) or "") for key in COLUMNS[1:])]
