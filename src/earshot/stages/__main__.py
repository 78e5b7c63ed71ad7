"""Run a stage, as DVC does: `python -m earshot.stages NAME [DATASET]`."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
HERE = Path("src", "earshot")  # of a clone
ALWAYS = "code"  # runs also where nothing has changed, so that it wakes nobody
WORKERS = ["earshot.tracking.imported", "earshot.training.runs", "earshot.evaluation.test"]  # what they import


def main() -> None:
    """Run the stage that is named, with the code in the current folder where there is some.

    `dvc exp run` runs stages in a copy of the project, and what is installed is the code of the original.
    """
    arguments = sys.argv[1:]
    if HERE.is_dir() and not HERE.samefile(PACKAGE):
        for module in [name for name in sys.modules if name.partition(".")[0] == "earshot"]:
            del sys.modules[module]
        sys.path.insert(0, str(HERE.parent.resolve()))
        os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], *filter(None, [os.environ.get("PYTHONPATH")])])
        run(arguments)
        return
    from earshot import stages
    from earshot.cluster import warm

    if arguments[:1] == [stages.SERVE]:
        warm.serve(int(arguments[1]), load, run)
    elif arguments[:1] == [ALWAYS]:
        run(arguments)
    else:
        warm.run_stage(arguments, run)


def load() -> None:
    """Load what stages need, for all of them: see `cluster.warm`."""
    from earshot import provenance, stages

    for module in (*WORKERS, *(f"earshot.stages.{name}" for name in stages.names())):
        importlib.import_module(module)
    provenance.libraries()


def run(arguments: list[str]) -> None:
    """Run the stage that is named first, with the arguments after it."""
    from earshot import stages

    known = stages.names()
    if not arguments or arguments[0] not in known:
        raise SystemExit(f"usage: python -m earshot.stages NAME [DATASET]; the stages are {', '.join(known)}")
    name, *others = arguments
    importlib.import_module(f"earshot.stages.{name}").main(others, prog_name=f"python -m earshot.stages {name}")


if __name__ == "__main__":
    main()
