"""A card's files, fetched once into data/cache/backbones/ and checked each time they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import filelock

from earshot import files, project
from earshot.backbones.card import SUFFIX, BackboneCard, MobileNetV3, card_path, load_card
from earshot.datasets.sources import RemoteFile
from earshot.errors import EarshotError

KIND = "backbones"  # the folder's name in a mirror


def obtain(card: BackboneCard) -> list[Path]:
    """Return the verified files of a backbone, fetched where they aren't here; prints from where, and the licence.

    Raises
    ------
    EarshotError
        If a file can't be obtained or is wrong, or the card has no SHA-256 for it.
    """
    folder = project.cache(KIND, card.name)
    folder.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_suffix(".lock")):
        return [_obtain(card, file, folder) for file in card.files]


def files_of(name: str) -> list[Path]:
    """Return the verified files of the backbone `name`, see `card.card_path`; of a card with its files these.

    Raises
    ------
    EarshotError
        If one can't be obtained or is wrong.
    """
    card = load_card(name)
    return beside(card, Path(name).with_suffix("")) if name.endswith(SUFFIX) else obtain(card)


def beside(card: BackboneCard, folder: Path) -> list[Path]:
    """Return the files that lie beside a card, as `carry` put them; nothing is fetched or written.

    The weights of a MobileNetV3 are checked by whoever reads them: what lies there are safetensors.

    Raises
    ------
    EarshotError
        If one is missing or wrong.
    """
    for file in card.files[isinstance(card.network, MobileNetV3) :]:
        if not ((path := folder / file.path).is_file() and files.digest(path) == file.sha256):
            raise EarshotError(
                f"{path} is missing, or is not what its card says: take the model from where it was made"
            )
    return [folder / file.path for file in card.files]


def obtain_for(features: Mapping[str, Any], inputs: Iterable[str]) -> None:
    """Obtain the backbones of some inputs, before the processes that run them start.

    Parameters
    ----------
    features : of params.yaml; an input that is a backbone's names it as `backbone`
    inputs : some of its sections
    """
    for name in inputs:
        if isinstance(named := (features.get(name) or {}).get("backbone"), str):
            obtain(load_card(named))


def _obtain(card: BackboneCard, file: RemoteFile, folder: Path) -> Path:
    target = folder / file.path
    if not (target.is_file() and file.sha256 and files.digest(target) == file.sha256):
        from earshot.datasets.download import fetch_file  # requests take a quarter of a second, and all is there mostly

        origin = fetch_file(file, target, KIND, f"backbone '{card.name}'")
        print(f"backbone {card.name}: {file.path}, from {origin}\n  licence: {card.licence}", flush=True)
    if not file.sha256:
        raise EarshotError(
            f"{card_path(card.name)} has no sha256 for {file.path}, and what nobody has checked is not opened. What "
            f"has arrived at {target} has {files.digest(target)}: write that into the card if you trust it"
        )
    return target
