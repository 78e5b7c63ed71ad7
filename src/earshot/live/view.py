"""The live view in a terminal: the stage that runs, how far it is, and what it said last."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.filesize import decimal
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from earshot.live.story import Stage, Story

LAST = 3  # lines of a stage, such as the last scores
BAR = 40  # columns
INDENT = "  "


@contextmanager
def shown(story: Story, console: Console) -> Iterator[None]:
    """Show a story below what is printed, as long as the block lasts."""
    # what is printed stands above it, and what is warned of, too, unless standard error goes elsewhere
    with Live(View(story), console=console, transient=True, redirect_stderr=sys.stderr.isatty()):
        yield


def tell(console: Console, text: str) -> None:
    """Print the line of a stage that is done, cut where the terminal ends."""
    console.print(Text(text), no_wrap=True, overflow="ellipsis")


class View:
    """A story as rich draws it."""

    def __init__(self, story: Story):
        """Take what is to be drawn."""
        self.story = story

    def __rich__(self) -> RenderableType:
        """Return what there is to see now."""
        stage = self.story.stage
        return Group(*(_of_stage(stage) if stage else [_line("DVC looks for what has changed", "dim")]), self._whole())

    def _whole(self) -> RenderableType:
        """Return how far the pipeline is."""
        so_far = clock(time.monotonic() - self.story.began)
        if not self.story.plan:
            return _line(f"{INDENT}{so_far} so far")
        n = len(self.story.plan)
        done = self.story.past - bool(self.story.stage)
        return _beside_a_bar(done, n, f"{done} of {n} stages, {so_far} so far")


def _of_stage(stage: Stage) -> Iterator[RenderableType]:
    head = Text(f"[{stage.number}] ").append(stage.name, "bold")
    head.append(f"  {stage.what}  " if stage.what else "  ").append(clock(stage.seconds), "cyan")
    yield _cut(head)
    if told := stage.progress:
        yield _beside_a_bar(told["done"], told["of"], f"{told['label']}: {counted(told)}{left(told)}")
    for text in list(stage.said)[-LAST:]:
        yield _line(f"{INDENT}{text.strip()}", "dim")


def counted(told: dict[str, Any]) -> str:
    """Say how many are done of all: "3 of 8 runs", "1.2 MB of 30.0 MB", "3 of 8" where they have no name."""
    done, of, unit = told["done"], told["of"], told["unit"]
    if unit == "B":
        return f"{decimal(done)} of {decimal(of)}"
    return f"{done} of {of}" + ("" if unit == "it" else f" {unit}s")


def left(told: dict[str, Any]) -> str:
    """Say how long the rest takes at the pace so far; nothing while there is none."""
    done, rest = told["done"] - told["before"], told["of"] - told["done"]
    return f", {clock(told['seconds'] / done * rest)} left" if done > 0 and rest > 0 else ""


def clock(seconds: float) -> str:
    """Write seconds as 0:07, 12:34 or 1:02:03."""
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{whole:02}" if hours else f"{minutes}:{whole:02}"


def _beside_a_bar(done: float, of: float, text: str) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_row(INDENT[1:], ProgressBar(of, done, BAR, complete_style="cyan", finished_style="green"), _line(text))
    return row


def _line(text: str, style: str = "") -> Text:
    return _cut(Text(text, style))


def _cut(text: Text) -> Text:
    """Return a text that is cut where the terminal ends: a view that wraps would jump."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
