"""What `earshot repro` shows while it runs: a live view in a terminal, a line for each stage elsewhere.

The stages here are scripts of a few lines, but for the last test, which runs the real ones.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import psutil
import pytest
import yaml
from rich.console import Console

from conftest import BIN, left_running
from earshot import progress
from earshot.live import plan, view
from earshot.live.listening import Line
from earshot.live.story import Story
from pipelines import Pipeline

WIDTH, HEIGHT = 120, 30
CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


# What is told, line by line.


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def story(told) -> Story:
    stages = {"split@horns": "parts", "train@horns": "every run", "compare": "the report"}
    return Story(lambda: stages, told.append, lambda text: told.append(f"! {text}"))


def hear(story: Story, *lines: str, error: bool = False) -> None:
    for line in lines:
        story.hear(Line(line, error))


def without_seconds(told: list[str]) -> list[str]:
    return [re.sub(r"\d+\.\d s", "N s", line) for line in told]


def drawn(story: Story) -> str:
    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(view.View(story))
    return console.file.getvalue()


def test_a_stage_is_a_line_with_its_place_its_seconds_and_what_it_said_first(story, told):
    hear(story, "Running stage 'split@horns':", "> python -m earshot.stages.split horns", "horns: 3 folds", "  of 5")
    hear(story, "Updating lock file 'dvc.lock'", "", "Running stage 'compare':", "horns", "input  model")
    story.close(failed=False)
    assert without_seconds(told) == [
        "[1/3] split@horns, N s: 3 folds",
        "[2/3] compare, N s: the report",  # which begins with a table
    ]


def test_stages_that_did_not_change_are_counted_and_one_from_the_cache_is_told(story, told):
    hear(story, "Stage 'split@horns' didn't change, skipping")
    hear(story, "Stage 'train@horns' is cached - skipping run, checking out outputs", "Running stage 'compare':")
    story.close(failed=False)
    assert without_seconds(told) == [
        "1 stage unchanged",
        "[2/3] train@horns, N s: taken from DVC's cache",
        "[3/3] compare, N s: the report",
    ]


def test_dvc_is_not_asked_for_its_stages_where_none_runs(told):
    story = Story(lambda: pytest.fail("it was asked"), told.append, told.append)
    hear(story, "Stage 'split@horns' didn't change, skipping", "Data and pipelines are up to date.")
    story.close(failed=False)
    assert told == ["1 stage unchanged"] and not story.ran


def test_where_dvc_cannot_tell_its_stages_they_are_counted(told):
    story = Story(dict, told.append, told.append)
    hear(story, "Running stage 'split@horns':", "horns: 3 folds")
    assert "[1] split@horns" in drawn(story)
    story.close(failed=False)
    assert without_seconds(told) == ["[1] split@horns, N s: 3 folds"]


def test_an_error_is_shown_at_once_after_what_was_said_before_it(story, told):
    hear(story, "Running stage 'split@horns':", "horns: 3 folds", "  two of them are empty")
    hear(story, "error: a fold is empty", "ERROR: failed to reproduce 'split@horns'", error=True)
    story.close(failed=True)
    assert told == [
        "! horns: 3 folds",
        "!   two of them are empty",
        "! error: a fold is empty",
        "! ERROR: failed to reproduce 'split@horns'",
    ]


def test_a_stage_that_fails_without_a_word_shows_what_it_has_said(story, told):
    hear(story, "Running stage 'split@horns':", *(f"line {n}" for n in range(50)))
    story.close(failed=True)
    assert told == [f"! line {n}" for n in range(10, 50)]


def test_a_warning_is_shown_wherever_it_is_written(story, told):
    hear(story, "Running stage 'split@horns':", "  warning: 3 recordings are loud")
    assert told == ["! split@horns: warning: 3 recordings are loud"]


def test_control_characters_of_others_do_not_reach_the_terminal(story, told):
    hear(story, "Running stage 'split@horns':", "horns: \x1b[2J.wav")
    story.close(failed=False)
    assert "\x1b" not in told[0] and r"\x1b[2J.wav" in told[0]


def test_the_view_shows_the_stage_how_far_it_is_and_what_it_said_last(story):
    hear(story, "Stage 'split@horns' didn't change, skipping", "Running stage 'train@horns':")
    hear(story, *(f"  run {n}: accuracy 0.{n}" for n in range(1, 6)))
    facts = '{"label": "horns", "done": 5, "of": 8, "before": 0, "seconds": 100.0, "unit": "run"}'
    hear(story, f"{progress.MARK}{facts}", error=True)
    shown = drawn(story)
    assert "[2/3] train@horns  every run" in shown
    assert "horns: 5 of 8 runs, 1:00 left" in shown
    assert "run 3: accuracy 0.3" in shown and "run 5: accuracy 0.5" in shown and "run 2" not in shown
    assert "1 of 3 stages" in shown
    assert all(len(line) <= WIDTH for line in shown.splitlines())
    assert story.heard[-1] == "  run 5: accuracy 0.5", "progress is not for the log"


def test_the_line_of_a_stage_is_cut_where_the_terminal_ends():
    console = Console(file=io.StringIO(), width=20)
    view.tell(console, "[1/3] split@horns, 1.2 s: 3 folds")
    assert console.file.getvalue() == "[1/3] split@horns, …\n"


@pytest.mark.parametrize(
    ("done", "of", "before", "unit", "said"),
    [
        (0, 4, 0, "file", "0 of 4 files"),  # no pace yet, so no time left
        (1, 4, 0, "it", "1 of 4, 0:30 left"),
        (4, 4, 0, "file", "4 of 4 files"),
        (3_000_000, 5_000_000, 1_000_000, "B", "3.0 MB of 5.0 MB, 0:10 left"),  # of a download that went on
    ],
)
def test_time_left_is_told_where_there_is_a_pace(done, of, before, unit, said):
    facts = {"label": "", "done": done, "of": of, "before": before, "seconds": 10.0, "unit": unit}
    assert view.counted(facts) + view.left(facts) == said


def test_a_bar_tells_how_far_it_is_where_it_is_watched(monkeypatch, capsys):
    monkeypatch.setenv(progress.WATCHED, "1")
    assert list(progress.bar(range(3), desc="horns", unit="file", disable=None)) == [0, 1, 2]
    told = [progress.read(line) for line in capsys.readouterr().err.splitlines()]
    assert (told[0]["done"], told[-1]["done"]) == (0, 3)
    assert all((one["label"], one["of"], one["unit"]) == ("horns", 3, "file") for one in told)
    list(progress.bar(range(3), disable=True))
    assert not capsys.readouterr().err


# The command, with stages of a few lines.

STAGES = {
    "makes": {"foreach": "${datasets}", "do": {"cmd": "python makes.py ${item}", "desc": "some files", "deps": []}},
    "waits": {"cmd": "python waits.py", "desc": "until it is told to end", "deps": ["made-tunes"]},
    "fails": {"cmd": "python fails.py", "desc": "not for long", "deps": ["made-tunes"]},
}
SCRIPTS = {
    "makes": "import sys; from pathlib import Path; from earshot import progress\n"
    "print(f'{sys.argv[1]}: made of nothing')\n"
    "for _ in progress.bar(range(3), desc=sys.argv[1], unit='file', mininterval=0): pass\n"
    "print('accuracy 0.987')\n"
    "Path(f'made-{sys.argv[1]}').write_text('made')\n",
    "waits": "import os, time; from pathlib import Path\n"
    "Path('waiting').write_text(str(os.getpid())); print('it waits', flush=True)\n"
    "while True: time.sleep(1)\n",
    "fails": "import sys; print('so far, so good'); sys.exit('error: the dog ate it')\n",
}


@pytest.fixture(scope="module")
def scripted(tmp_path_factory) -> Pipeline:
    """A project whose stages are scripts."""
    made = Pipeline(tmp_path_factory.mktemp("scripted"))
    STAGES["makes"]["do"]["outs"] = ["made-${item}"]
    for name, script in SCRIPTS.items():
        (made.root / f"{name}.py").write_text(script)
    (made.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    return made


def repro(pipeline: Pipeline, *arguments: str) -> subprocess.CompletedProcess:
    """Run `earshot repro` with its output in pipes."""
    command = [BIN / "earshot", "repro", *arguments]
    where = {"cwd": pipeline.root, "env": pipeline.environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, **where)


def forget(pipeline: Pipeline) -> None:
    for path in [pipeline.root / "dvc.lock", *(pipeline.root / ".dvc" / "cache").rglob("*")]:
        if path.is_file():
            path.unlink()


class Terminal:
    """`earshot repro` in a terminal of its own; `said` is what it has written so far."""

    def __init__(self, pipeline: Pipeline, *arguments: str):
        self.said = ""
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))

        def to_the_front() -> None:
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored

        self.process = subprocess.Popen(
            [BIN / "earshot", "repro", *arguments],
            cwd=pipeline.root,
            env=pipeline.environment | {"TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=to_the_front,
        )
        os.close(theirs)

    def until(self, text: str) -> None:
        while text not in self.said and self._read():
            pass
        assert text in self.said, self.said

    def types(self, text: str) -> None:
        os.write(self.ours, text.encode())

    def end(self) -> int:
        while self._read():
            pass
        os.close(self.ours)
        return self.process.wait()

    def _read(self) -> bool:
        try:
            got = os.read(self.ours, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            return False
        self.said += got.decode(errors="replace")
        return bool(got)

    @property
    def plain(self) -> str:
        return CONTROL.sub("", self.said)


def has_ended(pipeline: Pipeline) -> bool:
    """Wait for the stage that waits to end."""
    try:
        waiting = psutil.Process(int((pipeline.root / "waiting").read_text()))
    except psutil.NoSuchProcess:
        return True
    return not left_running([waiting], 60)


@pytest.mark.process
def test_the_plan_is_that_of_dvc(scripted, tmp_path):
    assert list(plan.stages(scripted.root, ["fails"])) == ["makes@tunes", "fails"]
    assert plan.stages(scripted.root, ["makes"]) == {"makes@tunes": "some files", "makes@horns": "some files"}
    assert len(plan.stages(scripted.root)) == 4
    assert plan.stages(tmp_path) == {}, "no project of DVC's"


@pytest.mark.process
def test_in_a_pipe_a_stage_is_a_line_and_all_is_in_the_log(scripted):
    forget(scripted)
    done = repro(scripted, "makes")
    assert done.returncode == 0 and done.stderr == ""
    assert without_seconds(done.stdout.splitlines()) == [
        "[1/2] makes@tunes, N s: made of nothing",
        "[2/2] makes@horns, N s: made of nothing",
    ]
    log = scripted.data("repro.log").read_text()
    assert "Running stage 'makes@tunes'" in log and "accuracy 0.987" in log and progress.MARK not in log
    assert repro(scripted, "makes").stdout == "2 stages unchanged\n"
    assert scripted.data("repro.log").read_text() == log, "nothing has run that could be told"


@pytest.mark.process
def test_verbose_shows_what_dvc_and_the_stages_say(scripted):
    forget(scripted)
    said = repro(scripted, "-v", "makes@tunes").stdout
    assert "Running stage 'makes@tunes':\n> python makes.py tunes\ntunes: made of nothing\naccuracy 0.987\n" in said
    assert "Stage 'makes@tunes' didn't change, skipping" in repro(scripted, "--verbose", "makes@tunes").stdout


@pytest.mark.process
def test_a_stage_that_fails_shows_its_error_and_dvcs_status(scripted):
    done, as_today = repro(scripted, "fails"), repro(scripted, "-v", "fails")
    assert done.returncode == as_today.returncode != 0
    *shown, log = done.stderr.splitlines()
    said = {"so far, so good", "error: the dog ate it"}  # by two pipes, so in any order
    assert said < {*shown} and len(shown) == 3
    [failed] = {*shown} - said
    assert failed in as_today.stderr and "failed to reproduce 'fails'" in failed
    assert log == f"all that was said: {scripted.data('repro.log')}"
    assert "fails" not in done.stdout, "it is not told as done"


@pytest.mark.process
def test_in_a_terminal_the_view_shows_the_stage_and_goes_away(scripted):
    forget(scripted)
    terminal = Terminal(scripted, "waits")
    terminal.until("it waits")
    terminal.types("\x03")
    assert terminal.end() == 1
    assert re.search(r"\[1/2\] makes@tunes, [\d.]+ s: made of nothing", terminal.plain)
    assert "[2/2] waits  until it is told to end" in terminal.plain and "1 of 2 stages" in terminal.plain
    assert "Running stage" not in terminal.plain
    assert terminal.said.rindex(CURSOR_SHOWN) > terminal.said.rindex(CURSOR_HIDDEN)
    left = terminal.plain[terminal.plain.rindex("so far") :].splitlines()[1:]
    assert [line for line in left if line] == ["Aborted!"]
    assert "Traceback" not in terminal.plain
    assert has_ended(scripted)


@pytest.mark.process
def test_sigterm_ends_it_in_a_line_with_its_stage(scripted):
    terminal = Terminal(scripted, "waits")
    terminal.until("it waits")
    terminal.process.terminate()
    assert terminal.end() == 1
    assert "error: ended by SIGTERM" in terminal.plain and "Traceback" not in terminal.plain
    assert terminal.said.rindex(CURSOR_SHOWN) > terminal.said.rindex(CURSOR_HIDDEN)
    assert has_ended(scripted)


# The real stages.


@pytest.mark.process
@pytest.mark.long
def test_a_whole_pipeline_in_a_terminal_ends_with_the_comparison(tmp_path):
    terminal = Terminal(Pipeline(tmp_path, datasets=("tunes",)))
    assert terminal.end() == 0
    for said in (
        "[ 1/13] download@tunes",
        "train@tunes  every experiment, protocol, wiring, seed and fold",
        "of 4 runs",
        "validation loss",  # the last scores
        "[13/13] compare",
        "data/report/index.html",
    ):
        assert said in terminal.plain
    assert "Running stage" not in terminal.plain
