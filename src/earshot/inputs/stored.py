"""A dataset's features as they are stored: a folder of parquet files, one for each shard, and their index.

`pandas.read_parquet(FOLDER)` and `pyarrow.dataset.dataset(FOLDER)` read it as one table; they pass over the index,
whose name begins with "_". It has a row for each recording, and the recipe in its metadata.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earshot import files, provenance

INDEX = "_index.parquet"
NAME = "part"  # in a part's recipe, so that none is taken for another
LAYOUT = 2  # of the tables; another number has all parts written anew, of the values that are kept
PART = 2**22  # values of a recording, or bytes of short ones, that are written at a time


def part_name(place: int, recordings: pd.DataFrame) -> str:
    """Return the name of the file with some recordings' features, with a hash of all that decides its bytes.

    Parameters
    ----------
    place : the first of the shard, see `shards.cut`
    recordings : columns recording, sha256 and `key` (what else decides its values), in the file's order
    """
    made_of = [LAYOUT, pa.__version__, *(recordings[name].tolist() for name in ("recording", "sha256", "key"))]
    return f"part-{place:05x}-{provenance.digest(made_of)[:12]}.parquet"


def together(pieces: Iterable[Any], size: Callable[[Any], int], join: Callable[[list[Any]], Any]) -> Iterator[Any]:
    """Put pieces together until their sizes reach `PART`; the last ones may be smaller."""
    held, held_size = [], 0
    for piece in pieces:
        held.append(piece)
        held_size += size(piece)
        if held_size >= PART:
            yield join(held)
            held, held_size = [], 0
    if held:
        yield join(held)


def tables(recording: str, sha256: str, pieces: Iterable[np.ndarray], columns: list[str] | None) -> Iterator[pa.Table]:
    """Yield a table for each piece of a recording's rows.

    Named features become columns, a row for each window; others become one row with the flat `values` of
    shape (frames, bins).
    """
    first = 0
    for rows in pieces:
        if columns:
            named = dict(zip(columns, rows.T.astype(np.float64), strict=True))
            window = np.arange(first, first + len(rows))
            yield pa.table({"recording": [recording] * len(rows), "window": window, **named})
        else:
            facts = {"recording": [recording], "sha256": [sha256], "first": [first]}
            facts |= {"frames": [len(rows)], "bins": [rows.shape[1]]}
            yield pa.table({**facts, "values": pa.ListArray.from_arrays([0, rows.size], rows.ravel())})
        first += len(rows)


def write_part(path: Path, tables: Iterator[pa.Table], recipe: dict[str, Any]) -> None:
    """Write tables one after another, so that only some are in memory at a time; short recordings' go together."""
    some = together(tables, lambda table: table.nbytes, pa.concat_tables)
    first = next(some)
    schema = files.with_recipe(first.schema, {**recipe, NAME: path.name})
    with (
        files.replacing(path) as temporary,
        # samples and log power hardly repeat: a dictionary would only cost time
        pq.ParquetWriter(
            temporary, schema, compression="lz4", use_dictionary=["recording"], write_page_checksum=True
        ) as writer,
    ):
        for table in itertools.chain([first], some):
            writer.write_table(table.cast(schema))


def read_part(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the rows of a part, in pieces, each with its recording; they have the type that they are stored in.

    Raises
    ------
    EarshotError
        If it is not as it was written.
    """
    try:
        yield from _read_part(path)
    except files.DAMAGED as error:
        raise files.unreadable(path, error) from None


def _read_part(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    with files.opened_table(path) as file:
        if (named := files.recipe_in(file.schema_arrow.metadata or {}, path).get(NAME, path.name)) != path.name:
            raise ValueError(f"it is {named}")
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            names = table["recording"].to_pylist()
            if "values" in table.column_names:
                for name, values, bins in zip(names, table["values"], table["bins"].to_pylist(), strict=True):
                    yield name, values.values.to_numpy(zero_copy_only=False).reshape(-1, bins)
                continue
            rows = table.drop_columns(["recording", "window"]).to_pandas().to_numpy()
            begin = [n for n in range(len(names)) if n == 0 or names[n] != names[n - 1]]
            for first, last in itertools.pairwise([*begin, len(names)]):
                yield names[first], rows[first:last]


def kind(path: Path) -> tuple[int, np.dtype]:
    """Return the width of a part's rows, F, and the type that models are given: named features as float32."""
    with files.opened_table(path) as file:
        schema = file.schema_arrow
        if "values" not in schema.names:
            return len(schema) - len(("recording", "window")), np.dtype(np.float32)
        width = next(file.iter_batches(1, columns=["bins"]))["bins"][0].as_py()
        return width, np.dtype(schema.field("values").type.value_type.to_pandas_dtype())


def sizes(path: Path) -> dict[str, int]:
    """Return how many rows each recording of a part has, in their order."""
    has_frames = "frames" in pq.read_schema(path).names
    table = files.read_table(path, columns=["recording", "frames"] if has_frames else ["recording"])
    grouped = table.groupby("recording", sort=False)
    return (grouped["frames"].sum() if has_frames else grouped.size()).to_dict()


def is_whole(path: Path) -> bool:
    """Tell whether a part is there, to its end."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowInvalid):
        return False
    return True


def write_index(home: Path, parts: Sequence[Path], recordings: pd.DataFrame, recipe: dict[str, Any]) -> Path:
    """Write the index of parts beside them.

    Parameters
    ----------
    recordings : columns recording, sha256 and key; of all parts, in any order
    recipe : goes into the index's metadata
    """
    known = recordings.set_index("recording")
    found = []
    for path in parts:
        rows = sizes(path)
        facts = known.loc[list(rows), ["sha256", "key"]].reset_index()
        found.append(facts.assign(rows=list(rows.values()), part=path.name, bytes=path.stat().st_size))
    files.write_table(home / INDEX, pd.concat(found, ignore_index=True), recipe)
    return home / INDEX


def publish(folder: Path, paths: Sequence[Path]) -> None:
    """Make a folder of files, in the place of what was there: who reads meanwhile reads the old ones or the new.

    They are links where the file system has such, which take no space.
    """
    made = files.temporary_name(folder)
    former = made.with_suffix(".old")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        for path in paths:
            _link(path, made / path.name)
        if folder.exists():
            os.replace(folder, former)
        os.replace(made, folder)
    finally:
        for path in (made, former):
            shutil.rmtree(path, ignore_errors=True)


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # another file system, or one without links
        shutil.copyfile(path, to)


def recipe_of(folder: Path) -> dict[str, Any]:
    """Return the recipe of the features in a folder, with their `dataset` and `digest`.

    Raises
    ------
    EarshotError
        If there are none, or they can't be read.
    """
    return files.read_recipe(folder / INDEX)


def index(folder: Path) -> pd.DataFrame:
    """Return where the recordings of the features in a folder are.

    Returns
    -------
    Columns recording, rows (how many), part (the file's name) and bytes (of that file); in the order in which the files
    hold them

    Raises
    ------
    EarshotError
        If there are none, or a file is missing or not as it was written.
    """
    columns = ["recording", "rows", "part", "bytes"]
    found = files.read_table(folder / INDEX, columns=columns)
    for name, size in found.drop_duplicates("part")[["part", "bytes"]].itertuples(index=False):
        path = folder / name
        if (now := files.reading(path, lambda path: path.stat().st_size)) != size:
            raise files.unreadable(path, f"{now} bytes, and {size} were written")
    return found
