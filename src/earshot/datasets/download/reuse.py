"""What has been downloaded and verified once is copied for a union, and not fetched again.

With a dataset that was verified goes a record of its files, sizes and times of change, in
`data/cache/download/DATASET.json`. While these and the card are as they were, the copy in `data/raw/DATASET` counts as
verified.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from earshot import project
from earshot.datasets.card import Card, card_path, load_card
from earshot.files import digest, read_json, write_json

FICLONE = 0x40049409  # Linux: the copy shares its blocks with the original until one of them is written


def is_verified(card: Card) -> bool:
    """Tell whether a card has a checksum for all that it downloads from elsewhere."""
    source = card.source
    if source.folder or source.generated:
        return False
    downloads = [source.archive] if source.archive else source.files
    return bool(source.checksums) or all(file.checksum for file in downloads)


def record(card: Card) -> None:
    """Write down what has just been downloaded to `data/raw/DATASET`, where it was verified."""
    path = _path(card.name)
    path.unlink(missing_ok=True)
    if _all_verified(card):
        write_json(path, _state(card, project.raw(card.name)))


def copied(card: Card, to: Path) -> bool:
    """Copy the files of a dataset that is there already and unchanged to a new folder; False where it isn't.

    Hard links would lead into what DVC may link to its cache.
    """
    own, path = project.raw(card.name), _path(card.name)
    if not (_all_verified(card) and own.is_dir() and path.is_file() and read_json(path) == _state(card, own)):
        return False
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(own, to, copy_function=_copy)
    return True


def _path(name: str) -> Path:
    return project.cache("download", f"{name}.json")


def _cards(card: Card) -> list[Card]:
    return [card, *([load_card(card.needs)] if card.needs else [])]


def _all_verified(card: Card) -> bool:
    return all(is_verified(each) for each in _cards(card))


def _state(card: Card, folder: Path) -> dict[str, Any]:
    """Return what must be unchanged: the sources, their lists of checksums, and the files."""
    sources = {each.name: each.source.model_dump(mode="json") for each in _cards(card)}
    lists = {each.source.checksums for each in _cards(card) if each.source.checksums}
    facts = {path.relative_to(folder).as_posix(): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {
        "sources": sources,
        "lists": {name: digest(card_path(card.name).parent / name) for name in sorted(lists)},
        "files": {name: [fact.st_size, fact.st_mtime_ns] for name, fact in sorted(facts.items())},
    }


def _copy(source: str, to: str) -> None:
    """Copy a file; where the file system can, without a second copy of its content on the disk."""
    with contextlib.suppress(OSError, ImportError):
        if sys.platform == "linux":
            import fcntl

            with open(source, "rb") as reader, open(to, "wb") as writer:
                fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
            if os.path.getsize(source) == os.path.getsize(to):
                return
    shutil.copyfile(source, to)
