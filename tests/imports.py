"""Which of the project's files a module imports, directly or through others."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"


def file_of(module: str) -> Path | None:
    """Return the file of a module of this project, or None."""
    path = SOURCE.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def imported_by(path: Path) -> set[str]:
    """Return the modules that a file names in an import anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def closure(module: str) -> set[Path]:
    """Return the files of a module and of all it imports from this project, packages' __init__ left out."""
    seen: set[Path] = set()
    waiting = [file_of(module)]
    while waiting:
        path = waiting.pop()
        if path is None or path in seen:
            continue
        seen.add(path)
        waiting += [file_of(name) for name in imported_by(path)]
    return {path for path in seen if path.read_text().strip()} - {SOURCE / "earshot" / "__init__.py"}
