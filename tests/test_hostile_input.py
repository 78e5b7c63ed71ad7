"""A sample of what `make faults` reads: each input is told of in a line, or used."""

from __future__ import annotations

import os
import signal

import pytest

from faults import contained, hostile_archives, hostile_audio, hostile_models, hostile_texts
from faults.contained import BAD, CRASH, TOLD, USED, Kind, given, judged

SAMPLE = 8  # of each kind
KINDS = [kind for some in (hostile_audio, hostile_archives, hostile_models, hostile_texts) for kind in some.kinds()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_broken_or_made_to_do_harm_is_told_of_or_used(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    for number in range(SAMPLE):
        given(kind, number, tmp_path / "given")
        outcome = judged(kind, tmp_path / "given")
        assert outcome.what in (TOLD, USED), (number, outcome.why)


def test_a_child_that_crashes_or_hangs_is_counted_and_what_it_was_given_is_kept(tmp_path, monkeypatch):
    ends = {"0": signal.SIGSEGV, "1": signal.SIGPROF}  # the latter comes when the time is up

    def judge(folder):
        content = (folder / "number").read_text()
        if content in ends:
            os.kill(os.getpid(), ends[content])

    kind = Kind("odd", lambda rng, folder: (folder / "number").write_text(str(rng.randrange(4))), judge)
    drawn = []
    for number in range(20):
        given(kind, number, tmp_path / "given")
        drawn.append((tmp_path / "given" / "number").read_text())
    monkeypatch.setattr(contained, "KEPT", tmp_path / "kept")
    assert contained.tried(kind, 20) == {
        CRASH: drawn.count("0"),
        BAD: drawn.count("1"),
        USED: drawn.count("2") + drawn.count("3"),
    }
    assert len([*(tmp_path / "kept").iterdir()]) == drawn.count("0") + drawn.count("1")
