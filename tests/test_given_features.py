"""Features as given: a table of features in place of recordings, from the card to the report."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import PROJECT, Project, invoke, new_store
from earshot import files, inputs
from earshot.batches import prepare
from earshot.cli import main
from earshot.datasets import feature_table, manifest
from earshot.datasets.card import load_card
from earshot.datasets.layouts import FeatureTable
from earshot.detection.detector import Detector
from earshot.errors import EarshotError
from earshot.report import mistakes
from earshot.settings import compose
from earshot.stages import audit as audit_stage
from earshot.stages import compare as compare_stage
from earshot.stages import cross_dataset as cross_dataset_stage
from earshot.stages import download as download_stage
from earshot.stages import evaluate as evaluate_stage
from earshot.stages import events as events_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import noise as noise_stage
from earshot.stages import split as split_stage
from earshot.stages import swapped as swapped_stage
from earshot.stages import train as train_stage

CLASSES = ["crow", "owl", "wren"]
COLUMNS = ["loudness", "pitch_mean", "pitch_var"]
LAYOUT = {"kind": "features", "file": "birds.csv", "leave_out": ["length"]}
GROUPS = {"file": "who.csv", "match": "stem", "group": "bird", "fold": "part"}


def birds(per_class: int = 12) -> pd.DataFrame:
    """Return a table of features whose classes can be told apart."""
    random = np.random.default_rng(0)
    rows = [
        {"filename": f"{label}.{number:02}.au", "length": 1000, "label": label}
        | dict(zip(COLUMNS, place + random.normal(size=3), strict=True))
        for place, label in enumerate(CLASSES)
        for number in range(per_class)
    ]
    return pd.DataFrame(rows)[["filename", "length", *COLUMNS, "label"]]


def who(table: pd.DataFrame) -> pd.DataFrame:
    """Return the bird of each recording, under the name of another format, and its published fold."""
    number = table["filename"].str.extract(r"\.(\d+)\.")[0].astype(int)
    names = table["filename"].str.replace(".au", ".wav").mask(number == 3, table["filename"].str.removesuffix(".au"))
    return pd.DataFrame(
        {"filename": names, "bird": table["label"] + (number // 2).astype(str), "part": number // 2 % 3}
    )


def write(
    project: Project, table: pd.DataFrame, layout: dict | None = None, groups: pd.DataFrame | None = None
) -> None:
    """Write a table, its groups and its card, as a folder of this machine."""
    folder = project.root / "brought"
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "birds.csv", index=False)
    if groups is not None:
        groups.to_csv(folder / "who.csv", index=False)
    project.card("birds", task="birds", source={"folder": "brought"}, layout={**LAYOUT, **(layout or {})})
    invoke(download_stage.main, "birds")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A project whose table went through all stages; two rows of it hold the same numbers."""
    project = Project(tmp_path_factory.mktemp("birds"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(project.root))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(project.root / "mlflow.db"))
        project.params(
            datasets=["birds"],
            experiments={
                "over_time": {"inputs": ["log_mel"], "models": ["cnn"]},
                "summarised": {"inputs": ["summary"], "models": ["ann"]},
            },
            contrasts=[],
        )
        model = project.root / "conf" / "model" / "ann.yaml"
        model.write_text(model.read_text().replace("max_epochs: 100", "max_epochs: 5"))
        table = birds()
        table.loc[1, COLUMNS] = table.loc[0, COLUMNS]
        write(project, table, {"groups": GROUPS}, who(table)[2:])
        said = {
            stage.__name__.rpartition(".")[2]: invoke(stage.main, "birds")
            for stage in (manifest_stage, fingerprint_stage, split_stage, audit_stage, features_stage)
        }
        for stage in (train_stage, evaluate_stage, noise_stage, events_stage, swapped_stage, cross_dataset_stage):
            said[stage.__name__.rpartition(".")[2]] = invoke(stage.main, "birds", "--workers", "2")
        said["compare"] = invoke(compare_stage.main)
        yield project, table, said


@pytest.mark.process
def test_the_manifest_has_a_row_for_each_row_and_no_length(compared):
    _, table, said = compared
    rows = files.read_table(compared[0].data("manifest", "birds.parquet"))
    assert (
        rows["recording"].tolist() == table["filename"].tolist() and rows["label"].tolist() == table["label"].tolist()
    )
    assert (rows["path"] == "birds.csv").all() and rows["seconds"].isna().all() and (rows["status"] == "read").all()
    assert "36 rows of birds.csv read, set aside: none" in said["manifest"]


