"""All that is kept and made, looked at once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
from tqdm import tqdm

from earshot import files, project
from earshot.verify import dvc, kept


def damaged() -> tuple[int, list[Path]]:
    """Read everything; return how many files and folders that is, and those that are not as they were written."""
    looked_at = [*tqdm(_everything(), "verify", unit=" files", leave=False, disable=not sys.stderr.isatty())]
    return len(looked_at), [path for path, whole in looked_at if not whole]


def _everything() -> Iterator[tuple[Path, bool]]:
    cache = dvc.cache()
    yield from kept.check()
    yield from dvc.check_outputs(cache)
    yield from dvc.check_cache(cache)


def left_over() -> list[Path]:
    """List the temporary files and folders of processes of this machine that are gone."""
    found = [(path, files.writer_of(path)) for path in project.cache().parent.rglob(f".*.{files.HOST}.*")]
    return sorted(path for path, writer in found if writer is not None and not psutil.pid_exists(writer))


def remove(paths: list[Path]) -> None:
    """Remove files and folders; whoever needs them makes or fetches them anew."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
