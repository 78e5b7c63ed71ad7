"""Where a dataset's files are: in data/raw/DATASET, or where they were when its card says `copy: false`.

In place, data/raw/DATASET holds a list of the files with their checksums alone. What is read is compared with it.
Where they are at an address, such as s3://BUCKET/PREFIX, each is fetched to data/cache/remote/DATASET before it is
first read, and anew where its service says that it has changed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from earshot import project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import bucket
from earshot.datasets.card import Card, card_path, texts
from earshot.errors import EarshotError
from earshot.files import digest, read_json

LIST = "files.json"
MARKS = "marks.json"  # of files at an address, as `bucket.Object` has them


def folder(card: Card) -> Path:
    """Return the folder of a dataset's files.

    Raises
    ------
    EarshotError
        If they are read in place, and the folder is missing or a table that the card names has changed.
    """
    if not card.in_place:
        return project.raw(card.name)
    verify(card, _tables(card))
    return _own_folder(card)


def own_folder(source_folder: str) -> Path:
    """Return the folder that a card names; `~` and paths relative to the project's folder are allowed."""
    return project.workspace() / Path(source_folder).expanduser()


def _own_folder(card: Card) -> Path:
    if card.source.is_remote:
        return fetched_folder(card)
    found = own_folder(card.source.folder)
    if not found.is_dir():
        raise EarshotError(
            f"{found} is not a folder, and the files of {card.name} are read there. Is its drive mounted? Else change "
            f"source.folder in {card_path(card.name)}"
        )
    return found


def fetched_folder(card: Card) -> Path:
    """Return where files at an address are once they were fetched; nobody misses what is deleted there."""
    return project.cache("remote", card.name)


def fetch_all(card: Card) -> None:
    """Have all listed files here, where a dataset is read at an address."""
    if card.in_place and card.source.is_remote:
        _fetch_listed(card, listed(card))


def fetch(card: Card, objects: Mapping[str, bucket.Object]) -> None:
    """Fetch files at an address."""
    address, to = card.source.folder, fetched_folder(card)
    todo = [(address, one.path, to / name, _shown(card, name)) for name, one in objects.items()]
    with pools.threads(len(todo), __name__) as pool:
        for _ in each(pool, bucket.fetch, todo, f"fetch {card.name}" if todo else "", "file", list(objects)):
            pass


def _fetch_listed(card: Card, names: Iterable[str]) -> None:
    """Fetch which of some listed files are not here, or have changed at their address since they were listed."""
    marks, own = read_json(project.raw(card.name) / MARKS), fetched_folder(card)
    there = _there(card.source.folder, f"{card_path(card.name)}: source.folder: {card.source.folder}")
    if gone := [name for name in names if name not in there]:
        raise EarshotError(f"{_shown(card, gone[0])} is gone since the folder was listed. {_again(card)}")
    fetch(card, {name: there[name] for name in names if there[name].mark != marks[name] or not (own / name).is_file()})


@functools.cache
def _there(address: str, key: str) -> dict[str, bucket.Object]:
    """Return the files at an address, as they were when this process looked first."""
    return bucket.names(address, key)


def listed(card: Card) -> dict[str, str]:
    """Return the SHA-256 of each file of a dataset that is read in place, by its name.

    Raises
    ------
    EarshotError
        If there is no list of them.
    """
    path = project.raw(card.name) / LIST
    if not path.is_file():
        raise EarshotError(f"{path} is missing. {_again(card)}")
    there = path.stat()
    return _read(path, there.st_mtime_ns, there.st_size)


@functools.lru_cache(maxsize=4)  # a recording is looked up at a time, and all are in the list
def _read(path: Path, _time: int, _size: int) -> dict[str, str]:
    return read_json(path)


