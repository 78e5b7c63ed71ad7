"""Card -> `data/raw/DATASET/`, complete and verified, or not there at all.

Everything is put together in `data/cache/download/DATASET/`, where the run after a killed one finds what had
arrived, and moved into place in one step at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from earshot import project
from earshot.datasets.card import Card, load_card
from earshot.datasets.download.obtain import Obtained, obtain
from earshot.errors import EarshotError

LOCK_SECONDS = 10.0  # a run whose parent was killed is gone by then


def download(card: Card) -> None:
    """Bring dataset `name`, and the group labels it needs, to `data/raw/NAME/`.

    Raises
    ------
    EarshotError
        If there is no such card, its files can't be had or are wrong, or they can't be written.
    """
    name = card.name
    needed = load_card(card.needs) if card.needs else None
    work = project.cache("download", name)
    try:
        with _alone(work):
            _remove_links(work)
            obtained = obtain(card, work / name)
            print(_summary(card, obtained))
            if needed:
                _add(needed, work / needed.name, obtained.files)
            _publish(obtained.files, project.raw(name), work)
    except OSError as error:
        place = error.filename or work
        raise EarshotError(f"{name}: {place}: {error.strerror or error}. What has arrived is kept in {work}") from None


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Keep a second process away from the same dataset."""
    work.parent.mkdir(parents=True, exist_ok=True)
    lock = work.with_suffix(".lock")
    try:
        with filelock.FileLock(lock, timeout=LOCK_SECONDS):
            yield
    except filelock.Timeout:
        raise EarshotError(
            f"another process is downloading {work.name} (it holds {lock}): wait for it or end it"
        ) from None


def _remove_links(work: Path) -> None:
    """Remove links that stand where files will be written; nothing here ever makes one."""
    if work.is_symlink():
        work.unlink()
    for folder, folders, files in os.walk(work):
        for name in folders + files:
            if (path := Path(folder, name)).is_symlink():
                path.unlink()


def _add(needed: Card, work: Path, files: Path) -> None:
    """Fetch the dataset another one needs and put its files among those."""
    obtained = obtain(needed, work)
    print(_summary(needed, obtained))
    for path in sorted(obtained.files.iterdir()):
        if (files / path.name).exists():
            raise EarshotError(f"{needed.name} has a file {path.name}, and so has the dataset that needs it")
        path.rename(files / path.name)


def _summary(card: Card, obtained: Obtained) -> str:
    sizes = [path.stat().st_size for path in obtained.files.rglob("*") if path.is_file()]
    total = f"{sum(sizes) / 1e6:.3g} MB"
    files = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
    return f"{card.name}: {files}, {total}, {obtained.state}, from {obtained.origin}\n  licence: {card.licence}"


def _publish(files: Path, final: Path, work: Path) -> None:
    """Move the finished folder into place; what stood there goes first, so there is never a mixture."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        shutil.rmtree(work / "replaced", ignore_errors=True)  # from a run killed right here
        final.rename(work / "replaced")
    files.rename(final)
    shutil.rmtree(work)
