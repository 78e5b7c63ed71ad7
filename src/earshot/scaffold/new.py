"""`earshot new`: a project that `earshot repro` runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from earshot import files
from earshot.errors import EarshotError
from earshot.scaffold import base, template


def make(folder: Path, under_git: bool) -> None:
    """Make a project: its files, and git and DVC.

    Within a repository of git it becomes a part of that one.

    Parameters
    ----------
    folder : that of the project, which must not be there, or be empty
    under_git : False for DVC alone

    Raises
    ------
    EarshotError
        If there is something in the folder, or git is not installed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EarshotError(f"{folder} is there already: name a folder that is not, or an empty one")
    if under_git and not shutil.which("git"):
        raise EarshotError("git is not installed: install it, or do without: earshot new --no-git")
    was_there = folder.is_dir()
    try:
        _fill(folder, under_git)
    except BaseException:  # Ctrl-C too
        shutil.rmtree(folder, ignore_errors=True)
        if was_there:
            folder.mkdir()
        raise


def _fill(folder: Path, under_git: bool) -> None:
    texts = template.contents()
    for name, text in texts.items():
        files.write_text(folder / name, text)
    _begin_dvc(folder, under_git)
    base.keep(folder, texts)


def _begin_dvc(folder: Path, under_git: bool) -> None:
    from dvc.repo import Repo

    inside = under_git and _is_under_git(folder)
    if under_git and not inside:
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    with Repo.init(str(folder), no_scm=not under_git, subdir=inside) as repo, repo.config.edit("repo") as config:
        config["core"] |= {"analytics": False, "autostage": False}
        # links where the disk has them: a copy of every recording is not needed
        config["cache"]["type"] = ["reflink", "hardlink", "copy"]


def _is_under_git(folder: Path) -> bool:
    asked = ["git", "rev-parse", "--is-inside-work-tree"]
    return subprocess.run(asked, cwd=folder, capture_output=True, check=False).returncode == 0
