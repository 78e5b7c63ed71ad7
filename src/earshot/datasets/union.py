"""Unions: datasets made of others, which stay apart by their names: `MEMBER/` before recordings, paths and groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from earshot import files
from earshot.datasets.card import Card, load_card, members_of
from earshot.errors import EarshotError

CARDS = "cards.json"  # in a union's folder: what its members' cards said when it was downloaded
DECISIVE = {"source", "layout", "needs", "classes", "known_bad", "channel"}
PREFIXED = ["recording", "path", "group"]


def prefixed(row: dict[str, Any], member: str) -> dict[str, Any]:
    """Return a row of a member as one of the union; its published fold is none of the union's."""
    named = {key: row[key] and f"{member}/{row[key]}" for key in PREFIXED}
    return row | named | {"fold": None}


def of_member(recordings: pd.DataFrame, member: str) -> pd.DataFrame:
    """Return the recordings of a union (see `manifest.read`) that are a member's, as the member names them."""
    prefix = f"{member}/"
    mine = recordings[recordings["recording"].str.startswith(prefix)]
    named = {key: mine[key].str.removeprefix(prefix) for key in PREFIXED if key in mine}
    return mine.assign(**named).reset_index(drop=True)


def overlap(one: Card, other: Card) -> bool:
    """Whether two datasets share recordings: they are the same, a union and its member, or unions with a member."""
    return not {one.name, *(one.union or {})}.isdisjoint({other.name, *(other.union or {})})


def write_cards(card: Card, folder: Path) -> None:
    """Write what decides the members into the folder of a union, so that DVC sees when it has changed."""
    files.write_json(folder / CARDS, _cards(card))


def check_cards(card: Card, folder: Path) -> None:
    """Check that the members' cards are those with which a union was downloaded to `folder`.

    Raises
    ------
    EarshotError
        If one has changed; DVC knows the union's own card alone.
    """
    then, now = files.read_json(folder / CARDS), _cards(card)
    if changed := [name for name in now if now[name] != then.get(name)]:
        raise EarshotError(
            f"the card of {', '.join(changed)} has changed since {card.name} was put together: run "
            f"`dvc repro --force --single-item download@{card.name}`"
        )


def _cards(card: Card) -> dict[str, Any]:
    return {name: load_card(name).model_dump(mode="json", include=DECISIVE) for name in members_of(card)}
