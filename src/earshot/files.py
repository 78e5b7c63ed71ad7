"""Reading and writing files: atomic writes, JSON, and parquet with the recipe it was made by in its metadata."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from earshot import seal
from earshot.errors import EarshotError

RECIPE_KEY = b"earshot"
MEND = "`earshot verify --remove` removes what is damaged, and `dvc repro` makes it anew"
DAMAGED = (ValueError, OSError, NotImplementedError)  # what readers of changed bytes raise
DECIMALS = 6
ROWS = 2**17  # that wait in memory while a table is written piece by piece
HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"  # machines that share a folder have equal process ids
TEMPORARY = re.compile(rf"\..+\.{HOST}\.(\d+)\.(tmp|old)")  # old: what a folder replaces, until it is gone


def temporary_name(path: Path) -> Path:
    """Return what a file or folder is called while this process writes it: a name of its own, beside `path`."""
    return path.with_name(f".{path.name}.{HOST}.{os.getpid()}.tmp")


def writer_of(temporary: Path) -> int | None:
    """Return the process of this machine that such a name is of, or None where it is no such name."""
    named = TEMPORARY.fullmatch(temporary.name)
    return int(named[1]) if named else None


@contextmanager
def replacing(path: Path, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it to `path` at the end, or remove it after an error.

    If the process is killed or the power fails in between, `path` is unchanged. The temporary name is this process's
    alone, also where machines share the folder.

    Parameters
    ----------
    synced : wait until the disk has the content; without it `path` may be cut short after the power has failed, which
        whoever reads it must see
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        yield temporary
        if synced:
            with temporary.open("r+b") as file:  # Windows writes out what may be written alone
                os.fsync(file.fileno())  # or the new name may be on the disk before the content is
        os.replace(temporary, path)
    except OSError as error:
        if error.errno is None:  # numpy's, which says how many bytes it could not write
            raise OSError(errno.EIO, f"{error}: is the disk full?", str(path)) from None
        error.filename = error.filename or str(path)  # a write names none
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")  # the same bytes on every system


def copy(source: Path, path: Path) -> None:
    """Copy a file to `path` in one step; a file that was there, which may be a link of DVC's cache, stays as it is."""
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


def rounded(value: Any) -> Any:
    """Return nested dictionaries and lists with all floats rounded to `DECIMALS`."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON, in the order given."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def with_recipe(schema: pa.Schema, recipe: dict[str, Any]) -> pa.Schema:
    """Return `schema` with `recipe` added to its metadata, and a digest of both."""
    made_by = {RECIPE_KEY: json.dumps(recipe, sort_keys=True)}
    return seal.schema(schema.with_metadata({**(schema.metadata or {}), **made_by}))


def write_table(path: Path, frame: pd.DataFrame, recipe: dict[str, Any]) -> None:
    """Write `frame` as parquet, in one step, with `recipe` in the schema's metadata."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.cast(with_recipe(table.schema, recipe))
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


@contextmanager
def writing_table(path: Path, recipe: dict[str, Any]) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Write a parquet file piece by piece, in one step: yield what takes the next rows.

    Up to `ROWS` the file has the bytes that `write_table` gives it; more rows never wait in memory. At least one frame
    must be given, if without rows.
    """
    with replacing(path) as temporary, ExitStack() as stack:
        waiting: list[pd.DataFrame] = []
        rows_waiting = 0
        writers: list[pq.ParquetWriter] = []

        def write() -> None:
            nonlocal rows_waiting
            table = pa.Table.from_pandas(pd.concat(waiting, ignore_index=True), preserve_index=False)
            waiting.clear()
            rows_waiting = 0
            if not writers:
                schema = with_recipe(table.schema, recipe)
                writer = pq.ParquetWriter(temporary, schema, compression="zstd", write_page_checksum=True)
                writers.append(stack.enter_context(writer))
            writers[0].write_table(table.cast(writers[0].schema))

        def take(rows: pd.DataFrame) -> None:
            nonlocal rows_waiting
            waiting.append(rows)
            rows_waiting += len(rows)
            if rows_waiting >= ROWS:
                write()

        yield take
        if waiting:
            write()
        stack.close()  # before the file is moved to its place


def read_table(
    path: Path, filters: list[tuple[str, str, Any]] | None = None, columns: list[str] | None = None
) -> pd.DataFrame:
    """Read a parquet file or a folder of such, or only some columns, or the rows that pass filters of pyarrow's.

    Raises
    ------
    EarshotError
        If it is missing, not parquet, or not as it was written.
    """

    def read(path: Path) -> pd.DataFrame:
        for one in sorted(path.glob("[!_.]*.parquet")) if path.is_dir() else [path]:
            seal.check_schema(pq.read_schema(one))
        return pq.read_table(path, columns=columns, filters=filters, page_checksum_verification=True).to_pandas()

    return reading(path, read)


@contextmanager
def opened_table(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a parquet file that is too large to be read at once.

    Raises
    ------
    ValueError, OSError
        If it is not as it was written, or when a part of it that is not is read.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        seal.check_schema(file.schema_arrow)
        yield file


def read_recipe(path: Path) -> dict[str, Any]:
    """Read the recipe in the metadata of a parquet file.

    Raises
    ------
    EarshotError
        If the file is missing, is not parquet, or has no recipe.
    """

    def read(path: Path) -> dict[bytes, bytes]:
        schema = pq.read_schema(path)
        seal.check_schema(schema)
        return schema.metadata or {}

    return recipe_in(reading(path, read), path)


def recipe_in(metadata: dict[bytes, bytes], path: Path) -> dict[str, Any]:
    """Return the recipe in the metadata of the parquet file at `path`.

    Raises
    ------
    EarshotError
        If it has none.
    """
    if RECIPE_KEY not in metadata:
        raise EarshotError(f"{path} carries no recipe: it was not written by earshot. Run `dvc repro`")
    return json.loads(metadata[RECIPE_KEY])


def read_json(path: Path) -> Any:
    """Read a JSON file of the pipeline.

    Raises
    ------
    EarshotError
        If the file is missing or can't be read.
    """
    return reading(path, lambda path: json.loads(path.read_text("utf-8")))


def reading(path: Path, reader: Callable[[Path], Any]) -> Any:
    """Return what `reader` makes of the file at `path`.

    Raises
    ------
    EarshotError
        If the file is missing or can't be read.
    """
    try:
        return reader(path)
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing. Run `dvc repro` to make it") from None
    except DAMAGED as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, why: object) -> EarshotError:
    """Return what says in a line that a file can't be read, and what to type."""
    return EarshotError(f"{path} can't be read ({' '.join(str(why).split())}). {MEND}")


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the SHA-256 of a file's bytes, or another hash that hashlib knows, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
