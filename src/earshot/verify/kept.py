"""The files in data/cache that are not as they were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from earshot import files, project, seal
from earshot.errors import EarshotError
from earshot.inputs import stored
from earshot.training import run_cache


def check() -> Iterator[tuple[Path, bool]]:
    """Yield each file or folder that is kept with a checksum, and whether it is as it was written.

    Files that are fetched are not among them: whoever reads one compares it with its card.
    """
    cache = project.cache()
    for path in sorted((cache / "features").rglob("*.parquet")):
        yield path, _can_be_read(path)
    rows = [*(cache / "features").rglob("*.npy"), *(cache / "rows").rglob("*.npy")]
    for path in sorted([*rows, *(cache / "unfinished").glob("*.safetensors")]):
        yield path, seal.is_whole(path)
    for path in sorted((cache / "runs").glob(f"*/{run_cache.WHOLE}")):
        yield path.parent, not run_cache.has_changed(path.parent)


def _can_be_read(path: Path) -> bool:
    try:
        if path.name == stored.INDEX:
            files.read_table(path)
        else:
            for _ in stored.read_part(path):
                pass
    except EarshotError:
        return False
    return True
