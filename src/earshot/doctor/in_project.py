"""The project: its settings, its folder, DVC's cache and MLflow's store."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from earshot import project
from earshot.doctor import beforehand
from earshot.doctor.finding import ERROR, OK, WARNING, Finding
from earshot.errors import EarshotError
from earshot.scaffold import base, template
from earshot.tracking import address, outbox, store
from earshot.verify import dvc, everything


def examine() -> Iterator[Finding]:
    """Yield what there is to say of the project; little where this is none."""
    if not (project.root() / "dvc.yaml").is_file():
        yield Finding(WARNING, "project", f"none in {project.root()}: no dvc.yaml", "cd to the folder of a project")
        return
    yield from _version()
    yield _checked("settings", "params.yaml and its cards fit together", beforehand.check)
    yield _writable(project.cache().parent)
    yield _checked("repository", "DVC can work in it", beforehand.check_repository)
    yield from _links()
    yield _store()
    yield _unsent()
    yield _left_over()


def _version() -> Iterator[Finding]:
    """Look whether the files that `earshot new` wrote are of the version that is installed; a clone has none such."""
    if not (project.root() / base.NAME).is_file():
        return
    try:
        of, installed = base.read().version, template.version()
    except EarshotError as error:
        yield Finding(ERROR, "project", str(error), "mend what it names")
        return
    if of == installed:
        yield Finding(OK, "project", f"of earshot {of}")
    else:
        yield Finding(WARNING, "project", f"of earshot {of}, and {installed} is installed", "earshot upgrade")


def _checked(about: str, said: str, check: Callable[[], None]) -> Finding:
    try:
        check()
    except EarshotError as error:
        return Finding(ERROR, about, str(error), "mend what it names")
    return Finding(OK, about, said)


def _writable(folder: Path) -> Finding:
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        mend = f"sudo chown -R $(whoami) {folder}" if os.name == "posix" else f"make {folder} writable"
        return Finding(ERROR, "folder", f"{folder} can't be written: {error.strerror}", mend)
    return Finding(OK, "folder", f"{folder} can be written")


def _links() -> Iterator[Finding]:
    """Look whether DVC can link its cache to data/, or keeps all of it twice."""
    try:
        cache = dvc.cache()
    except EarshotError:
        return  # which the repository's finding says
    folder = next(path for path in (cache, *cache.parents) if path.is_dir())
    try:
        linked = _can_link(folder, project.cache().parent)
    except OSError:
        return  # which the folder's finding says
    if linked:
        yield Finding(OK, "DVC's cache", f"{cache} can be linked to data/")
    else:
        said = f"{cache} can't be linked to data/: all recordings and features are there twice"
        yield Finding(WARNING, "DVC's cache", said, "dvc cache dir --local FOLDER, on the file system of data/")


def _can_link(folder: Path, other: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=folder) as made, tempfile.TemporaryDirectory(dir=other) as there:
        try:
            os.link(made.name, Path(there, "linked"))
        except OSError:
            return False
    return True


def _store() -> Finding:
    if address.is_local() and not project.mlflow("mlflow.db").exists():
        return Finding(OK, "MLflow's store", "is made by the first training")
    try:
        store.connect()
    except store.Away as error:
        return Finding(ERROR, "MLflow's store", str(error), "start it, or unset MLFLOW_TRACKING_URI")
    return Finding(OK, "MLflow's store", f"{address.shown()} answers")


def _unsent() -> Finding:
    if n := len(outbox.unsent()):
        return Finding(WARNING, "runs", f"{n} wait to be sent to MLflow", "earshot sync")
    return Finding(OK, "runs", "all are in MLflow")


def _left_over() -> Finding:
    if left := everything.left_over():
        said = f"{len(left)} temporary files of processes that were killed, the first is {left[0]}"
        return Finding(WARNING, "left over", said, "earshot verify --remove")
    return Finding(OK, "left over", "nothing of processes that were killed")
