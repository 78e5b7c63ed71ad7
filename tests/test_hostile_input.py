"""A sample of what `make faults` reads: each input is told of in a line, or used."""

from __future__ import annotations

import pytest

from faults import hostile_archives, hostile_audio, hostile_models, hostile_texts
from faults.contained import TOLD, USED, given, judged

SAMPLE = 8  # of each kind
KINDS = [kind for some in (hostile_audio, hostile_archives, hostile_models, hostile_texts) for kind in some.kinds()]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_is_broken_or_made_to_do_harm_is_told_of_or_used(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path))
    for number in range(SAMPLE):
        given(kind, number, tmp_path / "given")
        outcome = judged(kind, tmp_path / "given")
        assert outcome.what in (TOLD, USED), (number, outcome.why)
