"""Another process of a training, `python -m earshot.training.other`: see `several`.

It reads what to do as a line of JSON on standard input, whose end ends it; it answers on standard output.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from earshot.batches import prepare
from earshot.batches.share import Share
from earshot.errors import EarshotError
from earshot.processes import leave_with_parent
from earshot.training import fit, several


def main() -> None:
    """Take part in a training; say when it can begin, and what went wrong."""
    leave_with_parent()
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    first = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a model prints is not for the first process
    group = several.Group(Share(job["rank"], job["of"]), job["meeting"], first=first)
    try:
        _train(job, group)
    except BaseException as error:
        told: dict[str, Any] = {"failed": min(group.failed, time.monotonic())}
        if isinstance(error, EarshotError):
            told["error"] = str(error)
        else:
            traceback.print_exc()
        print(json.dumps(told), file=first, flush=True)
        os._exit(1)  # without waiting for the others


def _train(job: dict[str, Any], group: several.Group) -> None:
    cfg = OmegaConf.create(job["cfg"])
    data = prepare.load(cfg)
    windows = prepare.part(cfg, data, "train"), prepare.part(cfg, data, "validation")
    if several.digest(windows) != job["windows"]:
        raise EarshotError("the windows are not those of the config, of which alone several processes can train")
    fit.learn(cfg, data, windows, state=job["state"] and Path(job["state"]), group=group)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
