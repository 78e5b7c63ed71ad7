"""Files in a dataset's folder that are not its recordings: ignored, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from earshot.audio import files
from earshot.datasets.card import Card, members_of, texts
from earshot.datasets.union import CARDS

NAMED = "table that the card names"  # of groups or segments
NOT_NAMED = "recording that the card does not name"
SHOWN = 5


@dataclass(frozen=True)
class Ignored:
    """What is ignored: how many by reason, and warnings about what may hold recordings all the same."""

    counts: dict[str, int]
    warnings: list[str]


def find(card: Card, folder: Path, recordings: Iterable[str]) -> Ignored:
    """Find all that lies in a dataset's folder and is none of its recordings.

    Parameters
    ----------
    recordings : their paths in the folder
    """
    named, listed = _named(card), set(recordings)
    found = files.find(folder)
    reasons = found.ignored | dict.fromkeys(found.recordings, NOT_NAMED)
    why = {path.relative_to(folder).as_posix(): reason for path, reason in reasons.items()}
    why = {name: NAMED if name in named else reason for name, reason in why.items() if name not in listed}
    warnings = [
        f"Not followed: {name}, a {reason}. What it stands for is not among the recordings"
        for name, reason in sorted(why.items())
        if reason in files.NOT_FOLLOWED
    ]
    more = [f"Not followed: {len(warnings) - SHOWN} more"] if len(warnings) > SHOWN else []
    return Ignored(dict(sorted(Counter(why.values()).items())), warnings[:SHOWN] + more)


def _named(card: Card) -> set[str]:
    """Return the paths that a card may name for another purpose than recordings: every text of its layouts."""
    members = {f"{name}/": member.layout for name, member in members_of(card).items()} or {"": card.layout}
    named = {prefix + text for prefix, layout in members.items() for text in texts(layout.model_dump())}
    return named | ({CARDS} if card.union else set())
