"""What earshot wrote into a project: the base from which its own changes are told from a user's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earshot import files, project
from earshot.errors import EarshotError
from earshot.scaffold import template

NAME = ".earshot.json"


@dataclass(frozen=True)
class Base:
    """The version of earshot that wrote a project's files, and the text that each had."""

    version: str
    texts: dict[str, str]


def keep(root: Path, texts: dict[str, str]) -> None:
    """Write down what the version that is installed has written into a project's folder."""
    files.write_json(root / NAME, {"version": template.version(), "files": texts})


def read() -> Base:
    """Return what a project was begun or brought up to date with.

    Raises
    ------
    EarshotError
        If this is no such project: a clone, or the file is gone or damaged.
    """
    path = project.root() / NAME
    if not path.is_file():
        raise EarshotError(
            f"{path} is missing, which `earshot new` writes: in a clone of earshot `git pull` brings all up to date"
        )
    content = files.read_json(path)
    texts = content.get("files") if isinstance(content, dict) else None
    if not isinstance(texts, dict) or not isinstance(content.get("version"), str):
        raise EarshotError(f"{path} is not what `earshot new` writes: take it from git, or from a new project")
    return Base(content["version"], texts)
