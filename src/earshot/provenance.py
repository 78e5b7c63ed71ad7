"""What was run here, when and for how long: a line for every `earshot repro`, in data/repro.json."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from earshot import files, project


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
    files.write_json(project.data("repro.json"), [*recorded(project.root()), call])


def commit() -> str:
    """Return the commit of the installed code, with "+" where files differ from it, or "unknown" outside git."""
    code = Path(__file__).parent
    sha = os.environ.get("EARSHOT_COMMIT") or _git(code, "rev-parse", "--short=10", "HEAD")
    return sha + ("+" if not os.environ.get("EARSHOT_COMMIT") and _git(code, "status", "--porcelain", ".") else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() or ("unknown" if arguments[0] == "rev-parse" else "")


def machine() -> str:
    """Describe this machine: processor, cores and system."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} cores of {name}, {platform.system()}, Python {platform.python_version()}"


def sources(folder: Path, names: list[str]) -> list[Path]:
    """List the Python files that are named, or stand in a folder that is named; all in `folder`."""
    named = [folder / name for name in names]
    return [file for path in named for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
