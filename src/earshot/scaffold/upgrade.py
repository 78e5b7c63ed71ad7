"""`earshot upgrade`: a project's files as a newer earshot has them, with all that a user has changed."""

from __future__ import annotations

import difflib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from earshot import files, project
from earshot.errors import EarshotError
from earshot.scaffold import base, template


@dataclass(frozen=True)
class Change:
    """What becomes of a file.

    name : its path below the project's folder
    before, after : its text; None where there is no file. Where they are the same, it is the user's and stays
    conflicts : places that both the user and earshot have changed; `after` has both, between <<<<<<< and >>>>>>>
    """

    name: str
    before: str | None
    after: str | None
    conflicts: int = 0

    def diff(self) -> str:
        """Return the change as a unified diff."""
        names = [f"{side}/{self.name}" for side in "ab"]
        lines = [(text or "").splitlines(keepends=True) for text in (self.before, self.after)]
        return "".join(difflib.unified_diff(*lines, *names))


def changes() -> list[Change]:
    """Return what is to be said of the project's files, by their names.

    Raises
    ------
    EarshotError
        If the project was not made by `earshot new`, or by a newer version than the one that is installed.
    """
    former, now = base.read(), template.contents()
    if Version(former.version) > Version(template.version()):
        raise EarshotError(
            f"the project is of earshot {former.version}, and {template.version()} is installed: "
            "pip install --upgrade earshot"
        )
    names = sorted(former.texts.keys() | now.keys())
    found = (_change(name, former.texts.get(name), now.get(name), former.version) for name in names)
    return [change for change in found if change]


def write(found: list[Change]) -> None:
    """Write the changes, and at the end that the project is of the version that is installed."""
    for change in found:
        path = project.root() / change.name
        if change.after is None:
            path.unlink(missing_ok=True)
        elif change.after != change.before:
            files.write_text(path, change.after)
    base.keep(project.root(), template.contents())


def _change(name: str, before: str | None, after: str | None, version: str) -> Change | None:
    """Return what becomes of a file that earshot wrote as `before` and has as `after` now; None if it stays."""
    path = project.root() / name
    mine = path.read_text("utf-8") if path.is_file() else None
    if before == after or mine == after:
        return None
    if mine == before:  # also one that is new
        return Change(name, mine, after)
    if mine is None or before is None or after is None:  # removed or added by the user, or no longer earshot's
        return Change(name, mine, mine)
    return Change(name, mine, *_merged(mine, before, after, version))


def _merged(mine: str, before: str, after: str, version: str) -> tuple[str, int]:
    """Return three texts merged by git, and the number of places that both sides have changed."""
    labels = ["yours", f"earshot {version}", f"earshot {template.version()}"]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("mine", "before", "after")]
        for path, text in zip(paths, (mine, before, after), strict=True):
            files.write_text(path, text)
        command = ["git", "merge-file", "-p", "--diff3", *(part for label in labels for part in ("-L", label))]
        try:
            done = subprocess.run([*command, *paths], capture_output=True, check=False)
        except OSError:
            raise EarshotError("git is not installed, which merges your changes with earshot's") from None
    if done.returncode < 0 or done.returncode > 127:
        raise EarshotError(f"git merge-file: {done.stderr.decode().strip()}")
    return done.stdout.decode(), done.returncode
