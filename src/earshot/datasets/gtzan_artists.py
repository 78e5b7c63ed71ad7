"""The artist groups of GTZAN as one table, made from the text files they are published in.

`f1_evaluate_groups.txt` to `f3_evaluate_groups.txt` have a line `./GENRE_NNNNN.wav<TAB>GROUP` for each track
that is tested in that fold. Each track is tested once, so the three together are the whole table.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

COLUMNS = ["filename", "genre", "artist_group", "test_fold"]
FOLDS = (1, 2, 3)
LINE = re.compile(r"\./(?P<genre>[a-z]+)_(?P<number>\d{5})\.wav\t(?P<group>\d+)")


def convert(unpacked: Path, out: Path) -> None:
    """Write `out/artist_groups.csv` from the text files in `unpacked`.

    Raises
    ------
    ValueError
        If a text file is missing or a line of it reads otherwise.
    """
    rows = sorted(row for fold in FOLDS for row in _rows(unpacked / f"f{fold}_evaluate_groups.txt", fold))
    with (out / "artist_groups.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(rows)


def _rows(path: Path, fold: int) -> list[tuple[str, str, str, int]]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing")
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not (match := LINE.fullmatch(line)):
            raise ValueError(f"{path.name}: expected './GENRE_NNNNN.wav<TAB>GROUP', found {line!r}")
        rows.append((f"{match['genre']}.{match['number']}.wav", match["genre"], match["group"], fold))
    return rows
