"""A dataset that needs no network: made by code, or copied from a folder of this machine."""

from __future__ import annotations

import importlib
import inspect
import shutil
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from earshot import project
from earshot.audio import files as sound_files
from earshot.datasets.card import Card, card_path
from earshot.datasets.download.checksums import Mismatch, check_folder
from earshot.datasets.names import check_text
from earshot.errors import EarshotError


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
    folder = project.workspace() / Path(card.source.folder).expanduser()
    key = f"{card_path(card.name)}: source.folder: {folder}"
    if not folder.is_dir():
        raise EarshotError(f"{key} is not a folder")
    if files.is_relative_to(folder.resolve()):
        raise EarshotError(f"{key} contains the project's own data; name the folder of the recordings alone")
    found = sound_files.find(folder)
    recordings, left_out = _chosen(found, folder, listed)
    if not recordings:
        raise EarshotError(f"{key} holds no recordings. What is there: {sound_files.told(found.counts)}")
    names = sorted(recordings)
    check_text(names, key)
    if left_out:
        print(f"{card.name}: not copied: {sound_files.told(dict(Counter(left_out.values())))}")
    for name, why in left_out.items():
        if why in sound_files.NOT_FOLLOWED:
            print(f"  not followed: {name}, a {why}")
    for name in tqdm(names, desc=card.name, unit="file", leave=False, disable=None):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        # a copy, since DVC makes the files that it links to read-only, and these belong to the user
        shutil.copyfile(folder / name, files / name)
    try:
        if listed:
            check_folder(files, listed)
    except Mismatch as mismatch:
        raise EarshotError(f"{key} differs from {card.source.checksums}: {mismatch}") from None
    return str(folder)


def _chosen(found: sound_files.Found, folder: Path, listed: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """Return the names of the files to copy, none where no recording is among them, and why each other is not."""
    visible = dict.fromkeys(found.recordings) | {
        path: why if why in (sound_files.HIDDEN, sound_files.SPECIAL, *sound_files.NOT_FOLLOWED) else None
        for path, why in found.ignored.items()
    }
    why = {path.relative_to(folder).as_posix(): reason for path, reason in visible.items()}
    if listed:
        why = {name: reason or (None if name in listed else "not in the list") for name, reason in why.items()}
    recordings = {path.relative_to(folder).as_posix() for path in found.recordings}
    names = [name for name, reason in why.items() if reason is None]
    return names if recordings.intersection(names) else [], {name: r for name, r in why.items() if r is not None}
