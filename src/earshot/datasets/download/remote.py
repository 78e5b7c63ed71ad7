"""A dataset from a mirror or the network: every address in its turn, until one gives the right files.

EARSHOT_MIRROR names a folder or an address with a folder per dataset; it is tried before the public addresses.
"""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from earshot import progress, project
from earshot.datasets.card import Card, dataset_names, load_card
from earshot.datasets.download.checksums import Mismatch, check_folder
from earshot.datasets.download.fetch import MOST_BYTES, Expected, FetchError, fetch, is_web
from earshot.datasets.download.unpack import UnpackError, claim, unpack
from earshot.datasets.sources import Archive, RemoteFile
from earshot.errors import EarshotError

MIRROR = "EARSHOT_MIRROR"


def fetch_dataset(card: Card, work: Path, files: Path, listed: dict[str, str]) -> str:
    """Fetch the dataset of `card` into the new folder `files`.

    Parameters
    ----------
    card : the dataset
    work : folder for what has arrived so far; it may hold what an earlier run got
    files : where the dataset's files go
    listed : `{name: checksum}` of these files, where the card has such a list

    Returns
    -------
    The address that gave the files.

    Raises
    ------
    EarshotError
        If none did; names the dataset, each address and why, the mirror's setting, a dataset without network.
    """
    remote = _Remote(card, work, files, listed)
    origin = (
        (listed and remote.fetch_listed_files())
        or (card.source.packed and remote.fetch_archives())
        or (card.source.files and remote.fetch_single_files())
    )
    if not origin:
        raise EarshotError(_nothing_worked(card, remote.failures))
    return origin


@dataclass
class _Remote:
    """The ways to a dataset; each returns the address that gave the files, or None, and adds to `failures` why."""

    card: Card
    work: Path
    files: Path
    listed: dict[str, str]
    failures: list[str] = field(default_factory=list)

    def fetch_listed_files(self) -> str | None:
        """Fetch the files of the checksum list one by one, as a mirror holds them."""

        def fetch_all(base: str) -> None:
            for name in progress.bar(self.listed, desc=self.card.name, unit="file", leave=False, disable=None):
                try:
                    self._fetch(mirror(self.card.name, name)[0], name, Expected(self.listed[name]))
                except FetchError as error:
                    raise FetchError(f"{name}: {error}") from None

        origin = self._first_that_works(mirror(self.card.name), fetch_all)
        if origin:
            self._move(self.listed)
        return origin

    def fetch_archives(self) -> str | None:
        """Fetch and unpack the archives; an address whose archive has the wrong files inside has failed, too."""
        origins: list[str] = []
        archives = self.card.source.packed
        folders = [self.work / "unpacked" / str(number) for number in range(len(archives))]
        for archive, folder in zip(archives, folders, strict=True):
            found = self._parts(archive, folder) if archive.parts else self._whole(archive, folder)
            if not found:
                return None
            origins += found
        try:
            _put_together(folders, self.files)
        except UnpackError as error:
            self.failures.append(str(error))
            return None
        return origins[0] if len(origins) == 1 else _folders(origins)

    def _whole(self, archive: Archive, folder: Path) -> list[str]:
        """Fetch an archive and unpack it into `folder`; return the address that gave it."""
        expected = Expected(archive.checksum, archive.bytes, archive.max_unpacked_bytes)

        def attempt(address: str) -> None:
            self._fetch(address, archive.path, expected)
            self._unpack(archive, folder)

        origin = self._first_that_works(mirror(self.card.name, archive.path) + archive.urls, attempt)
        return [origin] if origin else []

    def _parts(self, archive: Archive, folder: Path) -> list[str]:
        """Fetch the parts of an archive and unpack them into `folder`; return the addresses that gave them."""
        origins = self._each(archive.files, archive.max_unpacked_bytes)
        try:
            if origins:
                self._unpack(archive, folder)
        except (UnpackError, Mismatch) as error:
            self.failures.append(f"{archive.path}: {error}")
            return []
        return origins

    def fetch_single_files(self) -> str | None:
        """Fetch each file of the card from the first of its addresses that has it."""
        origins = self._each(self.card.source.files)
        if not origins:
            return None
        self._move(file.path for file in self.card.source.files)
        return _folders(origins)

    def _each(self, files: list[RemoteFile], most_bytes: int = MOST_BYTES) -> list[str]:
        """Fetch each file from the first of its addresses that has it; return those, none if one has failed."""
        origins = []
        for file in files:
            attempt = partial(self._fetch, name=file.path, expected=Expected(file.checksum, file.bytes, most_bytes))
            origin = self._first_that_works(mirror(self.card.name, file.path) + file.urls, attempt)
            if origin is None:
                return []
            origins.append(origin)
        return origins

    def _fetch(self, address: str, name: str, expected: Expected) -> None:
        fetch(address, self.work / "fetched" / name, self.work / "parts", expected)

    def _first_that_works(self, addresses: list[str], attempt: Callable[[str], None]) -> str | None:
        for address in addresses:
            print(f"  from {address}", flush=True)
            try:
                attempt(address)
            except (FetchError, UnpackError, Mismatch) as error:
                self.failures.append(f"{address}: {error}")
            else:
                return address
        return None

    def _move(self, names: Iterable[str]) -> None:
        for name in names:
            (self.files / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / "fetched" / name).rename(self.files / name)

    def _unpack(self, archive: Archive, folder: Path) -> None:
        """Unpack what was fetched of an archive into the new folder `folder`."""
        listed, packed = self.listed, [self.work / "fetched" / file.path for file in archive.files]
        unpacked = folder.with_name(f"{folder.name}-as-packed") if archive.convert else folder
        shutil.rmtree(unpacked, ignore_errors=True)

        def wanted(name: str) -> bool:
            return name in listed if listed and not archive.convert else PurePosixPath(name).match(archive.members)

        unpack(packed, unpacked, most_bytes=archive.max_unpacked_bytes, strip=archive.strip, wanted=wanted)
        if archive.convert:
            _convert(archive.convert, unpacked, folder)
        if listed:
            check_folder(folder, listed)
        elif not any(folder.iterdir()):
            raise UnpackError(f"holds no file that matches '{archive.members}'")


