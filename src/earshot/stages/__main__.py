"""Run a stage, as DVC does: `python -m earshot.stages NAME [DATASET]`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
HERE = Path("src", "earshot")  # of a clone


def main() -> None:
    """Run the stage that is named, with the code in the current folder where there is some.

    `dvc exp run` runs stages in a copy of the project, and what is installed is the code of the original.
    """
    if HERE.is_dir() and not HERE.samefile(PACKAGE):
        for module in [name for name in sys.modules if name.partition(".")[0] == "earshot"]:
            del sys.modules[module]
        sys.path.insert(0, str(HERE.parent.resolve()))
        os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], *filter(None, [os.environ.get("PYTHONPATH")])])
    from earshot import stages

    known = stages.names()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        raise SystemExit(f"usage: python -m earshot.stages NAME [DATASET]; the stages are {', '.join(known)}")
    name = sys.argv.pop(1)
    importlib.import_module(f"earshot.stages.{name}").main(prog_name=f"python -m earshot.stages {name}")


if __name__ == "__main__":
    main()
