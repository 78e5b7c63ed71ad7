"""The stage `events`, and what becomes of it in MLflow and the report."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import invoke, new_store
from earshot import files, project
from earshot.evaluation import events as evaluation
from earshot.metrics import event_rates, intervals
from earshot.report import events as report
from earshot.report import words
from earshot.stages import compare
from earshot.stages import events as events_stage
from earshot.stages import train as train_stage
from test_compare import sirens
from test_operating_point import ASKED, EVENTS

RATES = ["recall", "false_alarms_per_hour", "detections_per_hour", *(f"f1_{name}" for name in event_rates.F1)]


@pytest.fixture(scope="module")
def done(shared, tmp_path_factory):
    """Train, with everything asked for, and run the stage; return the address of MLflow's store."""
    address = new_store(tmp_path_factory.mktemp("store") / "mlflow.db")
    conf = shared.root / "conf" / "model" / "cnn.yaml"
    few = yaml.safe_load(conf.read_text())
    few["training"]["max_epochs"] = 8
    conf.write_text(yaml.safe_dump(few))
    experiments = {"over_time": {"inputs": ["log_mel"], "models": ["cnn"]}}
    shared.params(experiments=experiments, protocols=["grouped"], **ASKED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        invoke(train_stage.main, "horns", "--workers", "1")
        said = invoke(events_stage.main, "horns", "--workers", "1")
    assert "3 models heard" in said
    return address


@pytest.mark.process
def test_every_model_is_judged_by_both_rules(done):
    judged, scores = files.read_table(project.events("horns")), files.read_table(project.event_scores("horns"))
    assert list(judged.columns) == evaluation.JUDGED and list(scores.columns) == evaluation.PSDS_COLUMNS
    assert files.read_recipe(project.events("horns"))["asked"] == EVENTS
    assert scores["fold"].tolist() == [0, 1, 2]
    split = files.read_table(project.split("horns", "grouped"))
    for (fold, _), rows in judged.groupby(["fold", "point"]):
        tested = split[(split["fold"] == fold) & (split["part"] == "test")]
        assert set(rows["group"]) <= set(tested["group"])
        street = rows[rows["kind"] == "background"]
        assert (street["end"] - street["start"]).sum() == pytest.approx(9 * 20)
        assert set(rows.loc[rows["kind"] == "labelled", "group"]) <= set(tested.loc[tested["label"] == "horn", "group"])
    assert set(judged["point"]) == {"default", "chosen"}
    assert all(len(row) == evaluation.RESAMPLES for row in scores["psds1_resampled"])
    assert all(0 <= value <= 1 for name in ("psds1", "psds2") for value in scores[name])


@pytest.mark.process
def test_mlflow_has_what_the_test_part_gave(done):
    import mlflow

    client = mlflow.MlflowClient(done)
    found = client.search_runs([client.get_experiment_by_name("sirens").experiment_id])
    judged = files.read_table(project.events("horns"))
    assert len(found) == 3
    for run in found:
        mine = judged[(judged["fold"] == int(run.data.params["fold"])) & (judged["point"] == "chosen")]
        assert run.data.metrics["events_recall"] == pytest.approx(event_rates.rates(mine)["recall"])
        assert {"events_psds1", "events_false_alarms_per_hour", "events_f1_onset_1"} <= set(run.data.metrics)


@pytest.mark.process
def test_where_nothing_is_asked_for_the_tables_are_empty(shared):
    said = invoke(events_stage.main, "tunes")
    assert "params.yaml asks for no events of it" in said
    assert (
        files.read_table(project.events("tunes")).empty and files.read_recipe(project.events("tunes"))["asked"] is None
    )


def tables(seeds: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make up what the stage writes, of one experiment and two folds."""
    judged, scores = [], []
    for seed in range(seeds):
        for fold in range(2):
            start = 100.0 * np.arange(10)
            truth = pd.DataFrame(
                {"clip": 0, "start": start, "end": start + 10, "group": [f"{n % 3}" for n in range(10)]}
            )
            street = pd.DataFrame({"clip": 0, "start": [0.0, 600.0], "end": [600.0, 1800.0], "group": ["x", "y"]})
            ours = np.column_stack([start + 0.5, start + 9])[: 8 - fold]
            ours = np.vstack([ours, [[1500.0, 1501.0]]])
            run = {"input": "log_mel", "model": "cnn", "seed": seed, "fold": fold}
            for point in evaluation.POINTS:
                judged.append(event_rates.table(truth, ours, street).assign(**run, point=point))
            chosen = {"max_false_alarms_per_hour": 1, "recall": 0.9, "false_alarms_per_hour": 0.5}
            drawn = {f"{name}_resampled": np.linspace(0.4, 0.6, 200).tolist() for name in report.PSDS}
            scores.append({**run, "psds1": 0.5, "psds2": 0.6, **drawn, "operating_point": json.dumps(chosen)})
    return pd.concat(judged)[evaluation.JUDGED], pd.DataFrame(scores)[evaluation.PSDS_COLUMNS]


@pytest.mark.parametrize("seeds", [1, 2])
def test_rates_are_over_all_folds_and_of_one_seed(seeds):
    default, chosen = report.found(*tables(seeds))
    assert (default["events"], default["missed"], default["hours"]) == (20, 5, 1)
    assert default["recall"] == 0.75 and default["false_alarms_per_hour"] == 2
    assert default["detections_per_hour"] == 17
    assert default["f1_onset_1"] == pytest.approx(2 * 15 / (20 + 17)) and default["f1_onset_0.2"] == 0
    assert default["f1_intersection"] == pytest.approx(2 * 15 / (20 + 15 + 2))
    for name in RATES:
        assert default[f"{name}_low"] <= default[name] <= default[f"{name}_high"]
    assert (default["psds1"], default["psds1_low"]) == (0.5, pytest.approx(0.405, abs=1e-3))
    assert "budget" not in default and chosen["budget"] == 1 and chosen["val_recall"] == pytest.approx(0.9)
    said = " ".join(words.events([default, chosen], EVENTS))
    assert (
        "Asked for 1 false alarms an hour" in said and "log_mel-cnn finds 75%" in said and "20 events of horn" in said
    )


def test_groups_are_resampled_not_events():
    start = 100.0 * np.arange(30)
    truth = pd.DataFrame({"clip": 0, "start": start, "end": start + 10, "group": np.repeat(["a", "b", "c"], 10)})
    street = pd.DataFrame({"clip": 0, "start": [0.0], "end": [3600.0], "group": ["x"]})
    ours = np.column_stack([start, start + 10])[:20]  # all of two sources, none of the third
    rates = event_rates.rates(event_rates.table(truth, ours, street))
    assert (rates["recall_low"], rates["recall_high"]) == (0, 1) and intervals.CONFIDENCE == 0.95


def test_the_report_shows_events_and_calibration(tmp_path, monkeypatch):
    sample = sirens(tmp_path, monkeypatch)
    sample.write()
    for name, table in zip(("events", "scores"), tables(), strict=True):
        files.write_table(
            sample.root / "data" / "events" / "synthetic_sirens" / f"{name}.parquet", table, {"asked": EVENTS}
        )
    path = sample.root / "data" / "predictions" / "synthetic_sirens" / "log_mel-cnn.parquet"
    frame, recipe = files.read_table(path), files.read_recipe(path)
    for run in recipe["runs"]:
        run["calibration"] = {"method": "temperature", "temperature": 2.0}
    files.write_table(path, frame, recipe)
    compare.main.callback()
    page = (sample.root / "data" / "report" / "index.html").read_text()
    summary = json.loads((sample.root / "data" / "report" / "summary.json").read_text())
    assert "How many events are found" in page and "Asked for 1 false alarms an hour" in page and "PSDS 2" in page
    assert [row["point"] for row in summary["events"]] == ["default", "chosen"]
    (calibrated,) = summary["calibration"]
    assert calibrated["temperature"] == 2 and calibrated["before"] != calibrated["after"]
    assert "before and after calibration" in page
