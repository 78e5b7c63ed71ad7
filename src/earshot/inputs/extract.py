"""Extraction: recordings -> data/features/DATASET/INPUT/part-*.parquet, shard by shard.

One file added to ten thousand costs one file and one shard, and a killed run goes on where it was: see `kept`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import sys
from collections import Counter
from collections.abc import Generator
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl

from earshot import inputs, project, seal
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import manifest, place
from earshot.datasets.card import Card
from earshot.datasets.place import Known
from earshot.datasets.reading import PLAIN, Reading, reading_of
from earshot.errors import EarshotError
from earshot.inputs import from_table, kept, shards, stored
from earshot.processes import keep_memory

WARM_SECONDS = 4  # longer than most windows
TRIES = 3  # where another process does the same, and removes what this one has seen
UNKNOWN = 2**12  # bytes of a row, of an input that makes none of `WARM_SECONDS`

Job = tuple[Path, Path, Reading, Known]  # where to keep the rows, the recording, how it is read, what it must be


def extract_to(cached: Path, path: Path, built: inputs.Input, reading: Reading = PLAIN) -> None:
    """Compute one recording's rows and keep them at `cached`; memory does not grow with the recording."""
    rows = built.rows(reading.stream(path, built.sample_rate))
    kept.write_rows(cached, stored.together(rows, np.size, np.concatenate))


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
    _some_rows(built)


def _some_rows(built: inputs.Input) -> np.ndarray | None:
    """Return the first rows of noise, if there are any."""
    _one_thread()  # threads of this process would not be there in a forked one, which would wait for them
    noise = np.random.default_rng(0).standard_normal(round(WARM_SECONDS * built.sample_rate))
    rows = next(iter(built.rows([noise.astype(np.float32)])), None)
    _one_thread()  # torch may have come with it
    return rows


def extract_all(jobs: list[Job], built: inputs.Input, workers: int, label: str) -> Generator[None, None, None]:
    """Compute the rows of recordings, in parallel; yield when one is there, in the order of the jobs.

    Parameters
    ----------
    workers : processes; the result does not depend on it
    """
    if not jobs:
        return
    todo = [(cached, path, built, reading, known) for cached, path, reading, known in jobs]
    load = functools.partial(_warm, built)
    with pools.forked(min(workers, len(jobs)), load, __name__, type(built).__module__) as pool:
        yield from each(pool, extract_one, todo, label, "file", [job[1] for job in jobs])


def extract_one(cached: Path, path: Path, built: inputs.Input, reading: Reading, known: Known) -> None:
    """Do `extract_to` in a worker, unless another one has done it that was killed later.

    Raises
    ------
    OSError
        If the disk does not do its part.
    EarshotError
        Whatever else happens; it names the recording.
    """
    begin()
    place.check_one(path, known)
    try:
        if not seal.is_whole(cached):
            extract_to(cached, path, built, reading)
    except OSError:
        raise
    except Exception as error:
        raise EarshotError(f"{path}: its features can't be computed ({error!r})") from error


def sizes(built: inputs.Input, seconds: pd.Series, row: int) -> list[int]:
    """Return how many bytes the values of recordings of so many `seconds` have, about; `row` is those of a row."""
    return [max(1, ceil(built.first_row(length))) * row for length in seconds]


def bytes_of_row(built: inputs.Input, key: str, home: Path) -> int:
    """Return how many bytes of a part a row of an input has, as noted beside its parts where they are of this `key`."""
    if built.columns:
        return len(built.columns) * np.dtype(np.float64).itemsize
    noted = stored.recipe_of(home) if (home / stored.INDEX).exists() else {}
    if noted.get("key") == key:
        return int(noted["row"])
    rows = None
    with contextlib.suppress(Exception):  # an input that fails is told of with the recording that it fails on
        rows = _some_rows(built)
    return UNKNOWN if rows is None else rows.shape[1] * rows.itemsize


