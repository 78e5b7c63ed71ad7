"""Which annotations belong to which recording: a label file beside each, or one table of all."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from earshot.audio import files
from earshot.datasets.annotations import audioset, formats
from earshot.datasets.annotations.annotation import Annotation
from earshot.datasets.layouts import Events
from earshot.errors import EarshotError


def annotations_of(layout: Events, folder: Path) -> tuple[list[str], dict[str, list[Annotation]]]:
    """Return the recordings that are there, and the annotations of each that is labelled, whether it is there or not.

    Both name recordings below the layout's folder.

    Raises
    ------
    EarshotError
        If a label file is missing or wrong, or a name in it could be that of several recordings.
    """
    top = folder / layout.folder
    recordings = [path.relative_to(top).as_posix() for path in files.find(top).recordings]
    found = _of_label_files(layout, folder, recordings) if layout.has_pattern else _of_table(layout, folder, recordings)
    return recordings, found


def _of_label_files(layout: Events, folder: Path, recordings: list[str]) -> dict[str, list[Annotation]]:
    """Return the annotations of recordings that have a label file, and of label files that have no recording."""
    found: dict[str, list[Annotation]] = {}
    owner: dict[Path, str] = {}
    for name in recordings:
        path = _label_file(layout, folder, name)
        if not path.is_file():
            continue
        if (other := owner.setdefault(path, name)) != name:
            raise EarshotError(f"{path} would label both {other} and {name}: use {{path}} or {{name}} in layout.labels")
        found[name] = _of_one(path, layout)
    return found | _without_recording(layout, folder, set(owner))


def _without_recording(layout: Events, folder: Path, known: set[Path]) -> dict[str, list[Annotation]]:
    """Return the annotations of label files whose recording is missing, by what they call it."""
    beside = "/" not in layout.labels
    base = folder / layout.folder if beside else folder
    pattern = _filled(layout.labels, "*", "*", "**/*")
    parts = re.split("{(?:stem|name|path)}", layout.labels)
    shape = re.compile("(.+)".join(map(re.escape, parts)))
    found: dict[str, list[Annotation]] = {}
    for path in sorted(set(base.glob(f"**/{pattern}" if beside else pattern)) - known):
        name = path.relative_to(base)
        match = shape.fullmatch(name.name if beside else name.as_posix())
        if not path.is_file() or not match or any(part.startswith(".") for part in name.parts):
            continue
        try:
            events = _of_one(path, layout)
        except EarshotError:
            continue  # a text that labels nothing, such as a README
        if events:
            found[(name.parent / match[1]).as_posix() if beside else match[1]] = events
    return found


def _label_file(layout: Events, folder: Path, name: str) -> Path:
    base = folder if "/" in layout.labels else (folder / layout.folder / name).parent
    path = PurePosixPath(name)
    return base / _filled(layout.labels, path.stem, path.name, path.with_suffix("").as_posix())


def _filled(pattern: str, stem: str, name: str, path: str) -> str:
    return pattern.replace("{stem}", stem).replace("{name}", name).replace("{path}", path)


def _of_one(path: Path, layout: Events) -> list[Annotation]:
    """Return the annotations of a label file of one recording, whatever it calls that."""
    events = formats.read(path, layout.format, layout.columns).events
    if len(names := sorted({event.file for event in events if event.file})) > 1:
        raise EarshotError(f"{path} labels {len(names)} files ({', '.join(names[:3])}): name it as the one `labels`")
    return events


def _of_table(layout: Events, folder: Path, recordings: list[str]) -> dict[str, list[Annotation]]:
    """Return the annotations of each recording that the table names, whether there is one or not."""
    path = folder / layout.labels
    labels = formats.read(path, layout.format, layout.columns)
    names = _Names(recordings)
    found: dict[str, list[Annotation]] = {}
    for file, line in labels.silent.items():
        found[names.find(file, path, line)] = []
    for event in labels.events:
        if event.file is None:
            raise EarshotError(f"{path}, line {event.line}: names no recording, and in a table of all it must")
        found.setdefault(names.find(event.file, path, event.line), []).append(event)
    return found


class _Names:
    """Finds the recording that a name in a table stands for."""

    def __init__(self, recordings: list[str]):
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.said: dict[str, str] = {}
        for recording in recordings:
            path = PurePosixPath(recording)
            self.by_name[path.name].append(recording)
            self.by_stem[path.stem].append(recording)

    def find(self, file: str, table: Path, line: int) -> str:
        """Return the recording; where there is none, the name itself.

        A name may have more or fewer folders than the recording's, and another suffix or none.

        Raises
        ------
        EarshotError
            If there are several, or another name of the table was that of the same one.
        """
        path = PurePosixPath(file.replace("\\", "/"))
        stems = [path.name, path.stem]
        if video := audioset.video(path.name):
            stems += [video]
        for known in (self.by_name.get(path.name), *(self.by_stem.get(stem) for stem in stems)):
            if fitting := [recording for recording in known or () if _agree(path, PurePosixPath(recording))]:
                break
        else:
            return "/".join(part for part in path.parts if part.strip("/."))  # below the folder, whatever it says
        if len(fitting) > 1:
            among = ", ".join(fitting[:3])
            raise EarshotError(f"{table}, line {line}: '{file}' could be any of {among}: write its path")
        if (other := self.said.setdefault(fitting[0], file)) != file:
            raise EarshotError(f"{table}, line {line}: '{file}' and '{other}' are both taken for {fitting[0]}")
        return fitting[0]


def _agree(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Return whether the folders of one path are the last ones of the other's."""
    a, b = one.parent.parts, other.parent.parts
    shorter = min(len(a), len(b))
    return a[len(a) - shorter :] == b[len(b) - shorter :]
