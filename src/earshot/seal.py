"""Checksums beside what is kept, so that what a disk or a hand has changed is not taken for what was written.

A parquet file has a CRC-32 of each of its pages, which pyarrow writes and compares; of its schema and metadata, which
no page holds, a digest among the metadata. Other files end with the CRC-32 of their name and of all before it, so that
one is not taken for another.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import IO

import pyarrow as pa

KEY = b"earshot.schema"
MARK = b"crc32 "
LENGTH = len(MARK) + 8  # hexadecimal digits
BLOCK = 2**20  # bytes that are read at a time


def schema(plain: pa.Schema) -> pa.Schema:
    """Return a schema with a digest of itself among its metadata."""
    return plain.with_metadata({**(plain.metadata or {}), KEY: _digest(plain)})


def check_schema(read: pa.Schema) -> None:
    """Compare a schema with its digest, if it has one: files of earlier versions have none.

    Raises
    ------
    ValueError
        If it has changed.
    """
    metadata = dict(read.metadata or {})
    if metadata.pop(KEY, None) not in (None, _digest(read.with_metadata(metadata))):
        raise ValueError("its columns or settings have changed since it was written")


def _digest(plain: pa.Schema) -> bytes:
    # parquet has a name of its own for what a list holds
    named = [[field.name, str(field.type).replace("<element:", "<item:")] for field in plain]
    metadata = sorted((key.decode(), value.decode()) for key, value in (plain.metadata or {}).items())
    return hashlib.sha256(json.dumps([named, metadata]).encode()).hexdigest().encode()


def append(temporary: Path, path: Path) -> None:
    """Append to a temporary file the checksum that it needs at `path`."""
    with temporary.open("rb+") as file:
        file.write(_mark(path, file, temporary.stat().st_size))


def is_whole(path: Path) -> bool:
    """Tell whether a file is there, and as it was when its checksum was appended."""
    try:
        length = path.stat().st_size - LENGTH
        with path.open("rb") as file:
            return length >= 0 and _mark(path, file, length) == file.read()
    except OSError:
        return False


def _mark(path: Path, file: IO[bytes], length: int) -> bytes:
    """Return what follows the first `length` bytes of a file, which is read to there."""
    crc = zlib.crc32(f"{path.parent.name}/{path.name}".encode())
    for first in range(0, length, BLOCK):
        crc = zlib.crc32(file.read(min(BLOCK, length - first)), crc)
    return MARK + f"{crc:08x}".encode()
