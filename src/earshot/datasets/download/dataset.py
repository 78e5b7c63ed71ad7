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
from earshot.datasets.card import Card, card_path, load_card, members_of
from earshot.datasets.download import local, reuse
from earshot.datasets.download.checksums import read_list
from earshot.datasets.download.remote import fetch_dataset
from earshot.datasets.union import write_cards
from earshot.errors import EarshotError

LOCK_SECONDS = 10.0  # a run whose parent was killed is gone by then


def download(card: Card) -> None:
    """Bring the dataset of `card`, and the group labels it needs, to `data/raw/DATASET/`.

    Raises
    ------
    EarshotError
        If its files can't be obtained or are wrong, or they can't be written.
    """
    name = card.name
    work = project.cache("download", name)
    try:
        with _locked(work):
            _remove_links(work)
            files = _put_together(card, work) if card.union else _obtain_with_needed(card, work)
            _publish(files, project.raw(name), work)
            if not card.union:
                reuse.record(card)
    except OSError as error:
        place = error.filename or work
        raise EarshotError(f"{name}: {place}: {error.strerror or error}. What has arrived is kept in {work}") from None


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Keep a second process away from the same dataset."""
    work.parent.mkdir(parents=True, exist_ok=True)
    lock = work.with_suffix(".lock")
    try:
        with filelock.FileLock(lock, timeout=LOCK_SECONDS):
            yield
    except filelock.Timeout:
        message = f"another process is downloading {work.name} (it holds {lock}): wait for it or end it"
        raise EarshotError(message) from None


def _remove_links(work: Path) -> None:
    """Remove links that stand where files will be written; nothing here ever makes one."""
    if work.is_symlink():
        work.unlink()
    for folder, folders, files in os.walk(work):
        for path in (Path(folder, name) for name in folders + files):
            if path.is_symlink():
                path.unlink()


def _put_together(card: Card, work: Path) -> Path:
    """Bring the files of a union's members to a folder in `work`, where each member has its own."""
    members = {name: _member(load_card(name), work / name) for name in members_of(card)}
    union = work / "union"
    shutil.rmtree(union, ignore_errors=True)
    union.mkdir(parents=True)
    for name, files in members.items():
        files.rename(union / name)
    write_cards(card, union)
    return union


def _member(card: Card, work: Path) -> Path:
    """Bring the files of a member to a folder in `work`: copied where they are there and verified, else obtained."""
    if not reuse.copied(card, work / "copy"):
        return _obtain_with_needed(card, work)
    print(f"{card.name}: verified, copied from {project.raw(card.name)}\n  licence: {card.licence}")
    return work / "copy"


def _obtain_with_needed(card: Card, work: Path) -> Path:
    """Bring all files of a dataset, and the group labels it needs, to a folder in `work`."""
    needed = load_card(card.needs) if card.needs else None
    files = _obtain(card, work / card.name)
    if needed:
        _add(needed, work / needed.name, files)
    return files


def _obtain(card: Card, work: Path) -> Path:
    """Bring all files of a dataset into a folder in `work`, checked where the card says how; print from where.

    What an earlier, broken run left in `work` is used where it is right.
    """
    source, files = card.source, work / "files"
    shutil.rmtree(files, ignore_errors=True)
    listed = read_list(card_path(card.name).parent / source.checksums) if source.checksums else {}
    verified = listed or (source.downloads and all(file.checksum for file in source.downloads))
    state = "verified" if verified else "unverified (the card has no checksum)"
    if source.generated:
        origin, state = local.generate(card, files), "made by code"
    elif source.in_place:
        make_list = local.list_remote if source.is_remote else local.list_folder
        print(f"{card.name}: {make_list(card, files, listed)}\n  licence: {card.licence}")
        return files
    elif source.is_remote:
        origin = local.copy_remote(card, files, listed)
    elif source.folder:
        origin = local.copy_folder(card, files, listed)
    else:
        origin = fetch_dataset(card, work, files, listed)
    sizes = [path.stat().st_size for path in files.rglob("*") if path.is_file()]
    count = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
    print(f"{card.name}: {count}, {sum(sizes) / 1e6:.3g} MB, {state}, from {origin}\n  licence: {card.licence}")
    return files


def _add(needed: Card, work: Path, files: Path) -> None:
    """Obtain the dataset another one needs and put its files among those."""
    for path in sorted(_obtain(needed, work).iterdir()):
        if (files / path.name).exists():
            raise EarshotError(f"{needed.name} has a file {path.name}, and so has the dataset that needs it")
        path.rename(files / path.name)


def _publish(files: Path, final: Path, work: Path) -> None:
    """Move the finished folder into place; what stood there goes first, so there is never a mixture."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        shutil.rmtree(work / "replaced", ignore_errors=True)  # from a run killed right here
        final.rename(work / "replaced")
    files.rename(final)
    shutil.rmtree(work)
