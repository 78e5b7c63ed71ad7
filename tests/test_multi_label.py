"""Multi-label: a window has any number of classes, and is scored as scikit-learn scores sets of classes."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, log_loss

from conftest import Project, invoke, new_store, tone, write_audio
from earshot.deploy.onnx import export
from earshot.detection.answer import answer
from earshot.detection.detector import Detector
from earshot.detection.rule import Rule
from earshot.metrics import classification, intervals, labels
from earshot.models import heads
from earshot.report import results_page
from earshot.splits import protocols
from earshot.stages import compare as compare_stage
from earshot.stages import manifest as manifest_stage
from earshot.trained import predict
from tiny import RATE, log_mel_cnn, through_the_stages

CLASSES = ["crow, carrion", "rain", 'wren "2"']


def predictions(seed: int = 0, n: int = 60) -> pd.DataFrame:
    """Return predictions of windows with any of three classes, a group for every four windows."""
    rng = np.random.default_rng(seed)
    true, p = rng.random((n, 3)) < 0.4, rng.random((n, 3))
    return pd.DataFrame(
        {
            "group": [f"g{number // 4:02}" for number in range(n)],
            "label": labels.from_multi_hot(true, CLASSES),
            "predicted": labels.from_multi_hot(p > 0.5, CLASSES),
            **{f"p_{name}": p[:, number].astype(np.float32) for number, name in enumerate(CLASSES)},
        }
    )


@given(st.lists(st.sets(st.text(min_size=1).filter(lambda name: not name.startswith("["))), max_size=5))
def test_a_set_of_classes_is_the_same_after_it_was_text(sets):
    written = [labels.as_set(each) for each in sets]
    assert [set(labels.names_of(label)) for label in written] == sets
    classes = labels.classes_of(written)
    assert classes == sorted(set().union(*sets))
    assert list(labels.from_multi_hot(labels.multi_hot(written, classes), classes)) == written


def test_a_single_class_is_not_taken_for_a_set():
    assert labels.names_of("crow") == ["crow"] and not labels.are_sets(["crow", "wren"])
    assert labels.rarest(["b", "a", "b"]) == ["b", "a", "b"]


def test_a_split_is_stratified_by_the_rarest_class_of_a_set():
    sets = [{"rain"}, {"rain", "crow"}, {"rain"}, set()]
    assert labels.rarest([labels.as_set(each) for each in sets]) == ["rain", "crow", "rain", ""]


@pytest.mark.parametrize(
    ("sets", "share"),
    [
        ([{"a"}] * 5 + [{"b"}] * 6 + [{"a", "c"}], 0.2),  # a class of one recording
        ([{"a"}] * 4 + [{"b"}] * 4 + [{"c"}] * 2 + [{"d"}] * 2 + [{"e"}] * 2, 0.2),  # more classes than are tested
        ([{"a"}] * 9 + [set()], 0.2),
    ],
)
def test_a_random_split_of_rare_sets_is_made(sets, share):
    names = [f"r{number}" for number in range(len(sets))]
    label = [labels.as_set(each) for each in sets]
    spans = pd.DataFrame({"recording": names, "group": names, "label": label, "start": 0.0, "stop": 2.0})
    split = protocols.published(spans, share, 0)
    assert sorted(split.loc[split["part"] != "validation", "recording"]) == sorted(names)


def test_scores_are_scikit_learns():
    frame = predictions()
    found = classification.scores(frame)
    true = labels.multi_hot(frame["label"], CLASSES)
    predicted = labels.multi_hot(frame["predicted"], CLASSES)
    p = frame[[f"p_{name}" for name in CLASSES]].to_numpy(np.float64)
    assert found["accuracy"] == pytest.approx((true == predicted).all(axis=1).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))
    assert found["macro_ap"] == pytest.approx(average_precision_score(true, p, average="macro"))
    assert found["micro_ap"] == pytest.approx(average_precision_score(true, p, average="micro"))
    assert found["loss"] == pytest.approx(np.mean([log_loss(true[:, n], p[:, n]) for n in range(3)]))
    table = classification.by_class(frame).set_index("class")
    assert table["ap"].mean() == pytest.approx(found["macro_ap"]) and list(table["windows"]) == list(true.sum(axis=0))


def test_a_class_that_is_not_tested_has_no_average_precision():
    frame = predictions().assign(label=labels.as_set(["rain"]))
    assert classification.untested_classes(frame) == ["crow, carrion", 'wren "2"']
    assert classification.by_class(frame).set_index("class")["ap"].isna().tolist() == [True, False, True]
    assert classification.scores(frame)["macro_ap"] == 1


def test_probabilities_that_are_no_numbers_give_no_score():
    frame = predictions().assign(p_rain=np.float32("nan"))
    found = classification.scores(frame)
    assert [found[name] for name in ("macro_ap", "micro_ap", "loss", "calibration_error")] == [None] * 4


def test_single_labels_are_scored_as_before():
    assert "macro_ap" not in classification.scores(predictions().assign(label="rain", predicted="rain"))


def test_the_interval_of_macro_f1_holds_it():
    frame = predictions()
    low, high = intervals.macro_f1(frame)
    assert low < classification.scores(frame)["macro_f1"] < high


@pytest.mark.parametrize("decimals", [1, 6])
def test_the_average_precision_of_weighted_groups_is_that_of_repeated_rows(decimals):
    """Also where probabilities are equal; and with a weight of one it is scikit-learn's of all rows."""
    frame = predictions(n=40).round(decimals)
    groups = sorted(frame["group"].unique())
    weights = np.random.default_rng(0).integers(0, 4, (5, len(groups))).astype(float)
    weights[0] = 1
    repeated = [
        frame.loc[frame.index.repeat([int(row[groups.index(group)]) for group in frame["group"]])] for row in weights
    ]
    for name, ranked in (("macro_ap", intervals._ranked_by_class), ("micro_ap", intervals._ranked_together)):
        found = intervals._mean_of_seeds([ranked(frame)], weights)
        assert found == pytest.approx([classification.average_precision(rows)[name] for rows in repeated])


