"""What a result came from: the code and libraries it depends on, the commit, the machine and the call."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earshot import files, project

ROOMS = ("earshot", "custom")  # the packages whose code is the project's own
NOWHERE = "earshot.cluster"  # where work is done decides nothing of what comes of it


def recorded(root: Path) -> list[dict[str, Any]]:
    """Return what `record` has written in a project's folder, the oldest first."""
    path = root / "data" / "repro.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else []


def record(command: str, seconds: float, status: int) -> None:
    """Add a call of the pipeline to data/repro.json.

    Parameters
    ----------
    command : as it would be typed
    seconds : from its beginning to its end
    status : what it ended with; 0 where all went well
    """
    call = {
        "command": command,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "status": status,
        "commit": commit(),
        "machine": machine(),
    }
    files.write_json(project.calls(), [*recorded(project.root()), call])


def commit() -> str:
    """Return the commit of the code, with "+" where files differ from it, or "unknown" outside git.

    Of a package, which may be installed in another project's repository, it is the version.
    """
    code = Path(__file__).parent
    if _is_installed(code):
        return importlib.metadata.version("earshot")
    sha = os.environ.get("EARSHOT_COMMIT") or _git(code, "rev-parse", "--short=10", "HEAD")
    return sha + ("+" if not os.environ.get("EARSHOT_COMMIT") and _git(code, "status", "--porcelain", ".") else "")


def _is_installed(code: Path) -> bool:
    """Tell whether this is code that was installed, and not a clone's."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return Path(importlib.metadata.distribution("earshot").locate_file("earshot")) == code
    return False


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        said = done.stdout.strip()
    except OSError:  # git is not installed
        said = ""
    return said or ("unknown" if arguments[0] == "rev-parse" else "")


def machine() -> str:
    """Describe this machine: processor, cores and system."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} cores of {name}, {platform.system()}, Python {platform.python_version()}"


def closure(*modules: str) -> list[Path]:
    """Return the files of modules and of all that they import, directly or through others, sorted by name.

    What is imported for type checkers alone does not count. Packages are this project's, but for `NOWHERE`, and the
    user's `custom`.

    Parameters
    ----------
    modules : names such as "earshot.inputs.log_mel"
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and (path := _file_of(name)):
            found[name] = path
            waiting += _imports(path)
            waiting.append(name.rpartition(".")[0])  # a package's __init__ runs first
    return [found[name] for name in sorted(found)]


@functools.cache
def code(*modules: str) -> dict[str, str]:
    """Return what decides a result beside its settings and data: digests of `code`, the closure's, and `libraries`."""
    paths = closure(*modules)
    parts = [(path.relative_to(_root_of(path)).as_posix(), path.read_text("utf-8")) for path in paths]
    return {"code": digest(parts), "libraries": digest(_versions(paths))}


def digest(facts: Any) -> str:
    """Return the sha256 of facts that JSON knows, in hex."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _versions(paths: list[Path]) -> list[list[str]]:
    """Return the name and version of each library that some files import."""
    packages = {name.partition(".")[0] for path in paths for name in _imports(path)} - {*ROOMS}
    names = {name for package in packages for name in libraries().get(package, [])}
    return [[name, importlib.metadata.version(name)] for name in sorted(names)]


@functools.cache
def libraries() -> Mapping[str, list[str]]:
    """Return what is installed, by the packages that it has; finding out takes a second."""
    return importlib.metadata.packages_distributions()


def _file_of(module: str) -> Path | None:
    """Return the file of a module or package of the project, or None."""
    package, *rest = module.split(".")
    if package not in ROOMS or f"{module}.".startswith(f"{NOWHERE}."):
        return None
    path = _packages()[package].joinpath(*rest)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@functools.cache
def _imports(path: Path) -> list[str]:
    """Return the modules that a file may import when it runs: of `from a import b` both a and a.b."""
    names: list[str] = []
    waiting: list[ast.AST] = [ast.parse(path.read_text("utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(path, node)
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        waiting += ast.iter_child_nodes(node)
    return names


def _absolute(path: Path, node: ast.ImportFrom) -> str:
    """Return the module that an import is from: of `from .layers import Gate` in custom/net.py it is custom.layers."""
    package = path.relative_to(_root_of(path)).with_suffix("").parts[: -node.level] if node.level else ()
    return ".".join([*package, *([node.module] if node.module else [])])


def _packages() -> dict[str, Path]:
    return {"earshot": Path(__file__).parent, "custom": project.root() / "custom"}


def _root_of(path: Path) -> Path:
    return next(folder.parent for folder in _packages().values() if path.is_relative_to(folder))
