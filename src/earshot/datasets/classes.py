"""The classes of a dataset, as far as they are known before its recordings are read."""

from __future__ import annotations

from earshot import project
from earshot.audio.files import is_hidden
from earshot.datasets import manifest, place
from earshot.datasets.card import Card, members_of
from earshot.datasets.layouts import ClassFolders, LongRecordings


def known(card: Card) -> set[str] | None:
    """Return a dataset's classes: by its card, its folders or an earlier manifest; None where nothing says them."""
    if card.classes:
        return set(card.classes)
    if card.union:
        found = [known(member) for member in members_of(card).values()]
        return None if None in found else set().union(*found)
    if isinstance(card.layout, LongRecordings):
        return set(card.layout.recordings)
    if isinstance(card.layout, ClassFolders) and (names := _folders(card, card.layout)):
        return names
    return set(manifest.classes_of(manifest.read(card.name))) if project.manifest(card.name).exists() else None


def _folders(card: Card, layout: ClassFolders) -> set[str]:
    """Return the class folders that are there: where the card's own folder is, or where it has been copied."""
    source = card.source
    own = place.own_folder(source.folder) if source.folder and not source.is_remote else None
    top = (own if own and own.is_dir() else project.raw(card.name)) / layout.folder
    if not top.is_dir():
        return set()
    return {path.name for path in top.iterdir() if path.is_dir() and not is_hidden(path.relative_to(top))}
