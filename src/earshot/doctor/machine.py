"""The machine: Python and its packages, the programs that earshot calls, memory, disk and ports."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from earshot import project
from earshot.doctor.finding import ERROR, OK, WARNING, Finding
from earshot.errors import EarshotError
from earshot.tracking import links
from earshot.web import ports

GB = 1e9
LEAST_DISK, LITTLE_DISK = 1 * GB, 10 * GB  # free; GTZAN and its features take some 6 GB
LITTLE_MEMORY = 2 * GB  # free; a training takes up to 1 GB, and there is one for each core
PINS = "requirements.txt"
PIN = re.compile(r"^([\w.-]+)==([^\s;\\]+)([^\\\n]*)", re.MULTILINE)  # name, version, marker
INSTALL = {"Linux": "apt install {}", "Darwin": "brew install {}", "Windows": "winget install {}"}


def examine() -> Iterator[Finding]:
    """Yield what there is to say of this machine."""
    yield _packages()
    yield from _pins(project.root() / PINS)
    yield _program("git", ERROR, "DVC needs it, and a run says of which commit it is")
    yield _program("ffmpeg", WARNING, "recordings as m4a, wma and the like are set aside without it")
    yield from _disks()
    yield _memory()
    yield _port("earshot dashboard", links.PORT)
    yield _port("earshot serve", ports.SERVE)


def _packages() -> Finding:
    """Look whether what earshot depends on is installed, in a version that it takes, for a Python that it takes."""
    here = importlib.metadata.metadata("earshot")
    python, wanted = platform.python_version(), here["Requires-Python"]
    if not Requirement(f"python{wanted}").specifier.contains(python):
        return Finding(ERROR, "python", f"{python}, and earshot runs on {wanted}", "make install PYTHON=python3.11")
    wrong = [told for text in here.get_all("Requires-Dist", []) if (told := _wrong(Requirement(text)))]
    if wrong:
        return Finding(ERROR, "packages", "; ".join(wrong), "make install, or: pip install --upgrade earshot")
    return Finding(OK, "python", f"{python}, with all packages that earshot needs")


def _wrong(needed: Requirement) -> str | None:
    """Return what is wrong with a package that is needed; None if nothing is, or if it is of an extra."""
    if needed.marker and not needed.marker.evaluate({"extra": ""}):
        return None
    installed = _installed(needed.name)
    if installed is None:
        return f"{needed.name} is not installed"
    fits = needed.specifier.contains(installed, prereleases=True)
    return None if fits else f"{needed.name} is {installed}, and earshot takes {needed.specifier}"


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _pins(path: Path) -> Iterator[Finding]:
    """Look whether the versions are those of requirements.txt, with which the numbers in docs/ were measured."""
    if not path.is_file():
        return
    other = [told for pin in PIN.findall(path.read_text("utf-8")) if (told := _otherwise(*pin))]
    if other:
        shown = "; ".join(other[:5]) + (f"; and {len(other) - 5} more" if len(other) > 5 else "")
        yield Finding(WARNING, PINS, f"{shown}: numbers may differ in their last digits", "make install")
    else:
        yield Finding(OK, PINS, "the versions that it pins")


def _otherwise(name: str, version: str, marker: str) -> str | None:
    """Return how the version of a package that is installed differs from the one that is pinned; None if it doesn't."""
    applies, installed = Requirement(f"{name}{marker}").marker, _installed(name)
    if not installed or (applies and not applies.evaluate()):
        return None
    same = installed.partition("+")[0] == version.partition("+")[0]  # the rest names a build, as of torch for CPUs
    return None if same else f"{name} is {installed}, not {version}"


def _program(name: str, level: str, why: str) -> Finding:
    if path := shutil.which(name):
        return Finding(OK, name, path)
    install = INSTALL.get(platform.system(), "install {}").format(name)
    return Finding(level, name, f"not found; {why}", install)


def _disks() -> Iterator[Finding]:
    for about, folder in (("disk", project.root()), ("temporary files", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        said = f"{free / GB:.1f} GB free at {folder}"
        if free >= LITTLE_DISK:
            yield Finding(OK, about, said)
            continue
        level = ERROR if free < LEAST_DISK else WARNING
        mend = "make room, or set TMPDIR to another folder" if about != "disk" else "make room: dvc gc --workspace"
        yield Finding(level, about, f"{said}; GTZAN and its features take some 6 GB", mend)


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    said = f"{free / GB:.1f} GB available"
    if free >= LITTLE_MEMORY:
        return Finding(OK, "memory", said)
    return Finding(WARNING, "memory", f"{said}; a training takes up to 1 GB", "end other programs, or: --workers 1")


def _port(command: str, number: int) -> Finding:
    try:
        ports.check("127.0.0.1", number)
    except EarshotError:
        mend = f"{command} --port {number + 1}"
        return Finding(WARNING, command, f"port {number} is taken, perhaps by itself, running", mend)
    return Finding(OK, command, f"port {number} is free")
