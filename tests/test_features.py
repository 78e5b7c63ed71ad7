"""Feature extraction: kept per recording, the same bytes however it is run, and refused where it doesn't fit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from click.testing import CliRunner

from conftest import invoke, left_running, started, tone, write_audio
from earshot import files, inputs
from earshot.audio import decode
from earshot.batches import features, windows
from earshot.errors import EarshotError
from earshot.stages import features as features_stage
from earshot.stages import manifest as manifest_stage
from test_inputs import OWN

pytestmark = pytest.mark.process  # workers, whatever their number


@pytest.fixture
def birds(project):
    """Six recordings of 3 s in two classes, with their manifest."""
    project.card("birds", source={"folder": "."}, layout={"kind": "class_folders"})
    for number in range(6):
        label = "crow" if number % 2 else "wren"
        path = project.data("raw", "birds", label, f"{label}.{number}.wav")
        write_audio(path, tone(300 + 100 * number, 3, 16000, seed=number), 16000)
    invoke(manifest_stage.main, "birds")
    return project


def folder(project, name):
    return project.data("features", "birds", name)


def part(project, name):
    """Return the only file of an input's features."""
    [path] = folder(project, name).glob("part-*.parquet")
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", OWN)
def test_the_bytes_do_not_depend_on_the_number_of_workers(birds, name):
    found = []
    for workers in ("1", "2"):
        shutil.rmtree(birds.data("cache"), ignore_errors=True)
        assert "0 of them kept" in invoke(features_stage.main, "birds", name, "--workers", workers)
        found.append(contents(folder(birds, name)))
    assert found[0] == found[1]


def test_the_summary_is_a_table_for_pandas(birds):
    invoke(features_stage.main, "birds", "summary")
    table = pd.read_parquet(folder(birds, "summary"))
    assert list(table.columns[:4]) == ["recording", "window", "chroma_stft", "rms"] and len(table) == 6


def test_frames_are_readable_with_pandas_alone(birds):
    invoke(features_stage.main, "birds", "log_mel")
    table = pd.read_parquet(folder(birds, "log_mel"))
    row = table.iloc[0]
    assert row["values"].reshape(row["frames"], row["bins"]).shape == (147, 128)
    assert files.read_recipe(part(birds, "log_mel"))["n_mels"] == 128


def test_one_more_file_costs_one_file(birds):
    assert "6 recordings, 0 of them kept" in invoke(features_stage.main, "birds", "waveform")
    write_audio(birds.data("raw", "birds", "wren", "wren.9.wav"), tone(900, 3, 16000), 16000)
    invoke(manifest_stage.main, "birds")
    assert "7 recordings, 6 of them kept" in invoke(features_stage.main, "birds", "waveform")
    assert not list(birds.data("cache").rglob("*.npy")), "a file of its own for what is in a shard"


def test_another_setting_is_not_taken_from_what_was_kept(birds):
    invoke(features_stage.main, "birds", "log_mel")
    params = birds.params()
    birds.params(features=params["features"] | {"log_mel": params["features"]["log_mel"] | {"n_mels": 64}})
    assert "0 of them kept" in invoke(features_stage.main, "birds", "log_mel")


def test_a_killed_extraction_goes_on_where_it_was(birds):
    invoke(features_stage.main, "birds", "summary")
    whole = contents(folder(birds, "summary"))
    for path in (folder(birds, "summary"), birds.data("cache")):
        shutil.rmtree(path)

    def finished():
        return sorted(birds.data("cache", "features", "summary").glob("*/[0-9a-f]*.npy"))

    with started("-m", "earshot.stages", "features", "birds", "summary", "--workers", "1", cwd=birds.root) as process:
        while process.poll() is None and not finished():
            time.sleep(0.01)
        process.kill()
    time.sleep(0.2)  # its worker ends after it
    assert 0 < len(finished()) < 6 and not folder(birds, "summary").exists()
    assert f"{len(finished())} of them kept" in invoke(features_stage.main, "birds", "summary")
    assert contents(folder(birds, "summary")) == whole and not finished()


@pytest.mark.parametrize("left", [0, 100])
def test_rows_that_were_cut_short_are_computed_again(birds, left):
    path = birds.data("raw", "birds", "wren", "wren.0.wav")
    content = path.read_bytes()
    path.write_bytes(b"RIFF")
    assert CliRunner().invoke(features_stage.main, ["birds", "summary"]).exit_code == 1  # the other five wait for it
    path.write_bytes(content)
    os.truncate(min(birds.data("cache", "features", "summary").glob("*/[0-9a-f]*.npy")), left)  # the power has failed
    assert "4 of them kept" in invoke(features_stage.main, "birds", "summary")
    found = contents(folder(birds, "summary"))
    for old in (folder(birds, "summary"), birds.data("cache")):
        shutil.rmtree(old)
    invoke(features_stage.main, "birds", "summary")
    assert contents(folder(birds, "summary")) == found