def extract(card: Card, input_name: str, params: dict[str, Any], workers: int, most: int = shards.BYTES) -> None:
    """Write an input representation of all recordings of a dataset; features that it gives are taken as they are.

    Parameters
    ----------
    most : bytes of values in a shard
    """
    if not card.has_sound:
        from_table.write(card, input_name, most)
        return
    for _ in range(TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return _extract(card, input_name, params, workers, most)
    return _extract(card, input_name, params, workers, most)


def _extract(card: Card, input_name: str, params: dict[str, Any], workers: int, most: int) -> None:
    built = inputs.build(input_name, params, card.task, card.clips)
    recipe = inputs.recipe(input_name, built)
    recordings = manifest.read(card.name)
    readings = [*map(reading_of(card, params["windows"]), recordings["recording"])]
    keys = {reading: kept.cache_key(built, recipe, reading) for reading in dict.fromkeys(readings)}
    recordings = recordings.assign(reading=readings, key=[keys[reading] for reading in readings])
    home = kept.home(input_name, recipe, card.name)
    key = kept.cache_key(built, recipe)
    row = bytes_of_row(built, key, home)
    planned = kept.planned(home, recordings, sizes(built, recordings["seconds"], row), most)
    missing = {path: some for path, some in planned.items() if not stored.is_whole(path)}
    made = _write(missing, card, built, {**recipe, "dataset": card.name}, workers)
    read = recordings["sha256"] if len(keys) == 1 else recordings["key"] + recordings["sha256"]
    digest = hashlib.sha256("".join([*keys.values(), *read]).encode()).hexdigest()
    facts = {**recipe, "dataset": card.name, "digest": digest, "key": key, "row": row}
    index = stored.write_index(home, [*planned], recordings, facts)
    stored.publish(project.features(card.name, input_name), [*planned, index])
    kept.forget(home, planned)
    print(
        f"{card.label}: {input_name} of {len(recordings)} recordings, {len(recordings) - made} of them kept from before"
    )


def _write(
    parts: dict[Path, pd.DataFrame], card: Card, built: inputs.Input, recipe: dict[str, Any], workers: int
) -> int:
    """Write parts, each when its recordings are there; return how many recordings had to be computed.

    Parameters
    ----------
    parts : recordings by path, see `kept.planned`; with a column `reading`
    """
    if not parts:
        return 0
    folder, [home] = place.folder(card), {path.parent for path in parts}
    every = pd.concat([some.assign(part=path) for path, some in parts.items()])
    pairs = zip(every["key"], every["sha256"], strict=True)
    every["waiting"] = [kept.waiting(recipe["input"], key, sha256) for key, sha256 in pairs]
    every = every.merge(kept.in_parts(home), "left", ["key", "sha256"])
    absent = every[[not seal.is_whole(path) for path in every["waiting"]]]
    computed = absent[absent["kept_in"].isna()]
    place.bring(card, computed["path"])
    todo = computed.drop_duplicates("waiting")
    paths = (folder / path for path in todo["path"])
    jobs = list(zip(todo["waiting"], paths, todo["reading"], place.known(card, todo["sha256"]), strict=True))
    from_parts = {
        path: dict(zip(some["kept_as"], some["waiting"], strict=True)) for path, some in absent.groupby("kept_in")
    }
    n_jobs, users = Counter(todo["part"]), Counter(every["waiting"])
    with contextlib.closing(extract_all(jobs, built, workers, f"{recipe['input']} of {card.label}")) as done:
        for path, some in every.groupby("part", sort=False):
            for _ in itertools.islice(done, n_jobs[path]):
                pass
            for kept_in in some["kept_in"].dropna().unique():
                kept.unpack(kept_in, from_parts.pop(kept_in, {}))
            _write_part(path, some, built.columns, recipe)
            users.subtract(some["waiting"])
            for one in some["waiting"]:
                if users[one] == 0:
                    one.unlink(missing_ok=True)
        for _ in done:  # what has failed is told when all others are done
            pass
    return len(computed)


def _write_part(path: Path, some: pd.DataFrame, columns: list[str] | None, recipe: dict[str, Any]) -> None:
    tables = (
        table
        for recording, sha256, rows in zip(some["recording"], some["sha256"], some["waiting"], strict=True)
        for table in stored.tables(recording, sha256, kept.read_rows(rows), columns)
    )
    stored.write_part(path, tables, recipe)
