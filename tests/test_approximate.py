"""The audit's approximate index: what it finds of what the exact search does, whatever the pieces and the threads."""

from __future__ import annotations

import faiss
import numpy as np
import pandas as pd
import pytest
import soxr

from conftest import noise
from earshot import files
from earshot.audio.sounds import Sounds
from earshot.leaks import approximate, buckets, duplicates, equal_rows, hints
from earshot.splits.spans import united
from test_leaks import RATE, as_mp3, hiss, narrow

COPIES = {
    "mp3": as_mp3,
    "shifted": lambda x: np.concatenate([0.01 * noise(0.777, RATE, 7)[:, 0], x]),
    "resampled": lambda x: soxr.resample(soxr.resample(x, RATE, 11025), 11025, RATE),
    "noisy": lambda x: x + 0.1 * np.sqrt((x**2).mean()) * noise(len(x) / RATE, RATE, 8)[: len(x), 0],
    "cut": lambda x: x[len(x) // 3 :],
}
N_SOUNDS = 60
FEW = {"SHARD_CELLS": 4, "PER_CELL": 64}  # so that little sound has many cells and several shards


@pytest.fixture
def few(monkeypatch):
    for name, value in FEW.items():
        monkeypatch.setattr(approximate, name, value)


@pytest.fixture(scope="module")
def planted() -> tuple[list[str], list[np.ndarray], set[tuple[str, str]]]:
    """Names and samples of different sounds and of copies of some, and which are copies of which."""
    sounds = {f"r{number:02}": hiss(4, number) for number in range(N_SOUNDS)}
    pairs = set()
    for number in range(4 * len(COPIES)):
        kind = list(COPIES)[number % len(COPIES)]
        name = f"{kind}{number:02}"
        sounds[name] = COPIES[kind](sounds[f"r{number:02}"])
        pairs.add((f"r{number:02}", name))
    return list(sounds), [narrow(x.astype(np.float32)) for x in sounds.values()], pairs


def pairs_of(found: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(found["recording_a"], found["recording_b"], strict=True))


def test_the_index_finds_what_the_exact_search_finds(planted, few):
    names, samples, pairs = planted
    exact, found = duplicates.find(names, samples), duplicates.find(names, samples, exact_hours=0)
    assert pairs_of(exact) == pairs, "all of them, and nothing else"
    assert len(pairs_of(found) & pairs) >= 0.95 * len(pairs) and pairs_of(found) <= pairs
    seconds = [table[table["recording_a"] != table["recording_b"]]["seconds"].sum() for table in (exact, found)]
    assert seconds[1] > 0.9 * seconds[0]
    assert found.columns.tolist() == exact.columns.tolist() == duplicates.STRETCH
    assert found["recording_a"].is_monotonic_increasing


def test_all_cells_searched_are_the_exact_search(planted, few, monkeypatch):
    """What is missed is missed by the cells alone: with all of them, only the whitening's sample differs."""
    names, samples, _ = planted
    found = duplicates.find(names[:12] + names[-12:], samples[:12] + samples[-12:], exact_hours=0, nprobe=10_000)
    exact = duplicates.find(names[:12] + names[-12:], samples[:12] + samples[-12:])
    assert pairs_of(found) == pairs_of(exact)


def test_exact_up_to_the_hours_of_the_setting(planted, monkeypatch):
    names, samples, _ = planted
    asked = []
    monkeypatch.setattr(approximate, "candidates", lambda *_: iter(asked.append(1) or ()))
    hours = sum(map(len, samples[:3])) / 8000 / 3600
    duplicates.find(names[:3], samples[:3], exact_hours=hours * 1.01)
    assert not asked
    assert duplicates.find(names[:3], samples[:3], exact_hours=hours * 0.99).empty and asked


def test_the_same_bytes_whatever_the_number_of_threads(planted, few, monkeypatch, tmp_path):
    _, samples, _ = planted
    before, found = faiss.omp_get_max_threads(), []
    for threads in (1, 3):
        monkeypatch.setenv("LOKY_MAX_CPU_COUNT", str(threads))
        faiss.omp_set_num_threads(threads)
        folder = tmp_path / str(threads)
        found.append(pd.concat(approximate.candidates(samples[:20] + samples[-20:], folder, 8)))
        found.append((folder / "vectors").read_bytes())
    faiss.omp_set_num_threads(before)
    assert len(found[0]) and found[0].equals(found[2]) and found[1] == found[3]


def test_the_size_of_the_pieces_changes_nothing(planted, few, monkeypatch):
    names, samples, _ = planted
    names, samples = names[:8] + names[-20:], samples[:8] + samples[-20:]
    whole = duplicates.find(names, samples, exact_hours=0)
    small = {"PIECE": 512, "BLOCK": 512, "QUERIES": 16, "EVERY_FRAMES": 300, "SHARD_CELLS": 3}
    for name, value in small.items():
        monkeypatch.setattr(approximate, name, value)
    monkeypatch.setattr(duplicates, "EVERY_RECORDINGS", 5)
    monkeypatch.setattr(buckets, "BUFFER", 10_000)
    pd.testing.assert_frame_equal(duplicates.find(names, samples, exact_hours=0), whole)


def test_sound_that_is_everywhere_has_no_more_candidates_than_other(few, tmp_path):
    jingle = narrow(hiss(3, 1))
    found = pd.concat(approximate.candidates([jingle] * 40, tmp_path / "index", 4))
    each = found.groupby(["a", "frame_a"]).size()
    assert each.max() == approximate.MAX_CANDIDATES and not (found["a"] == found["b"]).any()


@pytest.mark.parametrize("samples", [[], [np.zeros(50_000, np.int16)], [np.ones(9, np.int16)]])
def test_nothing_to_search_in(samples):
    assert duplicates.find(["a"] * len(samples), samples, exact_hours=-1).empty


def test_samples_of_all_recordings_are_in_one_file(tmp_path):
    given = [np.arange(n, dtype=np.int16) for n in (3, 0, 5)]
    kept = Sounds(tmp_path / "samples", iter(given))
    assert [x.tolist() for x in kept] == [x.tolist() for x in given] and len(kept) == 3
    assert len(Sounds(tmp_path / "none", iter([]))) == 0


def test_a_table_written_in_pieces_has_the_bytes_of_one_written_at_once(tmp_path, monkeypatch):
    frame = pd.DataFrame({"recording": [f"r{n}" for n in range(50)], "x": np.arange(50) / 3})
    files.write_table(tmp_path / "once", frame, {"of": "x"})

    def written(name: str) -> bytes:
        with files.writing_table(tmp_path / name, {"of": "x"}) as take:
            for first in range(0, 50, 10):
                take(frame[first : first + 10])
        return (tmp_path / name).read_bytes()

    assert written("pieces") == (tmp_path / "once").read_bytes()
    monkeypatch.setattr(files, "ROWS", 20)
    written("groups")
    pd.testing.assert_frame_equal(files.read_table(tmp_path / "groups"), frame)
    assert files.read_recipe(tmp_path / "groups") == {"of": "x"}
    some = files.read_table(tmp_path / "groups", [("recording", "in", ["r3", "r44"])])
    assert some["recording"].tolist() == ["r3", "r44"]


def test_many_equal_rows_are_joined_and_not_all_paired():
    rows = pd.DataFrame({"recording": [f"r{n:03}" for n in range(300)], "sha256": ["same", "other", "same"] * 100})
    found = equal_rows.find(rows, 1.0)
    assert len(found) < 300 * approximate.MAX_CANDIDATES
    groups = united(rows.assign(group=rows["recording"], start=0.0, stop=1.0), found)["group"]
    assert groups[rows["sha256"] == "same"].nunique() == 1 and groups.nunique() == 2


def test_the_hints_of_many_windows_are_of_some_recordings():
    def of(n: int, seconds: float) -> list[str] | None:
        return hints.some(pd.DataFrame({"recording": np.arange(n), "seconds": seconds}), {"length": 2.0, "hop": 1.0})

    assert of(1000, 100) is None and of(2, 10**6) is None, "few windows, and few recordings"
    assert len(of(100_000, 20)) == 10_000
