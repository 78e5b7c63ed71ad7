"""A program whose stages run in copies of a process, for the tests of `cluster.warm`.

Called as DVC calls `earshot.stages`: with a stage's name and its arguments. With `serve` it is what is copied.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from pathlib import Path

from earshot import processes
from earshot.cluster import warm
from earshot.errors import without_traceback

IMPORTED = "earshot.audio.filterbanks"


def facts() -> None:
    """Print what the stage runs in."""
    said = {"process": os.getpid(), "parent": os.getppid(), "folder": os.getcwd(), "given": os.environ.get("GIVEN")}
    print(json.dumps(said | {"copied": warm.COPIED, "imported": IMPORTED in sys.modules}))


@without_traceback
def wait(path: str) -> None:
    """Write the number of this process to a file, wait for a signal, and say which."""
    processes.leave_with_parent()
    signal.signal(signal.SIGTERM, processes.leave_in_order)
    Path(path).with_suffix(".new").write_text(str(os.getpid()))
    Path(path).with_suffix(".new").rename(path)
    try:
        while True:
            signal.pause()
    except KeyboardInterrupt:
        print("interrupted")
        sys.exit(3)


def fail(how: str) -> None:
    """End as a stage can."""
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(int(how) if how.isdecimal() else how)


def load() -> None:
    """Import; then say so in a file, and wait for ever, where that is asked."""
    importlib.import_module(IMPORTED)
    if path := os.environ.get("LOADED"):
        Path(path).touch()
    if os.environ.get("ENDLESS"):
        signal.pause()


def run(arguments: list[str]) -> None:
    """Run a stage."""
    name, *others = arguments
    {"facts": facts, "wait": wait, "fail": fail}[name](*others)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may have it ignored
    if sys.argv[1] == "serve":
        warm.serve(int(sys.argv[2]), load, run)
    warm.run_stage(sys.argv[1:], run)