def test_the_interval_of_average_precision_holds_it_and_is_of_groups():
    frame = predictions()
    found, scores = intervals.average_precision([frame, predictions(1)]), classification.scores(frame)
    other = classification.scores(predictions(1))
    for name, (low, high) in found.items():
        assert low < (scores[name] + other[name]) / 2 < high
    one = frame.assign(group="g")
    assert intervals.average_precision([one]) == {"macro_ap": None, "micro_ap": None}, "nothing can be resampled"
    assert intervals.average_precision([frame.assign(label="rain", predicted="rain")]) == {}
    assert set(intervals.average_precision([frame.assign(p_rain=np.nan)]).values()) == {None}
    sets = [labels.as_set(CLASSES[: 1 + number % 3]) for number in range(6)]
    assert intervals._strata(pd.Series(sets)).tolist() == ["crow, carrion", "rain", 'wren "2"'] * 2


def test_windows_of_a_recording_vote_for_each_class():
    frame = predictions(n=3).assign(group="g", recording="r", label=labels.as_set(["rain"]))
    votes = [["rain"], ["rain", "crow, carrion"], []]
    pooled = intervals.pool(frame.assign(predicted=[labels.as_set(each) for each in votes]), ["recording"])
    assert pooled["predicted"].tolist() == [labels.as_set(["rain"])]


def test_the_loss_is_the_mean_binary_cross_entropy():
    logits, targets = torch.randn(5, 3), (torch.rand(5, 3) > 0.5).float()
    p = heads.probabilities(logits, multi_label=True)
    expected = log_loss(targets.ravel(), p.ravel().double())
    assert heads.loss(logits, targets).item() == pytest.approx(expected, abs=1e-5)