def _folders(addresses: list[str]) -> str:
    """Return the addresses of the folders that files are in."""
    return ", ".join(dict.fromkeys(address.rpartition("/")[0] for address in addresses))


def _put_together(folders: Iterable[Path], files: Path) -> None:
    """Move all that is in some folders into the new folder `files`.

    Raises
    ------
    UnpackError
        If two of them have a file of the same name.
    """
    taken: dict[str, str] = {}
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder)
            claim(PurePosixPath(name), taken)
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            path.rename(files / name)


def _convert(module: str, unpacked: Path, files: Path) -> None:
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    try:
        importlib.import_module(f"earshot.datasets.{module}").convert(unpacked, files)
    except ValueError as error:
        raise UnpackError(str(error)) from None


def mirror(*parts: str) -> list[str]:
    """Return where the mirror has `DATASET/PATH`: one address, or none where no mirror is set.

    A relative folder starts at the project's folder.
    """
    base = os.environ.get(MIRROR)
    if not base:
        return []
    if is_web(base):
        return [f"{base.rstrip('/')}/{quote('/'.join(parts))}"]
    return [str(project.workspace().joinpath(os.path.expanduser(base), *parts))]


def _nothing_worked(card: Card, failures: list[str]) -> str:
    if not card.source.downloads:
        failures = [*failures, "there is no public address: this dataset comes from a mirror alone"]
    lines = [f"dataset '{card.name}' could not be obtained. Tried:", *(f"  {failure}" for failure in failures)]
    if base := os.environ.get(MIRROR):
        lines.append(f"{MIRROR} is set to '{base}'.")
    else:
        lines.append(
            f"{MIRROR} is not set; it can name a folder or an http(s) address that holds a folder per dataset."
        )
    if by_code := _made_by_code(card.task):
        lines.append(f"A dataset that needs no network: {', '.join(by_code)}.")
    return "\n".join(lines)


def _made_by_code(task: str | None) -> list[str]:
    """List the datasets that need no network: those for `task`, or all where none is for it."""
    cards = []
    for name in dataset_names():
        try:
            cards.append(load_card(name))
        except EarshotError:  # a fault in another card must not hide what the message is about
            continue
    made = [card for card in cards if card.source and card.source.generated]
    return [card.name for card in made if card.task == task] or [card.name for card in made]
