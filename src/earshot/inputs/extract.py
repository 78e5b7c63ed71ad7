"""Extraction: recordings -> data/features/DATASET/INPUT.parquet.

What was computed for a recording is kept in data/cache by the recording's bytes, the input's settings and the
code that computed it. One file added to ten thousand costs one file, and a killed run goes on where it was.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import threadpoolctl

from earshot import files, inputs, project, provenance
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import manifest, place
from earshot.datasets.card import Card
from earshot.datasets.reading import PLAIN, Reading, reading_of
from earshot.errors import EarshotError
from earshot.inputs import from_table
from earshot.processes import keep_memory

WARM_SECONDS = 4  # longer than most windows
PART = 2**22  # values of a recording, or bytes of short ones, that are written at a time


def cache_key(built: inputs.Input, recipe: dict[str, Any], reading: Reading = PLAIN) -> str:
    """Return a hash of all that decides an input's values apart from the recording: settings, code, libraries."""
    code = provenance.code(type(built).__module__, "earshot.audio.decode", "earshot.audio.padding")
    return provenance.digest([recipe, code, *reading.particulars])[:16]


def parts(pieces: Iterable[Any], size: Callable[[Any], int], join: Callable[[list[Any]], Any]) -> Iterator[Any]:
    """Put pieces together until their sizes reach `PART`; the last part may be smaller."""
    held, together = [], 0
    for piece in pieces:
        held.append(piece)
        together += size(piece)
        if together >= PART:
            yield join(held)
            held, together = [], 0
    if held:
        yield join(held)


def extract_to(cached: Path, path: Path, built: inputs.Input, reading: Reading = PLAIN) -> None:
    """Compute one recording's rows and keep them at `cached`; memory does not grow with the recording."""
    with files.replacing(cached) as temporary, temporary.open("wb") as file:
        rows = built.rows(reading.stream(path, built.sample_rate))
        for part in parts(rows, np.size, np.concatenate):
            np.save(file, part, allow_pickle=False)
            del part  # before the next is put together


def kept_parts(cached: Path) -> Iterator[np.ndarray]:
    """Yield the parts of a recording that `extract_to` kept, in order."""
    with cached.open("rb") as file:
        while file.peek(1):
            yield np.load(file, allow_pickle=False)


@functools.cache
def begin() -> None:
    """Prepare a worker, once: one thread, so that none takes another's core, and memory kept for the next recording."""
    keep_memory()
    _one_thread()


def _one_thread() -> None:
    threadpoolctl.threadpool_limits(1)
    if "torch" in sys.modules:  # a backbone's; it counts its threads by itself
        sys.modules["torch"].set_num_threads(1)


def _warm(built: inputs.Input) -> None:
    """Import and compile what extraction needs, once for all workers that are forked from here."""
    _one_thread()  # threads of this process would not be there in a forked one, which would wait for them
    noise = np.random.default_rng(0).standard_normal(round(WARM_SECONDS * built.sample_rate))
    next(built.rows([noise.astype(np.float32)]), None)
    _one_thread()  # torch may have come with it


def extract_all(
    jobs: list[tuple[Path, Path]], built: inputs.Input, workers: int, label: str, reading: Reading = PLAIN
) -> None:
    """Compute what is not in the cache yet, in parallel.

    Parameters
    ----------
    jobs : (where to keep the rows, the recording)
    workers : processes; the result does not depend on it
    """
    missing = [job for job in jobs if not job[0].exists()]
    if not missing:
        return
    todo = [(cached, path, built, reading) for cached, path in missing]
    load = functools.partial(_warm, built)
    with pools.forked(min(workers, len(missing)), load, __name__, type(built).__module__) as pool:
        for _ in each(pool, extract_one, todo, label, "file", [path for _, path in missing]):
            pass


def extract_one(cached: Path, path: Path, built: inputs.Input, reading: Reading) -> None:
    """Do `extract_to` in a worker, unless another one has done it that was killed later.

    Raises
    ------
    EarshotError
        Whatever happens; it names the recording.
    """
    begin()
    try:
        if not cached.exists():
            extract_to(cached, path, built, reading)
    except Exception as error:
        raise EarshotError(f"{path}: its features can't be computed ({error!r})") from error


def tables(recordings: pd.DataFrame, cached: list[Path], columns: list[str] | None) -> Iterator[pa.Table]:
    """Yield a table for each part of each recording.

    Named features become columns, a row for each window; others become one row with the flat `values` of
    shape (frames, bins).
    """
    for recording, sha256, path in zip(recordings["recording"], recordings["sha256"], cached, strict=True):
        first = 0
        for rows in kept_parts(path):
            if columns:
                named = dict(zip(columns, rows.T.astype(np.float64), strict=True))
                window = np.arange(first, first + len(rows))
                yield pa.table({"recording": [recording] * len(rows), "window": window, **named})
            else:
                facts = {"recording": [recording], "sha256": [sha256], "first": [first]}
                facts |= {"frames": [len(rows)], "bins": [rows.shape[1]]}
                yield pa.table({**facts, "values": pa.ListArray.from_arrays([0, rows.size], rows.ravel())})
            first += len(rows)


def write(path: Path, tables: Iterator[pa.Table], recipe: dict[str, Any]) -> None:
    """Write tables one after another, so that only some are in memory at a time; short recordings' go together."""
    together = parts(tables, lambda table: table.nbytes, pa.concat_tables)
    first = next(together)
    schema = files.with_recipe(first.schema, recipe)
    with (
        files.replacing(path) as temporary,
        # samples and log power hardly repeat: a dictionary would only cost time
        pq.ParquetWriter(temporary, schema, compression="lz4", use_dictionary=["recording"]) as writer,
    ):
        for part in itertools.chain([first], together):
            writer.write_table(part.cast(schema))


def extract(card: Card, input_name: str, params: dict[str, Any], workers: int) -> None:
    """Write an input representation of all recordings of a dataset; features that it gives are taken as they are."""
    if not card.has_sound:
        from_table.write(card, input_name)
        return
    built = inputs.build(input_name, params, card.task, card.clips)
    recipe = inputs.recipe(input_name, built)
    recordings = manifest.read(card.name)
    readings = [*map(reading_of(card, params["windows"]), recordings["recording"])]
    keys = {reading: cache_key(built, recipe, reading) for reading in dict.fromkeys(readings)}
    names = [(keys[reading], sha256) for reading, sha256 in zip(readings, recordings["sha256"], strict=True)]
    cached = [project.cache("features", input_name, key, f"{sha256}.npy") for key, sha256 in names]
    raw = place.folder(card)
    place.verify(card, [path for kept, path in zip(cached, recordings["path"], strict=True) if not kept.exists()])
    jobs = [(kept, raw / path) for kept, path in zip(cached, recordings["path"], strict=True)]
    known = sum(kept.exists() for kept in cached)
    for reading in keys:
        mine = [job for job, its in zip(jobs, readings, strict=True) if its == reading]
        extract_all(mine, built, workers, f"{input_name} of {card.label}", reading)
    read = recordings["sha256"] if len(keys) == 1 else map("".join, names)
    digest = hashlib.sha256("".join([*keys.values(), *read]).encode()).hexdigest()
    out = project.features(card.name, input_name)
    write(out, tables(recordings, cached, built.columns), {**recipe, "dataset": card.name, "digest": digest})
    print(f"{card.label}: {input_name} of {len(cached)} recordings, {known} of them kept from before")
