"""Whether workers have the same code and libraries as their client: else their results could be others."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
CODE = "earshot's code"


def facts() -> dict[str, str]:
    """Return the versions of Python and of the libraries that earshot requires, and a digest of its code."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), CODE: _code()}
    return found | {name: _version(name) for name in _required()}


def difference(here: dict[str, str], there: dict[str, str]) -> str | None:
    """Say what a worker has `there` that its client has not `here`; None where nothing differs."""
    differing = [
        f"{name} {there.get(name, 'missing')} and not {here.get(name, 'missing')}"
        for name in sorted(here.keys() | there.keys(), key=lambda name: (name != CODE, name))
        if here.get(name) != there.get(name)
    ]
    return ", ".join(differing) or None


def _code() -> str:
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:10]


def _required() -> list[str]:
    """Return the names of the distributions that earshot can't do without, and that a cluster needs."""
    try:
        lines = importlib.metadata.requires("earshot") or []
    except importlib.metadata.PackageNotFoundError:  # its code is in the path alone
        lines = ["numpy", "pandas", "scipy", "torch"]
    names = [re.match(r"[\w.-]+", line).group() for line in lines if "extra ==" not in line]
    return sorted({*names, "dask", "distributed"})


def _version(name: str) -> str:
    """Return a version without its local part, such as the +cpu of torch's."""
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return "missing"