def only_listed(card: Card, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows, which have a `path`, of files that are listed; print how many are new since.

    Raises
    ------
    EarshotError
        If a listed file is gone.
    """
    if not card.in_place:
        return rows
    known, own = listed(card), _own_folder(card)
    if gone := [name for name in known if not (own / name).is_file()]:
        raise EarshotError(f"{own / gone[0]} is gone since the folder was listed. {_again(card)}")
    found = [row for row in rows if row["path"] in known]
    if new := [row for row in rows if row["path"] not in known]:
        print(f"{card.label}: {len(new)} files in {own} are new since it was listed. {_again(card)}")
    return found


def bring(card: Card, names: Iterable[str]) -> None:
    """Have some listed files here, where a dataset is read at an address; see `check_one`."""
    if card.in_place and card.source.is_remote and (names := list(names)):
        _fetch_listed(card, names)


class Known(NamedTuple):
    """What a recording must be, and what to say where it is another.

    sha256 : of the file that was decoded for the manifest
    since : since when it has changed, and what to type
    """

    sha256: str
    since: str


def known(card: Card, sha256: Iterable[str]) -> list[Known]:
    """Return what recordings must be, each of a SHA-256."""
    listed = f"since the folder was listed. {_again(card)}"
    since = listed if card.in_place else "since the manifest was made. Run `dvc repro`"
    return [Known(each, since) for each in sha256]


def check_one(path: Path, known: Known) -> None:
    """Make sure that a recording is what it must be.

    Raises
    ------
    EarshotError
        If it has changed, is gone, or can't be read.
    """
    if (found := _digest(path)) != known.sha256:
        raise EarshotError(f"{path} {'has changed' if found else 'is gone'} {known.since}")


def verify(card: Card, names: Iterable[str]) -> None:
    """Make sure that files which are read in place are those that were listed.

    Raises
    ------
    EarshotError
        If one has changed or is gone; it says what to run.
    """
    if not card.in_place:
        return
    own, names = _own_folder(card), list(names)
    bring(card, names)
    with pools.threads(len(names), __name__) as pool:
        label = f"verify {card.name}" if len(names) > pools.FEW else ""
        digests = each(pool, _digest, [(own / name,) for name in names], label, "file", names)
        check(card, dict(zip(names, digests, strict=True)))


def check(card: Card, found: Mapping[str, str | None]) -> None:
    """Compare the SHA-256 of files, by their names, with the list, where a dataset is read in place.

    Raises
    ------
    EarshotError
        As `verify` does.
    """
    known = listed(card) if card.in_place else found
    for name, sha256 in found.items():
        if sha256 != known.get(name):
            change = "has changed" if sha256 else "is gone"
            raise EarshotError(f"{_shown(card, name)} {change} since the folder was listed. {_again(card)}")


class Paths(Mapping[str, Path]):
    """The paths of recordings; one that is read in place is verified when it is looked up."""

    def __init__(self, card: Card, names: Mapping[str, str]) -> None:
        """Take the path of each recording below the folder of the dataset."""
        self.card, self.names, self.folder = card, dict(names), folder(card)

    def __getitem__(self, recording: str) -> Path:
        """Return the path of a recording.

        Raises
        ------
        EarshotError
            If it has changed since it was listed.
        """
        name = self.names[recording]
        verify(self.card, [name])
        return self.folder / name

    def __iter__(self) -> Iterator[str]:
        """Iterate over the recordings."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return how many recordings there are."""
        return len(self.names)


def _digest(path: Path) -> str | None:
    try:
        return digest(path) if path.is_file() else None
    except OSError as error:
        raise EarshotError(f"{path} can't be read: {error.strerror}") from None


def _shown(card: Card, name: str) -> str:
    return f"{card.source.folder.rstrip('/')}/{name}" if card.source.is_remote else str(_own_folder(card) / name)


def _again(card: Card) -> str:
    name = card.name
    return f"Take in what has changed: `dvc repro --force --single-item download@{name}`, then `earshot repro`"


def _tables(card: Card) -> list[str]:
    """Return the listed files that the card's layout names, but for recordings."""
    named = set(texts(card.layout.model_dump(exclude={"recordings"}))) if card.layout else set()
    return [name for name in listed(card) if name in named]
