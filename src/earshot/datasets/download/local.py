"""A dataset that is made by code, or copied from or listed in a folder."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from earshot import progress, project
from earshot.audio import files as sound_files
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import bucket, place
from earshot.datasets.card import Card, card_path
from earshot.datasets.download.checksums import Mismatch, check_folder
from earshot.datasets.names import check_text, plain_relative
from earshot.errors import EarshotError
from earshot.files import digest, read_json, write_json


def generate(card: Card, files: Path) -> str:
    """Make the dataset by the code that its card names, in the new folder `files`; return the module's name.

    Raises
    ------
    EarshotError
        If there is no such module, or it takes other arguments.
    """
    made_by = card.source.generated
    name = f"earshot.datasets.synthetic.{made_by.module}"
    try:
        generate = importlib.import_module(name).generate
        inspect.signature(generate).bind(files, **made_by.arguments)
    except (ModuleNotFoundError, AttributeError, TypeError) as error:
        raise EarshotError(f"{card_path(card.name)}: source.generated: {name}: {error}") from None
    files.mkdir(parents=True)
    generate(files, **made_by.arguments)
    return name


def copy_folder(card: Card, files: Path, listed: dict[str, str]) -> str:
    """Copy the visible files of the card's folder, or those of `{name: checksum}`, to `files`; return the folder.

    Links are followed, so that the copy has none. What is left out is printed.

    Raises
    ------
    EarshotError
        If there is no such folder, it holds no recordings or the project itself, or differs from the list.
    """
    folder, names = _found(card, files, listed)
    for name in progress.bar(names, desc=card.name, unit="file", leave=False, disable=None):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        # a copy, since DVC makes the files that it links to read-only, and these belong to the user
        shutil.copyfile(folder / name, files / name)
    _check_list(card, files, listed, _key(card, folder))
    return str(folder)


def copy_remote(card: Card, files: Path, listed: dict[str, str]) -> str:
    """Copy the files of a folder at an address, such as s3://BUCKET/PREFIX, as `copy_folder` does; return the address.

    Raises
    ------
    EarshotError
        If it can't be read, holds no recordings, or differs from the list.
    """
    address, key = card.source.folder, _key(card, card.source.folder)
    chosen, left_out = _found_remote(card, listed)
    bucket.copy(address, chosen, files, key)
    _check_sound(card, files, key)
    _tell_left_out(card, left_out)
    _check_list(card, files, listed, key)
    return address


def list_remote(card: Card, files: Path, listed: dict[str, str]) -> str:
    """Write the list of the files that are read at an address, as `list_folder` does; they are fetched for it.

    What was fetched before and is the same there still is not fetched again.

    Raises
    ------
    EarshotError
        As `copy_remote` does.
    """
    chosen, left_out = _found_remote(card, listed)
    own, marks = place.fetched_folder(card), project.raw(card.name) / place.MARKS
    known = read_json(marks) if marks.is_file() else {}
    for path in [path for path in own.rglob("*") if path.is_file()]:
        name = path.relative_to(own).as_posix()
        if name not in chosen or known.get(name) != chosen[name].mark:
            path.unlink()
    place.fetch(card, {name: one for name, one in chosen.items() if not (own / name).is_file()})
    _check_sound(card, own, _key(card, card.source.folder))
    _tell_left_out(card, left_out)
    write_json(files / place.MARKS, {name: one.mark for name, one in chosen.items()})
    return _write_list(card, own, sorted(chosen), files, listed, card.source.folder)


def _found_remote(card: Card, listed: dict[str, str]) -> tuple[dict[str, bucket.Object], dict[str, int]]:
    """Return the files at a card's address that are taken, and how many others there are, by why they are not.

    Raises
    ------
    EarshotError
        As `bucket.names` does, or if a name leads elsewhere or none is of a recording.
    """
    key = _key(card, card.source.folder)
    there = bucket.names(card.source.folder, key)
    visible = sorted(name for name in there if not sound_files.is_hidden(PurePosixPath(name)))
    try:
        found = {plain_relative(name): there[name] for name in visible}
    except ValueError as error:
        raise EarshotError(f"{key}: {error}") from None
    chosen = {name: one for name, one in found.items() if not listed or name in listed}
    if card.has_sound and not any(sound_files.may_be_recording(PurePosixPath(name)) for name in chosen):
        raise EarshotError(f"{key} holds no recordings. What is there: {_told_by_suffix(chosen)}")
    left_out = {sound_files.HIDDEN: len(there) - len(found), "not in the list": len(found) - len(chosen)}
    return chosen, {why: number for why, number in left_out.items() if number}


def _check_sound(card: Card, files: Path, key: str) -> None:
    """Check that there are recordings among files that have come from an address, now by their content."""
    copied = sound_files.find(files)
    if card.has_sound and not copied.recordings:
        raise EarshotError(f"{key} holds no recordings. What is there: {sound_files.told(copied.counts)}")


def list_folder(card: Card, files: Path, listed: dict[str, str]) -> str:
    """Write the list of the files that are read in place, `{name: sha256}`, to `files`; describe them.

    Raises
    ------
    EarshotError
        As `copy_folder` does, or if a name can't be listed.
    """
    folder, names = _found(card, files, listed)
    if odd := [name for name in names if not _is_unicode(name)]:
        raise EarshotError(f"{_key(card, folder)}: the name {odd[0]!a} is not UTF-8: rename the file")
    return _write_list(card, folder, names, files, listed, folder)


def _write_list(
    card: Card, folder: Path, names: list[str], files: Path, listed: dict[str, str], shown: Path | str
) -> str:
    """Write {name: sha256} of the files in a folder to `files`, once they are those that are `listed`; describe it."""
    with pools.threads(len(names), __name__) as pool:
        digests = each(pool, digest, [(folder / name,) for name in names], card.name, "file", names)
        found = dict(zip(names, digests, strict=True))
    if wrong := [name for name, sha256 in listed.items() if found.get(name) != sha256]:
        fault = "wrong bytes (SHA-256 differs)" if wrong[0] in found else "missing"
        raise EarshotError(f"{_key(card, shown)} differs from {card.source.checksums}: {fault}: {wrong[0]}")
    write_json(files / place.LIST, found)
    size = sum((folder / name).stat().st_size for name in names)
    return f"{len(names)} files, {size / 1e6:.3g} MB, listed, to be read in {shown}"


def _is_unicode(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:  # Python's stand-ins for bytes that are no UTF-8
        return False


def _key(card: Card, folder: Path | str) -> str:
    return f"{card_path(card.name)}: source.folder: {folder}"


def _found(card: Card, files: Path, listed: dict[str, str]) -> tuple[Path, list[str]]:
    """Return the card's folder and the names of its visible files, or of those that are `listed`."""
    folder = place.own_folder(card.source.folder)
    key = _key(card, folder)
    if not folder.is_dir():
        raise EarshotError(f"{key} is not a folder")
    if files.is_relative_to(folder.resolve()):
        raise EarshotError(f"{key} contains the project's own data; name the folder of the recordings alone")
    found = sound_files.find(folder)
    names, left_out = _chosen(found, folder, listed)
    recordings = {path.relative_to(folder).as_posix() for path in found.recordings}
    if card.has_sound and not recordings.intersection(names):
        raise EarshotError(f"{key} holds no recordings. What is there: {sound_files.told(found.counts)}")
    check_text(names, key)
    _tell_left_out(card, dict(Counter(left_out.values())))
    for name, why in left_out.items():
        if why in sound_files.NOT_FOLLOWED:
            print(f"  not followed: {name}, a {why}")
    return folder, sorted(names)


