"""Which files of a folder are recordings: one rule for datasets, `download` and `predict`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import soundfile

from earshot.audio.pieces import Whole
from earshot.audio.sound_file import SoundFile
from earshot.audio.suffixes import AUDIO_SUFFIXES, NO_SOUND_SUFFIXES, kind_of_ffmpeg

SYSTEM_FOLDERS = frozenset({"__MACOSX", "System Volume Information", "$RECYCLE.BIN", "@eaDir", "lost+found"})
HIDDEN = "hidden"
DANGLING = "link to nothing"
LOOP = "link to a folder that it lies in"
SEEN = "link to a folder that is read at another place"
CLOSED = "folder that can't be opened"
UNREAD = "file that can't be read"
SPECIAL = "no regular file"
NOT_FOLLOWED = (DANGLING, LOOP, SEEN, CLOSED, UNREAD)  # what may hide recordings


@dataclass
class Found:
    """The files of a folder.

    recordings : paths of recordings, sorted; links are followed, and the path is the one through the link
    ignored : path to the reason, of each file that is none, and of each link and folder that was not followed
    """

    recordings: list[Path] = field(default_factory=list)
    ignored: dict[Path, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many were ignored, by reason."""
        return dict(sorted(Counter(self.ignored.values()).items()))


def find(top: Path) -> Found:
    """Find the recordings in a folder and in those below it.

    A recording is a file whose suffix says that it holds sound, or whose content does. Hidden files and folders, and
    those that systems leave behind, are none. A link to a folder is followed once.
    """
    found = Found()
    for path, why in _walked(top):
        why = why or _why_ignored(path, top)
        if why:
            found.ignored[path] = why
        else:
            found.recordings.append(path)
    found.recordings.sort()
    return found


def told(counts: dict[str, int]) -> str:
    """Return counts by reason in words, e.g. "3 hidden, 8 .txt"; "none" where there are none."""
    return ", ".join(f"{number} {why}" for why, number in counts.items()) or "none"


def may_be_recording(path: PurePath) -> bool:
    """Tell of a path relative to a folder whether it may be a recording's: by its name alone, as in a listing."""
    return not is_hidden(path) and path.suffix.lower() not in NO_SOUND_SUFFIXES


def is_hidden(path: PurePath) -> bool:
    """Tell whether a path relative to a folder is hidden in it, or lies in a folder that systems leave behind."""
    return any(part.startswith(".") or part in SYSTEM_FOLDERS for part in path.parts)


def _why_ignored(path: Path, top: Path) -> str | None:
    """Return why a file is no recording; None if it is one."""
    if is_hidden(path.relative_to(top)):
        return HIDDEN
    suffix = path.suffix.lower()
    try:
        if suffix in AUDIO_SUFFIXES or (may_be_recording(path.relative_to(top)) and _holds_sound(path)):
            return None
    except OSError:
        return UNREAD
    return suffix or "without a suffix"


def _holds_sound(path: Path) -> bool:
    """Tell by its content whether a decoder knows a file."""
    if kind_of_ffmpeg(path):
        return True
    try:
        with SoundFile(Whole(path)):
            return True
    except (soundfile.LibsndfileError, TypeError):  # TypeError: of a .raw file, without a header
        return False


def _walked(top: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield every file below a folder, and what was not followed with the reason.

    Real folders come before links, so that a link to one of them is the one that is not followed.
    """
    visited: set[Path] = set()
    links: list[Path] = []
    yield from _inside(top, top, visited, links)
    while links:
        link = links.pop(0)
        real = link.resolve()
        if link.parent.resolve().is_relative_to(real):
            yield link, LOOP
        elif real in visited:
            yield link, SEEN
        else:
            yield from _inside(link, top, visited, links)


def _inside(folder: Path, top: Path, visited: set[Path], links: list[Path]) -> Iterator[tuple[Path, str | None]]:
    """Yield the files of a folder and of the real folders below it; collect the links to folders."""
    visited.add(folder.resolve())
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder, CLOSED
        return
    for entry in entries:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if path.resolve() in visited:
                yield path, SEEN
            else:
                yield from _inside(path, top, visited, links)
        elif os.path.isfile(path):
            yield path, None
        elif is_hidden(path.relative_to(top)):
            yield path, HIDDEN
        elif os.path.isdir(path):
            links.append(path)
        else:
            yield path, DANGLING if entry.is_symlink() else SPECIAL
