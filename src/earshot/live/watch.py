"""Run `dvc repro` and tell what happens: in a terminal by the live view, elsewhere in plain lines."""

from __future__ import annotations

import functools
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from earshot import files, progress, project
from earshot.live import plan, view
from earshot.live.listening import started
from earshot.live.story import Story

if TYPE_CHECKING:
    from rich.console import Console


def run(command: list[str], targets: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run a command of DVC's in the project's folder until it ends; return its status.

    All that is said is kept in data/repro.log, if a stage has run.
    """
    root = project.root()
    watched = {progress.WATCHED: "1", "PYTHONUNBUFFERED": "1"}  # the second: what a stage says is shown when it says it
    with started(command, root, environment | watched) as dvc:
        screen = _screen()
        tell = functools.partial(view.tell, screen) if screen else _tell
        story = Story(functools.partial(plan.stages, root, targets), tell, _warn)
        try:
            with view.shown(story, screen) if screen else nullcontext():
                for line in dvc.lines:
                    story.hear(line)
                story.close(failed=dvc.popen.returncode != 0)
        finally:
            log = _keep(story)
    status = dvc.popen.returncode
    if status and log:
        _warn(f"all that was said: {log}")
    return status


def _screen() -> Console | None:
    """Return the terminal that can show the view, or None."""
    if not sys.stdout.isatty():  # whatever variables for colours in a log may say
        return None
    from earshot.terminal import console  # takes half a second, in which DVC starts

    screen = console()
    return None if screen.is_dumb_terminal else screen


def _keep(story: Story) -> Path | None:
    """Write all that was said; return where, or None: if nothing has run the last log stays."""
    if not story.ran:
        return None
    try:
        files.write_text(project.log(), "\n".join([*story.heard, ""]))
    except OSError:  # a disk that is full has stopped a stage, which says so
        return None
    return project.log()


def _tell(text: str) -> None:
    print(text, flush=True)


def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
