"""Run the whole pipeline on the real recordings that EARSHOT_MIRROR holds, and on the table of GTZAN's features.

It runs in a copy of the project's files, so that neither params.yaml nor data/ here is touched: build/real, or
build/NAME with `--to NAME`. Killed, it goes on where it was when it is started again. Other arguments change
params.yaml: `seeds=[0,1,2]`, `protocols=[published]`.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from earshot.provenance import commit

PROJECT = Path(__file__).parent.parent
# the last one to test the sirens' models elsewhere
DATASETS = ["gtzan_mini", "gtzan_features", "sirens_standin", "synthetic_sirens"]


def copy_project(copy: Path) -> None:
    """Bring the project's files to the copy; what the pipeline made there stays."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / name, copy / name)
    for card in (PROJECT / "tests" / "cards").iterdir():
        shutil.copy2(card, copy / "conf" / "cards" / card.name)
    if not (copy / ".git").exists():
        subprocess.run(["git", "init", "-q"], cwd=copy, check=True)


def set_params(copy: Path, changes: list[str]) -> None:
    """Choose the real datasets, and change top-level keys as `key=value` says."""
    path = copy / "params.yaml"
    params = yaml.safe_load(path.read_text()) | {"datasets": DATASETS}
    params |= {key: yaml.safe_load(value) for key, value in (change.split("=", 1) for change in changes)}
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def main() -> None:
    """Copy, set, run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", default="real", metavar="NAME")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE")
    asked = parser.parse_args()
    copy = PROJECT / "build" / asked.to
    if not os.environ.get("EARSHOT_MIRROR"):
        sys.exit("error: set EARSHOT_MIRROR to the folder that holds gtzan_mini/, gtzan_features/ and the others")
    mirror = str(Path(os.environ["EARSHOT_MIRROR"]).resolve())
    copy_project(copy)
    set_params(copy, asked.changes)
    environment = os.environ | {
        "EARSHOT_MIRROR": mirror,
        "EARSHOT_ROOT": str(copy),
        "PYTHONPATH": str(copy / "src"),
        "EARSHOT_COMMAND": " ".join(["python benchmarks/real.py", *map(shlex.quote, sys.argv[1:])]),
        "EARSHOT_COMMIT": commit(),
    }
    raise SystemExit(subprocess.call([sys.executable, "-m", "earshot.cli", "repro"], cwd=copy, env=environment))


if __name__ == "__main__":
    main()
