"""Trained models under street noise and on other recordings."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient

from conftest import PROJECT, Project, invoke, new_store, noise, tone, write_audio
from earshot import files, project
from earshot.audio.mix import mixed as mixed_sound
from earshot.cli import main
from earshot.evaluation import noise as ladder
from earshot.metrics.thresholds import best_threshold, threshold_within
from earshot.report import robustness
from earshot.stages import cross_dataset as cross_dataset_stage
from earshot.stages import evaluate
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import noise as noise_stage
from earshot.stages import split as split_stage
from earshot.stages import swapped as swapped_stage
from earshot.stages import train as train_stage
from tiny import RATE, log_mel_cnn


@pytest.fixture(scope="module")
def towns(tmp_path_factory):
    """Two siren datasets, the first with trained models; a third with other classes."""
    project = Project(tmp_path_factory.mktemp("towns"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(project.root))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(project.root / "mlflow.db"))
        params = project.params()
        noise_here = params["noise"]["sirens"] | {"snr_db": [20, -20], "inputs": ["log_mel"]}
        split = params["split"] | {"block_seconds": 8.0, "folds": {"default": 3}}
        log_mel_cnn(
            project, "here", "there", epochs=12, split=split, noise={"sirens": noise_here}, protocols=["grouped"]
        )
        for name, second in (("here", "non_emergency"), ("there", "non_emergency"), ("alien", "birds")):
            recordings = {"emergency": "a.wav", second: "b.wav"}
            layout = {"kind": "long_recordings", "recordings": recordings}
            project.card(name, task="sirens", source={"folder": f"sounds/{name}"}, layout=layout)
            for file, pitch, seed in (("a.wav", 900, 0), ("b.wav", 300, 1)):
                shifted = pitch + 40 * (name == "there")
                for place in (project.data("raw", name, file), project.root / "sounds" / name / file):
                    write_audio(place, tone(shifted, 60, RATE, seed), RATE)
            invoke(manifest_stage.main, name)
        for name in ("here", "there"):
            invoke(fingerprint_stage.main, name)
            invoke(split_stage.main, name)
        invoke(features_stage.main, "here", "--workers", "1")
        invoke(train_stage.main, "here", "--workers", "2")
        invoke(evaluate.main, "here", "--workers", "1")
        yield project


@given(snr_db=st.floats(-40, 40), level=st.floats(0.001, 1))
def test_the_mixture_has_the_ratio_that_is_asked_for(snr_db, level):
    signal, street_noise = tone(440, 1, RATE), level * noise(1, RATE, 3)[:, 0]
    mixed = mixed_sound(signal, street_noise.astype(np.float32), snr_db).astype(float)
    scale = np.linalg.lstsq(np.column_stack([signal, street_noise]), mixed, rcond=None)[0]
    ratio = np.mean((scale[0] * signal) ** 2) / np.mean((scale[1] * street_noise) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.05) and np.abs(mixed).max() <= 1 + 1e-6


def test_no_noise_and_silent_noise_change_nothing():
    signal = tone(440, 1, RATE)
    assert mixed_sound(signal, noise(1, RATE)[:, 0], ladder.CLEAN) is signal
    assert mixed_sound(signal, np.zeros_like(signal), 0.0) is signal


def test_the_noise_is_of_the_background_and_of_another_group():
    table = pd.DataFrame({"group": list("aabbccdd"), "label": ["e"] * 4 + ["n"] * 4})
    drawn = ladder.draw_noise(table, "n", [1, 2])
    assert (table["label"].to_numpy()[drawn] == "n").all()
    assert (table["group"].to_numpy()[drawn] != table["group"]).all()
    assert (drawn == ladder.draw_noise(table, "n", [1, 2])).all()


def test_the_noise_of_many_windows_takes_no_more_memory_for_each():
    n = 4 * ladder.MOST_BACKGROUND
    table = pd.DataFrame({"group": np.arange(n) // 2, "label": ["e", "n"] * (n // 2)})
    tracemalloc.start()
    drawn = ladder.draw_noise(table, "n", [1, 2])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20  # all with all would be a gigabyte
    assert (table["label"].to_numpy()[drawn] == "n").all() and len({*drawn}) > ladder.MOST_BACKGROUND / 2
    assert (table["group"].to_numpy()[drawn] != table["group"]).all()


def test_the_threshold_has_the_highest_f1():
    labels, scores = np.array([0, 0, 1, 0, 1, 1], bool), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert best_threshold(labels, scores) == pytest.approx(0.3)
    assert best_threshold(labels, 1 - scores) == pytest.approx(0.4)


def test_a_threshold_within_a_budget_is_the_lowest_that_keeps_to_it():
    labels, scores = np.array([1, 0, 1, 0, 0], bool), np.array([0.9, 0.8, 0.7, 0.6, 0.1])
    for most, alarms in ((0, [True, False, False, False, False]), (1, [True, True, True, False, False])):
        assert list(scores >= threshold_within(labels, scores, most)) == alarms
    assert (scores >= threshold_within(labels, scores, 3)).all()


@pytest.mark.process
def test_without_noise_the_scores_are_those_of_evaluate(towns):
    invoke(noise_stage.main, "here", "--workers", "2")
    found = files.read_table(towns.data("noise", "here.parquet"))
    assert sorted(found["snr_db"].unique()) == [-20, 20, np.inf]
    known = files.read_table(towns.data("predictions", "here", "log_mel-cnn.parquet"))
    clean = found[found["snr_db"] == np.inf].merge(known, on=["seed", "fold", "recording", "start"])
    assert len(clean) == len(known) > 50
    assert clean["score"].to_numpy() == pytest.approx(clean["p_emergency"].to_numpy(), abs=1e-4)
    assert (found.groupby(["seed", "fold"])["threshold"].nunique() == 1).all()
    rows = {row["snr_db"]: row for row in robustness.noise_ladder(found, "emergency")}
    assert rows[None]["f1"] > 0.7 and rows[-20]["f1"] < rows[None]["f1"]
    assert rows[None]["recall_low"] <= rows[None]["recall"] <= rows[None]["recall_high"]


@pytest.mark.process
def test_the_threshold_in_noise_keeps_to_a_budget_on_validation(towns):
    params = towns.params()
    towns.params(noise={"sirens": params["noise"]["sirens"] | {"snr_db": [20], "max_false_alarms_per_hour": 0}})
    invoke(noise_stage.main, "here", "--workers", "1")
    strict = files.read_table(towns.data("noise", "here.parquet")).groupby("fold")["threshold"].first()
    towns.params(noise={"sirens": params["noise"]["sirens"] | {"snr_db": [20], "max_false_alarms_per_hour": 1e6}})
    invoke(noise_stage.main, "here", "--workers", "1")
    loose = files.read_table(towns.data("noise", "here.parquet"))
    assert (strict > loose.groupby("fold")["threshold"].first()).all() and (loose["score"] >= loose["threshold"]).all()
    towns.params(noise=params["noise"])


@pytest.mark.process
def test_models_are_tested_under_the_conditions_of_the_other_class(towns):
    params = towns.params()
    assert params["swapped"] == {"when": "hinted", "max_drop": 0.05}
    towns.params(swapped={"when": "never", "max_drop": 0.05})
    assert "params.yaml does not ask for it" in invoke(swapped_stage.main, "here", "--workers", "1")
    assert files.read_table(towns.data("swapped", "here.parquet")).empty
    towns.params(swapped={"when": "always", "max_drop": 0.05})
    said = invoke(swapped_stage.main, "here", "--workers", "1")
    found = files.read_table(towns.data("swapped", "here.parquet"))
    assert f"{len(found)} windows scored" in said
    known = files.read_table(towns.data("predictions", "here", "log_mel-cnn.parquet"))
    both = found.merge(known, on=["seed", "fold", "recording", "start"])
    assert len(both) == len(found) == len(known) and (both["as_is"] == both["predicted_y"]).all()
    assert (found["conditions_of"] != found["label"]).all()
    store = MlflowClient(f"sqlite:///{towns.root / 'mlflow.db'}")
    runs = store.search_runs([one.experiment_id for one in store.search_experiments()])
    told = [run.data.metrics["swapped_accuracy"] for run in runs if "swapped_accuracy" in run.data.metrics]
    mean = (found["label"] == found["predicted"]).groupby(found["fold"]).mean()
    assert sorted(told) == pytest.approx(sorted(mean))
    towns.params(swapped=params["swapped"])


def test_the_compute_for_an_hour_of_sound_is_measured_and_kept(towns):
    said = invoke(main.main, "cost", "here")
    kept = files.read_json(towns.data("cost.json"))
    assert f"here log_mel-cnn: {kept['here']['log_mel-cnn']:g} s for an hour of sound" in said
    assert kept["here"]["log_mel-cnn"] > 0
    assert "data/cost.json" not in (PROJECT / "dvc.yaml").read_text(), "times are no output that DVC could compare"
    frame = files.read_recipe(towns.data("predictions", "here", "log_mel-cnn.parquet"))
    weights = next(towns.data("models", "here", "log_mel-cnn").glob("*/model.safetensors")).stat().st_size
    assert frame["runs"][0]["bytes"] == weights


@pytest.mark.process
def test_a_task_that_is_not_named_gets_no_noise(towns):
    params = towns.params()
    towns.params(noise={})
    assert "params.yaml sets no noise for it" in invoke(noise_stage.main, "here")
    towns.params(noise={"sirens": params["noise"]["sirens"] | {"alarm": "horn"}})
    assert "noise.sirens.alarm in params.yaml is horn, classes are" in invoke(noise_stage.main, "here")
    assert files.read_table(towns.data("noise", "here.parquet")).empty
    towns.params(noise=params["noise"])


def test_false_alarms_are_counted_as_events_by_the_hour():
    fired = [1, 1, 0, 1, 0, 0, 0, 0, 1, 1]
    rows = pd.DataFrame({"fired": np.array(fired, bool), "start": np.arange(10.0), "seconds": 2.0, "seed": 0})
    rows = rows.assign(recording="r", group=["a"] * 9 + ["b"])
    found = robustness.false_alarms(rows)
    # of 9 windows over 10 s, and one of another group over 2 s: alarms at 0, 3, 8 and in b
    assert found["hours"] == pytest.approx(12 / 3600)
    assert found["false_alarms_per_hour"] == pytest.approx(4 / 12 * 3600)
    twice = robustness.false_alarms(pd.concat([rows, rows.assign(seed=1)]))
    assert twice["false_alarms_per_hour"] == found["false_alarms_per_hour"] and twice["hours"] == found["hours"]


@pytest.mark.process
def test_the_command_makes_what_is_missing_and_tests_on_it(towns):
    said = invoke(main.main, "evaluate", "--on", "there", "--of", "here", "--workers", "1")
    assert "models of here, tested on there" in said and "log_mel-cnn" in said
    assert project.data("features", "there", "log_mel").exists()
    invoke(cross_dataset_stage.main, "here", "--workers", "1")
    found = files.read_table(towns.data("cross_dataset", "here.parquet"))
    assert set(found["on"]) == {"there"} and found["fold"].nunique() == 3
    (row,) = robustness.cross_dataset(found)
    assert row["models"] == 3 and row["accuracy"] > 0.9 and set(row["f1"]) == {"emergency", "non_emergency"}
    assert json.dumps(row) and f"{row['accuracy']:.3f}" in said


@pytest.mark.process
def test_other_classes_are_one_clear_error(towns):
    done = CliRunner().invoke(main.main, ["evaluate", "--on", "alien", "--of", "here", "--workers", "1"])
    assert done.exit_code == 1
    assert "here has the classes emergency, non_emergency, alien has birds, emergency" in done.output
    assert "Traceback" not in done.output
    untrained = CliRunner().invoke(main.main, ["evaluate", "--on", "here", "--of", "there"])
    assert untrained.exit_code == 1 and "there are no models of there to test" in untrained.output
    alone = CliRunner().invoke(main.main, ["evaluate", "--on", "synthetic_genres"])
    assert alone.exit_code == 1 and "none of task 'genres'" in alone.output
