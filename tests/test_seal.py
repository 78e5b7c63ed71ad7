"""What is kept is checked when it is read: whatever was changed is told of, or made anew."""

from __future__ import annotations

import os
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from click.testing import CliRunner
from dvc.repo import Repo

from conftest import invoke
from earshot import files, seal
from earshot.batches import prepare
from earshot.cli import main
from earshot.errors import EarshotError
from earshot.inputs import kept, stored
from earshot.settings import compose
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import train as train_stage
from earshot.trained import model_folder
from earshot.training import plain, run_cache


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.unlink()  # and not in place: DVC may have linked it to its cache
    path.write_bytes(content)


TABLE = pd.DataFrame(
    {
        "recording": [f"a/{n}.wav" for n in range(50)],
        "number": range(50),
        "level": np.random.default_rng(0).standard_normal(50),
        "reason": [None if n % 3 else "short" for n in range(50)],
        "values": [[0.5, float(n)] for n in range(50)],
    }
)
RECIPE = {"input": "log_mel", "n_mels": 64}


def same(frame):
    values = frame["values"].map(list)
    return frame.assign(values=values).equals(TABLE)


def test_a_table_is_read_as_it_was_written_or_not_at_all(tmp_path):
    path = tmp_path / "table.parquet"
    files.write_table(path, TABLE, RECIPE)
    content = path.read_bytes()
    assert same(files.read_table(path)) and files.read_recipe(path) == RECIPE
    told = 0
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            assert same(files.read_table(path)) and files.read_recipe(path) == RECIPE, place
        except EarshotError as error:
            assert "earshot verify --remove" in str(error)
            told += 1
    assert told > len(content) / 6  # the others are of no account: names of the program, statistics
    for length in range(0, len(content), 50):
        path.write_bytes(content[:length])
        with pytest.raises(EarshotError, match="can't be read"):
            files.read_table(path)


def test_a_file_with_a_checksum_is_whole_or_not(tmp_path):
    path = tmp_path / "rows.npy"
    for content in (b"", b"x", os.urandom(1000)):
        path.write_bytes(content)
        seal.append(path, path)
        assert seal.is_whole(path) and not seal.is_whole(shutil.copy(path, tmp_path / "other.npy"))
        assert path.stat().st_size == len(content) + seal.LENGTH
        sealed = path.read_bytes()
        for place in range(len(sealed)):
            changed = bytearray(sealed)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            assert not seal.is_whole(path), place
        for length in range(len(sealed)):
            path.write_bytes(sealed[:length])
            assert not seal.is_whole(path), length
        path.write_bytes(bytes(len(sealed)))
        assert not seal.is_whole(path)
    assert not seal.is_whole(tmp_path / "missing")


@pytest.mark.process
def test_mapped_rows_that_have_changed_are_made_anew(trained_on, capsys):
    cfg = compose(["experiment=sirens-log_mel-cnn"])
    data = prepare.load(cfg)
    before = np.asarray(data.features.rows)
    [path] = trained_on.data("cache", "rows", data.card.name).rglob("log_mel*/*.npy")
    for place in (-100, 200, -1):
        flipped(path, place)
        assert np.array_equal(np.asarray(prepare.load(cfg).features.rows), before)
        assert f"{path} has changed since it was written, and is made anew" in capsys.readouterr().err
    assert np.array_equal(np.asarray(prepare.load(cfg).features.rows), before) and not capsys.readouterr().err


@pytest.fixture
def run(trained_on):
    """A run of one epoch, by the stage: the folder where it is kept, and that of its model."""
    experiments = {"summarised": {"inputs": ["summary"], "models": ["ann"]}}
    trained_on.params(protocols=["published"], seeds=[7], wirings=["as_coded"], experiments=experiments)
    model = trained_on.root / "conf" / "model" / "ann.yaml"
    before = model.read_text()
    model.write_text(before.replace("max_epochs: 100", "max_epochs: 1"))
    invoke(train_stage.main, "tunes", "--workers", "1")
    cfg = compose(["experiment=genres-summary-ann", "dataset=tunes", "protocol=published", "seed=7"])
    made = trained_on.data("models", "tunes", "summary-ann", "published-as_coded-seed7-fold0")
    yield run_cache.folder(cfg, prepare.load(cfg)), made
    model.write_text(before)