def _told_by_suffix(names: Iterable[str]) -> str:
    suffixes = (PurePosixPath(name).suffix.lower() or "without a suffix" for name in names)
    return sound_files.told(dict(sorted(Counter(suffixes).items())))


def _tell_left_out(card: Card, counts: dict[str, int]) -> None:
    if counts:
        print(f"{card.name}: not copied: {sound_files.told(counts)}")


def _check_list(card: Card, files: Path, listed: dict[str, str], key: str) -> None:
    try:
        if listed:
            check_folder(files, listed)
    except Mismatch as mismatch:
        raise EarshotError(f"{key} differs from {card.source.checksums}: {mismatch}") from None


def _chosen(found: sound_files.Found, folder: Path, listed: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the names of the files to take, and why each other is not taken."""
    visible = dict.fromkeys(found.recordings) | {
        path: why if why in (sound_files.HIDDEN, sound_files.SPECIAL, *sound_files.NOT_FOLLOWED) else None
        for path, why in found.ignored.items()
    }
    why = {path.relative_to(folder).as_posix(): reason for path, reason in visible.items()}
    if listed:
        why = {name: reason or (None if name in listed else "not in the list") for name, reason in why.items()}
    names = [name for name, reason in why.items() if reason is None]
    return names, {name: reason for name, reason in why.items() if reason is not None}