PITCH = {"horn": 300, "bell": 900, "whistle": 1500}


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """A trained and evaluated dataset whose recordings have one to three of three sounds, as a table lists them."""
    project = Project(tmp_path_factory.mktemp("town"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(project.root))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(project.root / "mlflow.db"))
        log_mel_cnn(project, "town", epochs=40)
        layout = {"kind": "table", "file": "clips.csv", "path": "audio/{fname}.wav", "separator": ","}
        project.card("town", task="street", source={"folder": "."}, layout=layout | {"label": "labels"})
        sets = [{"horn"}, {"bell"}, {"whistle"}, {"horn", "bell"}, {"bell", "whistle"}, set(PITCH)] * 6
        lines = ["fname,labels"]
        for number, names in enumerate(sets):
            sound = sum(tone(PITCH[name], 4, RATE, seed=number) for name in sorted(names)) / 3
            write_audio(project.data("raw", "town", "audio", f"{number:02}.wav"), sound, RATE)
            lines.append(f'{number:02},"{",".join(sorted(names))}"')
        project.data("raw", "town", "clips.csv").write_text("\n".join(lines) + "\n")
        through_the_stages("town")
        yield project


@pytest.mark.process
def test_every_recording_is_counted_under_each_of_its_classes(town):
    counts = json.loads(town.data("manifest", "town.json").read_text())
    assert counts["read"] == 36 and counts["classes"] == {"bell": 24, "horn": 18, "whistle": 18}


@pytest.mark.process
def test_models_of_sets_find_more_than_chance_and_carry_their_thresholds(town):
    metrics = json.loads(town.data("metrics", "town", "log_mel-cnn.json").read_text())["grouped"]["as_coded"]
    assert metrics["macro_ap"] > 0.75 and 0 <= metrics["accuracy"] <= 1
    for path in town.data("models", "town", "log_mel-cnn").glob("*/config.json"):
        settings = json.loads(path.read_text())
        assert settings["classes"] == ["bell", "horn", "whistle"] and len(settings["thresholds"]) == 3


@pytest.mark.process
def test_the_report_shows_average_precision_and_no_confusion_matrix(town):
    invoke(compare_stage.main)
    page = town.data("report", "index.html").read_text()
    assert "Average precision on town" in page and "Confusion matrices" not in page
    rows = json.loads(town.data("report", "comparison.json").read_text())
    assert all(0 < row["macro_ap"] <= 1 for row in rows)
    for row in json.loads(town.data("report", "summary.json").read_text())["scores"]:
        for metric in ("macro_ap", "micro_ap"):
            assert 0 < row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"] <= 1
            assert f"{row[metric]:.3f}<small>{row[f'{metric}_low']:.3f} to {row[f'{metric}_high']:.3f}" in page
    text = results_page.render([town.root])
    assert "| experiment | wiring | macro, published | macro, grouped |" in text
    assert f"{row['macro_ap']:.3f} [{row['macro_ap_low']:.3f}, {row['macro_ap_high']:.3f}] |" in text


@pytest.mark.process
def test_a_model_of_sets_finds_the_events_of_each_class_and_is_the_same_in_onnx(town):
    (folder, *_) = sorted(town.data("models", "town", "log_mel-cnn").iterdir())
    detector = Detector.load(folder)
    sound = tone(300, 4, RATE, seed=1) / 3 + tone(900, 4, RATE, seed=2) / 3
    found = answer(detector, [sound.astype(np.float32)], Rule(), detector.classes)
    assert set(found.scores) == set(PITCH) and sum(found.scores.values()) != pytest.approx(1, abs=1e-3)
    export.export(folder, town.root / "model.onnx")
    session = onnxruntime.InferenceSession(town.root / "model.onnx")
    windows = np.stack([sound[: 2 * RATE], sound[RATE : 3 * RATE]]).astype(np.float32)
    (exported,) = session.run(None, {"samples": windows})
    assert exported == pytest.approx(predict.of_samples(detector.settings, detector.net, windows), abs=1e-4)
    known = session.get_modelmeta().custom_metadata_map
    assert json.loads(known["thresholds"]) == detector.settings["thresholds"]


def test_two_classes_are_too_few_for_sets(project):
    layout = {"kind": "table", "file": "clips.csv", "path": "{fname}.wav", "separator": ";"}
    project.card("yard", task="yard", source={"folder": "."}, layout=layout)
    for number in range(4):
        write_audio(project.data("raw", "yard", f"{number}.wav"), tone(300, 3, RATE, seed=number), RATE)
    project.data("raw", "yard", "clips.csv").write_text("fname,label\n0,a\n1,b\n2,a;b\n3,a; b\n")
    assert "a multi-label dataset needs three or more" in invoke(manifest_stage.main, "yard", code=1)