@pytest.mark.process
@pytest.mark.parametrize("name", [*model_folder.FILES, "epochs.json", "validation.parquet", run_cache.WHOLE])
def test_a_kept_run_that_has_changed_is_trained_anew(run, name):
    kept_run, made = run
    before = {path.name: path.read_bytes() for path in [*kept_run.iterdir(), *made.iterdir()]}
    assert run_cache.is_whole(kept_run)
    flipped(kept_run / name, len(before[name]) // 2)
    invoke(train_stage.main, "tunes", "--workers", "1")
    assert {path.name: path.read_bytes() for path in [*kept_run.iterdir(), *made.iterdir()]} == before
    assert run_cache.is_whole(kept_run)


@pytest.mark.process
@pytest.mark.parametrize("name", model_folder.FILES)
def test_a_trained_model_that_has_changed_is_not_used(run, tmp_path, name):
    _, made = run
    model_folder.read(shutil.copytree(made, tmp_path / "model"))
    content = (made / name).read_bytes()
    for place in range(0, len(content), len(content) // 40):
        shutil.copy(made / name, tmp_path / "model" / name)
        flipped(tmp_path / "model" / name, place)
        with pytest.raises(EarshotError):
            model_folder.read(tmp_path / "model")


@pytest.mark.process
def test_a_recording_that_is_not_the_manifests_is_named(trained_on):
    path = min(trained_on.data("raw", "horns").rglob("*.wav"))
    shutil.rmtree(trained_on.data("cache", "features"))
    content = path.read_bytes()
    try:
        flipped(path, -1)
        for stage, *more in ((fingerprint_stage.main,), (features_stage.main, "log_mel")):
            done = CliRunner().invoke(stage, ["horns", *more])
            assert done.exit_code == 1 and f"{path} has changed since the manifest was made" in done.output, done.output
    finally:
        path.write_bytes(content)
        invoke(features_stage.main, "horns", "log_mel")


def test_a_part_is_not_taken_for_another(tmp_path):
    path = tmp_path / "part-00000-0.parquet"
    stored.write_part(path, stored.tables("a.wav", "0", [np.ones((3, 4), np.float32)], None), RECIPE)
    assert [name for name, _ in stored.read_part(path)] == ["a.wav"]
    other = path.rename(path.with_name("part-80000-1.parquet"))
    with pytest.raises(EarshotError, match="it is part-00000-0.parquet"):
        [*stored.read_part(other)]


def test_rows_that_wait_are_checked(tmp_path):
    path = tmp_path / "rows.npy"
    pieces = [np.arange(12.0).reshape(3, 4), np.zeros((0, 4)), np.ones((2, 4))]
    kept.write_rows(path, pieces)
    assert all(np.array_equal(*pair) for pair in zip(kept.read_rows(path), pieces, strict=True))
    flipped(path, 150)
    with pytest.raises(EarshotError, match="has changed since it was written"):
        [*kept.read_rows(path)]


def test_the_state_of_a_training_is_checked(tmp_path):
    path = tmp_path / "state.safetensors"
    plain.write(path, {"epoch": 3, "text": "a" * 200})
    assert plain.read(path)["epoch"] == 3
    flipped(path, 200)
    with pytest.raises(EarshotError, match="has changed since it was written"):
        plain.read(path)


@pytest.mark.process
def test_what_is_damaged_is_found_and_removed(trained_on):
    Repo.init(str(trained_on.root), no_scm=True)
    prepare.load(compose(["experiment=sirens-log_mel-cnn"]))
    assert "files are as they were written" in invoke(main.main, "verify")
    part = min(trained_on.data("cache", "features", "log_mel").rglob("part-*.parquet"))
    [mapped, *_] = sorted(trained_on.data("cache", "rows").rglob("*.npy"))
    damaged = [part, part.with_name(stored.INDEX), mapped]
    contents = [path.read_bytes() for path in damaged]
    try:
        for path, content in zip(damaged, contents, strict=True):
            path.unlink()  # and not in place: it is linked to what is read
            path.write_bytes(content[: len(content) // 2])
        told = invoke(main.main, "verify", code=1)
        assert all(f"damaged: {path}" in told for path in damaged), told
        assert "Type `earshot verify --remove`" in told
        assert all(path.exists() for path in damaged), "nothing is removed unless it is asked for"
        ours, theirs = (part.with_name(f".{part.name}.{files.HOST}.{pid}.tmp") for pid in (os.getpid(), 2**22 + 1))
        for path in (ours, theirs):
            path.write_bytes(b"half a file")
        told = invoke(main.main, "verify", "--remove")
        assert "removed: 3 of" in told and f"left over from a process that is gone: {theirs}" in told
        assert not any(path.exists() for path in (*damaged, theirs)) and ours.exists()
        ours.unlink()
        assert "files are as they were written" in invoke(main.main, "verify")
    finally:
        for path, content in zip(damaged, contents, strict=True):
            path.write_bytes(content)
        shutil.rmtree(trained_on.root / ".dvc")


@pytest.mark.parametrize("raised", [MemoryError("no memory"), RuntimeError("unable to mmap\n4 bytes")])
def test_a_model_that_memory_does_not_hold_is_told_in_a_line(tmp_path, monkeypatch, raised):
    model_folder.write(tmp_path, {}, b"")
    monkeypatch.setattr(safetensors.torch, "load_file", mock.Mock(side_effect=raised))
    with pytest.raises(EarshotError, match=f"^{tmp_path} can't be read: (no memory|unable to mmap 4 bytes)$"):
        model_folder.read(tmp_path)
