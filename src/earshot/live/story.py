"""What DVC and its stages have said, and what is told of it: a line for each stage, and all that is a warning."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from earshot import progress
from earshot.errors import printable
from earshot.live.listening import Line

# what DVC says of its stages
RUNS = re.compile(r"Running stage '(.+)':")
RESTORED = re.compile(r"Stage '(.+)' is cached - skipping run, checking out outputs")
UNCHANGED = re.compile(r"(?:Stage )?'(.+)' didn't change, skipping")
DONE = re.compile(r"(Generating|Updating) lock file .*")
COMMAND = re.compile(r"> .*")
KEPT = 40  # lines of a stage that are shown if it fails


@dataclass
class Stage:
    """The stage that runs.

    Attributes
    ----------
    name, number, what : as in TARGETS; its place among all; its `desc`
    news : what it has said of its dataset, if it began with that
    said : its last lines that have not been shown
    progress : the latest, as `progress.read` returns it
    """

    name: str
    number: str
    what: str = ""
    began: float = field(default_factory=time.monotonic)
    news: str = ""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    progress: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """Return how long it has run."""
        return time.monotonic() - self.began

    def says(self, text: str) -> None:
        """Take a line of its standard output."""
        of_dataset = rf"{re.escape(self.name.partition('@')[2])}(?: \(synthetic\))?: (.+)"
        if not self.said and (found := re.fullmatch(of_dataset, text)):
            self.news = found[1]
        self.said.append(text)


class Story:
    """The pipeline so far.

    Attributes
    ----------
    plan : the stages with their `desc`, once they are known
    past : how many stages are done with
    stage : the one that runs
    heard : all that was said, for the log
    ran : whether any stage has run, or came from DVC's cache
    """

    def __init__(self, plan: Callable[[], dict[str, str]], tell: Callable[[str], None], warn: Callable[[str], None]):
        """Take what asks DVC for the plan, where a line for a stage goes, and where one that must not be missed."""
        self._ask, self._tell, self._warn = plan, tell, warn
        self.began = time.monotonic()
        self.plan: dict[str, str] = {}
        self.past = self._unchanged = 0
        self.stage: Stage | None = None
        self.heard: list[str] = []
        self.ran = False

    def hear(self, line: Line) -> None:
        """Take a line of DVC or of a stage."""
        if line.error and (told := progress.read(line.text)):
            if self.stage and told["of"]:
                self.stage.progress = told
            return
        self.heard.append(line.text)
        text = printable(line.text)
        if line.error:
            self._warns(text)
        elif found := RUNS.fullmatch(text):
            self._begin(found[1])
        elif found := RESTORED.fullmatch(text):
            self._begin(found[1])
            self.stage.news = "taken from DVC's cache"
        elif UNCHANGED.fullmatch(text):
            self._end()
            self.past += 1
            self._unchanged += 1
        elif DONE.fullmatch(text):
            self._end()
        elif self.stage and text.strip() and not COMMAND.fullmatch(text):
            self._says(text)

    def close(self, failed: bool) -> None:
        """Tell the rest: of a stage that has failed, what it has said, as its error may be there."""
        if failed:
            self._show()
        else:
            self._end()
            self._tell_unchanged()

    def _begin(self, name: str) -> None:
        self._end()
        self._tell_unchanged()
        self.ran = True
        self.past += 1
        self.stage = Stage(name, str(self.past))
        self.plan = self.plan or self._ask()  # the stage runs meanwhile
        self.stage.what = self.plan.get(name, "")
        if n := len(self.plan):
            self.stage.number = f"{self.past:{len(str(n))}}/{n}"

    def _end(self) -> None:
        if stage := self.stage:
            self._tell(f"[{stage.number}] {stage.name}, {stage.seconds:.1f} s: {stage.news or stage.what}".rstrip(": "))
        self.stage = None

    def _tell_unchanged(self) -> None:
        if self._unchanged:
            self._tell(f"{self._unchanged} stage{'s' if self._unchanged > 1 else ''} unchanged")
        self._unchanged = 0

    def _says(self, text: str) -> None:
        if text.lstrip().lower().startswith("warning"):
            self._warn(f"{self.stage.name}: {text.strip()}")
        else:
            self.stage.says(text)

    def _warns(self, text: str) -> None:
        """Show a line of standard error, after what the stage has said before."""
        self._show()
        self._warn(text)

    def _show(self) -> None:
        if self.stage:
            for text in self.stage.said:
                self._warn(text)
            self.stage.said.clear()
