"""What was computed before: parts in data/cache, and the rows of single recordings on their way into one.

A part holds all recordings of a shard. Until they are there the rows of each wait in a file of their own, by the
recording's bytes, the input's settings and the code that computed them. So a killed run goes on where it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earshot import files, inputs, project, provenance, seal
from earshot.datasets.reading import PLAIN, Reading
from earshot.errors import EarshotError
from earshot.inputs import shards, stored


def cache_key(built: inputs.Input, recipe: dict[str, Any], reading: Reading = PLAIN) -> str:
    """Return a hash of all that decides an input's values apart from the recording: settings, code, libraries."""
    code = provenance.code(type(built).__module__, "earshot.audio.decode", "earshot.audio.padding")
    return provenance.digest([recipe, code, *reading.particulars])[:16]


def home(input_name: str, recipe: dict[str, Any], dataset: str) -> Path:
    """Return the folder in data/cache of a dataset's parts; those of other settings are in others."""
    return project.cache("features", input_name, provenance.digest(recipe)[:16], dataset)


def planned(home: Path, recordings: pd.DataFrame, sizes: Sequence[int], most: int) -> dict[Path, pd.DataFrame]:
    """Return the recordings of each part that a dataset is to have, by the path of the part.

    Parameters
    ----------
    recordings : columns recording, sha256 and key; parts hold them in this order
    sizes, most : see `shards.cut`
    """
    cut = shards.cut(recordings["recording"].tolist(), sizes, most)
    found = {place: recordings.iloc[positions] for place, positions in cut.items()}
    return {home / stored.part_name(place, some): some for place, some in found.items()}


def waiting(input_name: str, key: str, sha256: str) -> Path:
    """Return where the rows of a recording wait for the others of its shard."""
    return project.cache("features", input_name, key, f"{sha256}.npy")


def write_rows(path: Path, pieces: Iterable[np.ndarray]) -> None:
    """Write a recording's rows, some at a time."""
    # not synced, which would take longer than the rows of a short recording: what is not whole is computed again
    with files.replacing(path, synced=False) as temporary:
        with temporary.open("wb") as file:
            for piece in pieces:
                np.save(file, piece, allow_pickle=False)
                del piece  # before the next is there
        seal.append(temporary, path)


def read_rows(path: Path) -> Iterator[np.ndarray]:
    """Yield the pieces that `write_rows` wrote, in order.

    Raises
    ------
    EarshotError
        If they are not as they were written.
    """
    stop = path.stat().st_size - seal.LENGTH
    if not seal.is_whole(path):
        raise EarshotError(f"{path} has changed since it was written: run the same command again, which computes it")
    with path.open("rb") as file:
        while file.tell() < stop:
            yield np.load(file, allow_pickle=False)


def in_parts(home: Path) -> pd.DataFrame:
    """List the recordings whose rows are in parts, those of this dataset and of others with the same settings.

    Returns
    -------
    Columns key, sha256, kept_in (the part) and kept_as (the recording's name there); a row for each key and sha256
    """
    columns = ["key", "sha256", "kept_in", "kept_as"]
    found = [pd.DataFrame(columns=columns)]
    for index in sorted(home.parent.glob(f"*/{stored.INDEX}")):
        table = files.read_table(index)
        paths = {name: index.with_name(name) for name in table["part"].unique()}
        whole = {name: path for name, path in paths.items() if stored.is_whole(path)}
        table = table.assign(kept_in=table["part"].map(whole), kept_as=table["recording"])
        found.append(table.loc[table["part"].isin(whole), columns])
    return pd.concat(found).drop_duplicates(["key", "sha256"])


def unpack(part: Path, wanted: Mapping[str, Path]) -> None:
    """Have recordings that are in a part wait for a new one, each at the path that is given by its name."""
    if wanted:
        for recording, pieces in groupby(stored.read_part(part), lambda one: one[0]):
            if recording in wanted:
                write_rows(wanted[recording], (rows for _, rows in pieces))


def share(home: Path, parts: Iterable[Path]) -> None:
    """Replace parts in data/cache by links to the same ones that are read, of which DVC makes copies of its own."""
    for part in parts:
        mine = home / part.name
        with contextlib.suppress(OSError):  # there is none, or it is on another file system
            if not mine.samefile(part):
                with files.replacing(mine) as temporary:
                    os.link(part.resolve(), temporary)


def forget(home: Path, parts: Collection[Path]) -> None:
    """Remove the parts of a dataset that are no longer its own."""
    for path in {*home.glob("part-*.parquet")} - {*parts}:
        path.unlink(missing_ok=True)
