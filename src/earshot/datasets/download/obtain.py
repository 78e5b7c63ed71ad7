"""How the files of a card come here: by code, from a folder of this machine, or from elsewhere (`remote`)."""

from __future__ import annotations

import importlib
import inspect
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from earshot import project
from earshot.audio.suffixes import AUDIO_SUFFIXES
from earshot.datasets.card import Card, card_path
from earshot.datasets.download import remote
from earshot.datasets.download.checksums import Mismatch, check_folder, read_list
from earshot.errors import EarshotError


@dataclass(frozen=True)
class Obtained:
    """A dataset's files as they came: the folder they are in, from where, and whether they were checked."""

    files: Path
    origin: str
    state: str


def obtain(card: Card, work: Path) -> Obtained:
    """Bring all files of a dataset into a folder in `work`, checked where the card says how.

    Parameters
    ----------
    card : the dataset
    work : a folder for this dataset alone; what an earlier, broken run left in it is used where it is right

    Raises
    ------
    EarshotError
        If the files can't be had, with every place that was tried, or are not what the card says.
    """
    source, files = card.source, work / "files"
    shutil.rmtree(files, ignore_errors=True)
    if source.generated:
        return Obtained(files, _generate(card, files), "made by code")
    listed = read_list(card_path(card.name).parent / source.checksums) if source.checksums else {}
    if source.folder:
        return Obtained(files, _copy_folder(card, files, listed), _state(card))
    return Obtained(files, remote.fetch_dataset(card, work, files, listed), _state(card))


def _state(card: Card) -> str:
    downloads = [card.source.archive] if card.source.archive else card.source.files
    if card.source.checksums or (downloads and all(file.sha256 for file in downloads)):
        return "verified"
    return "unverified (the card has no checksum)"


def _generate(card: Card, files: Path) -> str:
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


def _copy_folder(card: Card, files: Path, listed: dict[str, str]) -> str:
    folder = project.workspace() / Path(card.source.folder).expanduser()
    key = f"{card_path(card.name)}: source.folder: {folder}"
    if not folder.is_dir():
        raise EarshotError(f"{key} is not a folder")
    if files.is_relative_to(folder.resolve()):
        raise EarshotError(f"{key} contains the project's own data; name the folder of the recordings alone")
    names = [name for name in _visible_files(folder) if not listed or name in listed]
    if not any(PurePosixPath(name).suffix.lower() in AUDIO_SUFFIXES for name in names):
        raise EarshotError(f"{key} holds no recordings ({', '.join(sorted(AUDIO_SUFFIXES))})")
    for name in tqdm(names, desc=card.name, unit="file", leave=False, disable=None):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        # a copy, since DVC makes the files that it links to read-only, and these belong to the user
        shutil.copyfile(folder / name, files / name)
    if listed:
        try:
            check_folder(files, listed)
        except Mismatch as mismatch:
            raise EarshotError(f"{key} differs from {card.source.checksums}: {mismatch}") from None
    return str(folder)


def _visible_files(folder: Path) -> list[str]:
    """List the files below `folder`, without hidden ones and what is in hidden folders."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
