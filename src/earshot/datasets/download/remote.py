"""A dataset from a mirror or the network: every address in its turn, until one gives the right files."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from earshot.datasets.card import Card, RemoteFile, dataset_names, load_card
from earshot.datasets.download import mirror
from earshot.datasets.download.checksums import Mismatch, check_folder
from earshot.datasets.download.fetch import Expected, FetchError, fetch
from earshot.datasets.download.unpack import UnpackError, unpack
from earshot.errors import EarshotError


class _Unreachable(Exception):
    """No address gave what was wanted; `failures` has a line for each."""

    def __init__(self, failures: list[str]) -> None:
        self.failures = failures


def fetch_dataset(card: Card, work: Path, files: Path, listed: dict[str, str]) -> str:
    """Fetch the dataset of `card` into the new folder `files`.

    Parameters
    ----------
    card : the dataset
    work : folder for what has arrived so far; it may hold what an earlier run got
    files : where the dataset's files go
    listed : `{name: sha256}` of these files, where the card has such a list

    Returns
    -------
    The address that gave the files.

    Raises
    ------
    EarshotError
        If none did; names the dataset, each address and why, the mirror's setting, a dataset without network.
    """
    failures = []
    ways = [
        (listed, _fetch_listed_files),
        (card.source.archive, _fetch_archive),
        (card.source.files, _fetch_single_files),
    ]
    for applies, way in ways:
        try:
            if applies:
                return way(card, work, files, listed)
        except _Unreachable as unreachable:
            failures += unreachable.failures
    raise EarshotError(_nothing_worked(card, failures))


def _fetch_listed_files(card: Card, work: Path, files: Path, listed: dict[str, str]) -> str:
    """Fetch the files of the checksum list one by one, as a mirror holds them."""

    def fetch_all(base: str) -> None:
        for name in tqdm(listed, desc=card.name, unit="file", leave=False, disable=None):
            (address,) = mirror.addresses(card.name, name)
            try:
                fetch(address, work / "fetched" / name, work / "parts", Expected(listed[name]))
            except FetchError as error:
                raise FetchError(f"{name}: {error}") from None

    origin = _first_that_works(mirror.addresses(card.name), fetch_all)
    _move(listed, work / "fetched", files)
    return origin


def _fetch_single_files(card: Card, work: Path, files: Path, listed: dict[str, str]) -> str:
    """Fetch each file of the card from the first of its addresses that has it."""
    origins = []
    for file in card.source.files:
        target, expected = work / "fetched" / file.path, Expected(file.sha256, file.bytes)
        attempt = partial(fetch, target=target, parts=work / "parts", expected=expected)
        origins.append(_first_that_works(_addresses(card, file), attempt))
    _move([file.path for file in card.source.files], work / "fetched", files)
    return ", ".join(dict.fromkeys(origin.rpartition("/")[0] for origin in origins))


def _fetch_archive(card: Card, work: Path, files: Path, listed: dict[str, str]) -> str:
    """Fetch and unpack the archive; an address whose archive has the wrong files inside has failed, too."""
    archive = card.source.archive
    packed = work / "fetched" / PurePosixPath(archive.path).name
    expected = Expected(archive.sha256, archive.bytes, archive.max_unpacked_bytes)

    def attempt(address: str) -> None:
        fetch(address, packed, work / "parts", expected)
        _unpack(card, packed, work, files, listed)

    return _first_that_works(_addresses(card, archive), attempt)


def _unpack(card: Card, packed: Path, work: Path, files: Path, listed: dict[str, str]) -> None:
    archive = card.source.archive
    unpacked = work / "unpacked" if archive.convert else files
    shutil.rmtree(unpacked, ignore_errors=True)

    def wanted(name: str) -> bool:
        if listed and not archive.convert:
            return name in listed
        return PurePosixPath(name).match(archive.members)

    unpack(packed, unpacked, most_bytes=archive.max_unpacked_bytes, strip=archive.strip, wanted=wanted)
    if archive.convert:
        _convert(archive.convert, unpacked, files)
    if listed:
        check_folder(files, listed)
    elif not any(files.iterdir()):
        raise UnpackError(f"holds no file that matches '{archive.members}'")


def _convert(module: str, unpacked: Path, files: Path) -> None:
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    try:
        importlib.import_module(f"earshot.datasets.{module}").convert(unpacked, files)
    except ValueError as error:
        raise UnpackError(str(error)) from None


def _addresses(card: Card, file: RemoteFile) -> list[str]:
    return mirror.addresses(card.name, file.path) + file.urls


def _first_that_works(addresses: list[str], attempt: Callable[[str], None]) -> str:
    """Try the addresses in order; return the first for which `attempt` raises nothing."""
    failures = []
    for address in addresses:
        print(f"  from {address}", flush=True)
        try:
            attempt(address)
        except (FetchError, UnpackError, Mismatch) as error:
            failures.append(f"{address}: {error}")
        else:
            return address
    raise _Unreachable(failures)


def _move(names: Iterable[str], source: Path, target: Path) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).rename(target / name)


def _nothing_worked(card: Card, failures: list[str]) -> str:
    if not (card.source.archive or card.source.files):
        failures = [*failures, "there is no public address: this dataset comes from a mirror alone"]
    lines = [f"dataset '{card.name}' could not be had. Tried:", *(f"  {failure}" for failure in failures)]
    lines.append(f"{mirror.setting()}.")
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
    made = [card for card in cards if card.source.generated]
    return [card.name for card in made if card.task == task] or [card.name for card in made]