def test_extraction_does_not_wait_for_torch():
    code = "import sys, earshot.stages.features; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


HOUR = """
import os, time
from earshot.cluster import pools
with pools.spread(2) as pool:
    pool.submit(os.write, 1, b"begun\\n")
    for _ in range(2):
        pool.submit(time.sleep, 3600)
    time.sleep(3600)
"""


def test_workers_leave_with_the_process_that_was_killed(tmp_path):
    with started("-c", HOUR, cwd=tmp_path) as process:
        assert process.stdout.readline() == b"begun\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(workers) >= 2 and not left_running(workers, 120), "long before their hour is over"


def test_a_file_that_turned_bad_is_named(birds):
    bad = birds.data("raw", "birds", "wren", "wren.0.wav")
    bad.write_bytes(b"RIFF")
    done = CliRunner().invoke(features_stage.main, ["birds", "waveform"])
    assert done.exit_code == 1 and str(bad) in done.output
    assert not folder(birds, "waveform").exists()


def build(project, name="log_mel"):
    return inputs.build(name, project.params(), "birds", clips=True)


def test_features_of_another_recipe_are_refused(birds):
    invoke(features_stage.main, "birds", "log_mel")
    asked = inputs.recipe("log_mel", build(birds)) | {"n_mels": 64}
    with pytest.raises(EarshotError, match="log_mel.n_mels = 128, and 64 is asked for.*dvc repro features@birds"):
        features.read_features(folder(birds, "log_mel"), asked)


def test_missing_and_torn_features_are_named(birds):
    recipe = inputs.recipe("log_mel", build(birds))
    with pytest.raises(EarshotError, match=r"log_mel/_index.parquet is missing. Run `dvc repro`"):
        features.read_features(folder(birds, "log_mel"), recipe)
    invoke(features_stage.main, "birds", "log_mel")
    part(birds, "log_mel").write_bytes(part(birds, "log_mel").read_bytes()[:1000])
    with pytest.raises(EarshotError, match="can't be read"):
        features.read_features(folder(birds, "log_mel"), recipe)


@pytest.mark.parametrize("name", ["waveform", "log_spectrogram", "log_mel"])
def test_a_window_is_a_view_of_its_recording(birds, name):
    invoke(features_stage.main, "birds", name)
    built = build(birds, name)
    stored = features.read_features(folder(birds, name), inputs.recipe(name, built))
    spans = pd.DataFrame({"recording": ["wren/wren.4.wav"], "group": "g", "label": "wren", "start": 0.0, "stop": 3.0})
    table = windows.windows_in(spans, built, {"length": 2.0, "hop": 1.0})
    assert list(table["start"]) == [0.0, 1.0]
    found = windows.Windows(stored, table, built, ["crow", "wren"])
    x, y = found[[0, 1]]
    rows = built.extract(decode.load(birds.data("raw", "birds", "wren", "wren.4.wav"), 16000))
    first = round(built.first_row(1.0))
    expected = built.finish(torch.from_numpy(rows[first : first + built.n_rows(2.0)])[None])[0]
    assert y.tolist() == [1, 1]
    assert np.allclose(x[1], expected, atol=1e-6)


def test_statistics_are_those_of_the_training_windows(birds):
    invoke(features_stage.main, "birds", "log_mel")
    built = build(birds)
    stored = features.read_features(folder(birds, "log_mel"), inputs.recipe("log_mel", built))
    spans = pd.DataFrame(
        {
            "recording": ["wren/wren.0.wav", "crow/crow.1.wav"],
            "group": "g",
            "label": "wren",
            "start": 0.0,
            "stop": 2.0,
        }
    )
    train = windows.Windows(
        stored, windows.windows_in(spans, built, {"length": 2.0, "hop": 1.0}), built, ["crow", "wren"]
    )
    mean, deviation = windows.statistics(train, batch_size=1)
    rows = np.concatenate([np.asarray(train[[n]][0][0]) for n in range(2)])
    assert np.allclose(mean, rows.mean(axis=0), atol=1e-3) and np.allclose(deviation, rows.std(axis=0), atol=1e-3)