@pytest.mark.process
def test_groups_and_folds_are_joined_by_stem(compared):
    project, table, _ = compared
    rows = files.read_table(project.data("manifest", "birds.parquet")).set_index("recording")
    expected = who(table).set_index(table["filename"])
    assert rows["group"].isna().sum() == 2, "two rows are not in the table of groups"
    known = rows[rows["group"].notna()]
    assert (known["group"] == expected.loc[known.index, "bird"]).all()
    grouped = files.read_table(project.data("splits", "birds", "grouped.parquet"))
    assert set(grouped["fold"]) == {0, 1, 2}
    for fold, tested in grouped[grouped["part"] == "test"].groupby("fold"):
        assert (expected.loc[tested["recording"], "part"] == fold).all()
    published = files.read_table(project.data("splits", "birds", "published.parquet"))
    assert set(published["recording"]) == set(table["filename"])


@pytest.mark.process
def test_the_features_are_the_tables(compared):
    project, table, said = compared
    path = project.data("features", "birds", "summary")
    stored = files.read_table(path)
    assert list(stored) == ["recording", "window", *COLUMNS] and (stored["window"] == 0).all()
    assert np.array_equal(stored[COLUMNS], table[COLUMNS])
    assert files.read_recipe(path / "_index.parquet")["table"] == "birds.csv"
    assert not project.data("features", "birds", "log_mel").exists()
    assert "without sound there is no log_mel-cnn" in said["features"]


@pytest.mark.process
def test_rows_with_the_same_numbers_are_found(compared):
    project, table, said = compared
    found = files.read_table(project.data("fingerprint", "birds", "duplicates.parquet"))
    assert found[["recording_a", "recording_b"]].to_numpy().tolist() == [table["filename"][:2].tolist()]
    assert "1 pairs of rows hold the same numbers" in said["fingerprint"]
    assert "there is no sound to be audited" in said["audit"]
    assert "recordings not in the grouped split: 2 (no group in who.csv)" in said["audit"]
    shares = files.read_json(project.data("audit", "birds.json"))["protocols"]
    assert shares["grouped"]["leaking"] == 0


@pytest.mark.process
def test_the_report_says_that_there_was_no_sound(compared):
    project, _, said = compared
    report = re.sub(r"\s+", " ", (project.data("report", "index.html")).read_text())
    assert "No sound was there to be audited: the dataset is a table of features, birds.csv." in report
    assert "without sound there is no log_mel-cnn" in report
    assert "rows of the table of features birds.csv: no sound" in report
    assert "Real recordings" not in report and "<audio" not in report
    assert "summary" in said["compare"]
    assert files.read_json(project.data("report", "summary.json"))["scores"][0]["accuracy"] > 0.5


@pytest.mark.process
def test_what_needs_sound_is_told_in_a_line(compared, monkeypatch):
    project, _, said = compared
    monkeypatch.setenv("EARSHOT_ROOT", str(project.root))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root / 'mlflow.db'}")
    assert "no noise" in said["noise"] and "tested on no other dataset" in said["cross_dataset"]
    told = invoke(features_stage.main, "birds", "log_mel", code=1)
    assert "a table of features in place of sound" in told and "use input=summary" in told
    with pytest.raises(EarshotError, match=r"has no log_mel: use input=summary"):
        prepare.load(compose(["dataset=birds", "input=log_mel", "model=cnn"]))
    assert "a table of features" in invoke(main.main, "explore", "birds", code=1)
    assert "features of a table (birds.csv)" in invoke(main.main, "champion", "birds", code=1)
    folder = next(project.data("models", "birds", "summary-ann").iterdir())
    with pytest.raises(EarshotError, match=r"takes the features of a table \(birds\.csv\)"):
        Detector.load(folder)
    project.params(datasets=["birds", "tunes"])
    project.card("tunes", task="birds", source={"folder": "tunes"}, layout={"kind": "class_folders"})
    assert "table of features" in invoke(main.main, "evaluate", "--on", "birds", "--of", "tunes", code=1)
    assert "have none of task 'birds'" in invoke(main.main, "evaluate", "--on", "tunes", code=1)


@pytest.mark.process
def test_the_windows_of_a_cell_are_listed_without_sound(compared, monkeypatch):
    project, _, _ = compared
    monkeypatch.setenv("EARSHOT_ROOT", str(project.root))
    project.params(datasets=["birds"])
    cell = mistakes.MatrixCell("birds", "summary", "ann", "as_coded", "grouped", "crow", "crow")
    page = mistakes.page(cell, "report")
    assert "features as given, without sound" in page and "<audio" not in page


def test_a_dataset_of_features_alone_asks_for_an_experiment_with_them(project):
    write(project, birds())
    project.params(datasets=["birds"], experiments={"over_time": {"inputs": ["log_mel"], "models": ["cnn"]}})
    invoke(manifest_stage.main, "birds")
    assert "inputs: [summary], models: [ann]" in invoke(features_stage.main, "birds", code=1)


def test_which_columns_are_features_is_the_cards_choice(project):
    groups = who(birds())
    table = birds().assign(bird=groups["bird"], part=groups["part"])
    write(project, table, {"columns": ["pitch_var", "loudness"]})
    layout = load_card("birds").layout
    assert list(feature_table.read(layout, project.data("raw", "birds"))) == ["label", "pitch_var", "loudness"]
    same = {"file": "birds.csv", "group": "bird", "fold": "part"}
    write(project, table, {"groups": same})
    assert list(feature_table.read(load_card("birds").layout, project.data("raw", "birds"))) == ["label", *COLUMNS]
    invoke(manifest_stage.main, "birds")
    assert manifest.read("birds")["group"].tolist() == groups["bird"].tolist()


