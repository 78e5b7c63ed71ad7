"""The files that a project begins with. They are those of earshot's own repository, which is such a project, too."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

HERE = Path(__file__).parent
PACKED = HERE / "template"  # where a wheel has them
CLONE = HERE.parents[2]
# what the wheel takes from the clone, as pyproject.toml says
SHARED = (".dvcignore", "conf", "custom", "data/.gitignore", "data/README.md", "dvc.yaml", "params.yaml")
BESIDE = {"README.md": "README.md", "gitignore": ".gitignore"}  # what a project has of its own, by the name here


def version() -> str:
    """Return the version of earshot that is installed."""
    return importlib.metadata.version("earshot")


def contents() -> dict[str, str]:
    """Return the text of each file that a project begins with, by its path below the project's folder, in order."""
    base = PACKED if PACKED.is_dir() else CLONE
    paths = {path.relative_to(base).as_posix(): path for part in SHARED for path in _files(base / part)}
    paths |= {name: HERE / "beside" / here for here, name in BESIDE.items()}
    return {name: paths[name].read_text("utf-8") for name in sorted(paths)}


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
