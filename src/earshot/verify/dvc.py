"""What DVC keeps and what it has made, by the MD5 that it has written down for each file.

DVC believes both: it compares the name of a file in its cache with nothing, and looks at the time of those outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from earshot import files, project
from earshot.errors import EarshotError

FOLDER = ".dir"  # ends the MD5 of a folder, which is that of a list of its files


def cache() -> Path:
    """Return the folder of the files in DVC's cache, wherever `dvc config cache.dir` has put it.

    Raises
    ------
    EarshotError
        If the project is not under DVC.
    """
    from dvc.exceptions import DvcException  # a second
    from dvc.repo import Repo

    try:
        with Repo(str(project.workspace())) as repo:
            return Path(repo.cache.local.path)
    except DvcException as error:
        raise EarshotError(f"DVC can't tell where its cache is: {error}") from None


def check_cache(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each file of DVC's cache, and whether its MD5 is its name."""
    for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
        if path.is_file():
            named = (path.parent.name + path.name).removesuffix(FOLDER)
            yield path, files.digest(path, "md5") == named


def check_outputs(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield each file that dvc.lock lists as an output and that is there, and whether its MD5 is the one there.

    Parameters
    ----------
    folder : of the cache, which has the lists of the folders
    """
    for path, md5 in _outputs(folder):
        if path.is_file():
            yield path, files.digest(path, "md5") == md5


def _outputs(folder: Path) -> Iterator[tuple[Path, str]]:
    lock = project.root() / "dvc.lock"
    content: dict[str, Any] = yaml.safe_load(lock.read_text("utf-8")) if lock.exists() else {}
    for stage in content.get("stages", {}).values():
        for out in stage.get("outs", []):
            path, md5 = project.root() / out["path"], out.get("md5", "")
            if not md5.endswith(FOLDER):
                yield path, md5
                continue
            listed = folder / md5[:2] / md5[2:]
            try:
                yield from ((path / one["relpath"], one["md5"]) for one in json.loads(listed.read_text("utf-8")))
            except (OSError, ValueError):
                continue  # there is none, or it is damaged itself: `check_cache` says so