def test_equal_rows_in_two_published_folds_stop_the_audit(project):
    table = birds()
    for first in range(0, len(table), 12):  # of each class a row of every fold
        table.loc[first + 2, COLUMNS] = table.loc[first + 4, COLUMNS] = table.loc[first, COLUMNS]
    write(project, table, {"groups": GROUPS}, who(table))
    for stage in (manifest_stage, fingerprint_stage):
        invoke(stage.main, "birds")
    params = project.params()
    project.params(split=params["split"] | {"folds": {"default": 3}})
    invoke(split_stage.main, "birds")
    told = invoke(audit_stage.main, "birds")
    assert "0.0% of 36 tested rows" in told and "published folds" in told, "they are not leak-free, so others are made"
    project.params(split=params["split"] | {"unite_duplicates": False})
    invoke(split_stage.main, "birds")
    told = invoke(audit_stage.main, "birds", code=1)
    assert " from 0 s (duplicate)" in told and "leave one of two equal rows out" in told


def changed(line: int, column: str, value) -> pd.DataFrame:
    table = birds().astype(object)
    table.loc[line, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "layout", "told"),
    [
        (changed(3, "pitch_var", "loud"), {}, r"birds\.csv, line 5: pitch_var is 'loud', and must be a number"),
        (changed(3, "pitch_var", ""), {}, r"birds\.csv, line 5: pitch_var is '', and must be a number"),
        (changed(3, "pitch_var", "inf"), {}, r"line 5: pitch_var is 'inf'"),
        (changed(3, "pitch_var", "NaN"), {}, r"line 5: pitch_var is 'NaN'"),
        (changed(3, "filename", "crow.00.au"), {}, r"line 5: crow\.00\.au has a row already, line 2"),
        (changed(3, "filename", ""), {}, r"line 5: filename is empty"),
        (changed(3, "label", ""), {}, r"line 5: label is empty"),
        (birds().assign(loudness=7.0), {}, r"loudness hardly differs from row to row \(7 to 7\).*leave_out"),
        (birds().drop(columns="label"), {}, r"has no column label"),
        (birds().assign(window=range(36)), {}, r"no feature can be called window"),
        (changed(3, "pitch_var", "1e300"), {}, r"pitch_var has numbers up to 1e\+300"),
        (birds(), {"columns": ["loudness", "tempo"]}, r"has no column tempo"),
        (birds(), {"leave_out": ["tempo"]}, r"has no column tempo, which layout\.leave_out"),
        (birds(), {"columns": ["label"]}, r"layout\.columns .* label, which it names elsewhere too"),
        (birds(), {"leave_out": ["length", *COLUMNS]}, r"no column of features besides"),
    ],
)
def test_fault_of_a_table_is_one_line(table, layout, told, project):
    write(project, table, layout)
    said = invoke(manifest_stage.main, "birds", code=1)
    assert re.search(told, said) and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1


def test_na_is_a_class_such_as_any_other(project):
    write(project, birds().assign(label=["NA"] * 18 + ["None"] * 18))
    invoke(manifest_stage.main, "birds")
    assert files.read_json(project.data("manifest", "birds.json"))["classes"] == {"NA": 18, "None": 18}


def test_given_features_take_no_sound():
    given = inputs.restore(
        {"input": "summary", "_target_": "earshot.inputs.given.Given", "table": "t.csv", "names": ["a"]}
    )
    assert given.columns == ["a"] and given.n_rows(3.0) == 1 and given.standardised
    for use in (lambda: given.sample_rate, lambda: given.extract(np.zeros(8)), lambda: given.rows([np.zeros(8)])):
        with pytest.raises(EarshotError, match=r"features of a table \(t\.csv\)"):
            use()


@pytest.mark.real
def test_gtzans_table_is_read_whole_and_split_by_artist(project, mirror):
    for stage in (download_stage, manifest_stage, fingerprint_stage, split_stage):
        invoke(stage.main, "gtzan_features")
    rows = files.read_table(project.data("manifest", "gtzan_features.parquet"))
    assert len(rows) == 1000 and rows["group"].notna().sum() == 948
    audited = invoke(audit_stage.main, "gtzan_features")
    assert "14 pairs of its rows hold the same numbers" in audited and "0.0% of 948 tested rows" in audited
    assert "26 features of 1000 recordings" in invoke(features_stage.main, "gtzan_features", "summary")


def test_the_card_of_gtzans_table_takes_the_tutorials_features():
    card = yaml.safe_load((PROJECT / "conf" / "cards" / "gtzan_features.yaml").read_text())
    assert len(FeatureTable(**card["layout"]).columns) == 26
