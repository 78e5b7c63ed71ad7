"""Operating points and calibration: chosen on validation, stored with the model, used wherever it is."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner

from conftest import PROJECT, new_store, tone, write_audio
from earshot import files, project
from earshot.batches import prepare
from earshot.cli import main
from earshot.deploy.onnx.calibrated import Calibrated
from earshot.deploy.onnx.export import about, export
from earshot.deploy.package import signature
from earshot.detection.detector import Detector
from earshot.detection.rule import Rule
from earshot.errors import EarshotError
from earshot.metrics import calibration, classification
from earshot.schema import params
from earshot.settings import compose
from earshot.soundscapes import operating_point
from earshot.soundscapes.hear import Heard
from earshot.soundscapes.mix import clips
from earshot.trained import model_folder, predict
from earshot.training import run_cache, runs
from earshot.web.listening import Listening
from tiny import RATE

EVENTS = {
    "alarm": "horn",
    "background": "other",
    "hours": 0.05,
    "clip_seconds": 20.0,
    "event_seconds": [2.0, 4.0],
    "events_per_hour": 400.0,
    "snr_db": [5, 20],
    "step": 0.5,
    "inputs": ["log_mel"],
}
ASKED = {
    "events": {"sirens": EVENTS},
    "operating_point": {"sirens": {"max_false_alarms_per_hour": 10}},
    "calibration": {"sirens": "temperature"},
}


def config(*overrides: str):
    few = ["model.training.max_epochs=20", "optimizer.lr=0.01", "mlflow.artifacts=false", "protocol=grouped"]
    return compose(["experiment=sirens-log_mel-cnn", *few, *overrides])


@pytest.fixture(scope="module")
def model(shared, tmp_path_factory):
    """Train a model with everything that is asked for; its folder."""
    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_store(store))
        plain = runs.once(config(), prepare.shared(config()))
        shared.params(**ASKED)
        folder = runs.once(config(), prepare.shared(config()))
        yield folder, plain, store
        shared.params(**{key: {} for key in ASKED})


def heard(scores: list[float], truth: list[tuple[float, float]]) -> Heard:
    starts = np.arange(len(scores), dtype=float)
    events = pd.DataFrame([(0, *event, f"horn{n}") for n, event in enumerate(truth)], columns=["clip", *SPAN])
    street = pd.DataFrame([(0, 0.0, len(scores) / 2, "a"), (0, len(scores) / 2, len(scores), "b")])
    street.columns = events.columns
    nothing = np.empty((0, 2))
    return Heard(starts, starts + 1, np.array(scores), np.zeros(len(scores), int), events, street, nothing)


SPAN = ["start", "end", "group"]


def test_the_rule_keeps_to_the_budget_and_misses_as_little_as_it_can():
    scores = np.full(3600, 0.01)
    scores[100:104], scores[200:204], scores[300:304], scores[400:404] = 0.9, 0.6, 0.7, 0.5
    listened = heard(scores.tolist(), [(100, 104), (200, 204), (400, 404)])
    strict, lax = (operating_point.point(listened, "horn", 1.0, most, 1.0) for most in (0, 1))
    assert (strict["recall"], strict["false_alarms_per_hour"]) == (pytest.approx(1 / 3, abs=1e-6), 0)
    assert (lax["recall"], lax["false_alarms_per_hour"]) == (1, 1)
    assert lax["rule"]["threshold"] <= 0.5 < 0.7 < strict["rule"]["threshold"]
    assert strict["recall_low"] < strict["recall"] < strict["recall_high"]


def test_a_margin_keeps_the_thresholds_from_false_alarms():
    scores = np.full(3600, 0.01)
    scores[100:104], scores[200:204], scores[300:304] = 0.9, 0.65, 0.5  # the last is a false alarm, 0.6 logits below
    listened = heard(scores.tolist(), [(100, 104), (200, 204)])
    near, far = (operating_point.point(listened, "horn", 1.0, 0, margin) for margin in (0.0, 1.0))
    assert (near["recall"], near["margin"]) == (1, 0) and 0.5 < near["rule"]["threshold"] <= 0.65
    assert (far["recall"], far["margin"]) == (0.5, 1) and far["rule"]["threshold"] > 0.7


def test_a_model_that_hears_nothing_has_a_point_too():
    point = operating_point.point(heard([0.5] * 60, [(10, 20)]), "horn", 1.0, 0, 1.0)
    assert (point["recall"], point["false_alarms_per_hour"]) == (0, 0) and Rule(**point["rule"])


def test_where_no_rule_keeps_to_the_budget_it_is_told():
    point = operating_point.point(heard([1.0] * 10 + [0.0] * 50, [(20, 30)]), "horn", 1.0, 0, 1.0)
    assert point["false_alarms_per_hour"] == pytest.approx(60) and point["max_false_alarms_per_hour"] == 0


def test_a_soundscape_is_of_its_part_alone_and_always_the_same():
    spans = pd.DataFrame(
        {"recording": ["h", "o", "o"], "group": ["h", "o1", "o2"], "label": ["horn", "other", "other"]}
    ).assign(start=[0.0, 0.0, 10.0], stop=[8.0, 9.0, 30.0])
    sounds = {"h": tone(900, 10, RATE), "o": np.full(30 * RATE, 0.25, np.float32)}
    sounds["h"][8 * RATE :] = sounds["o"][9 * RATE : 10 * RATE] = np.nan  # what no span has
    one, other = (list(clips(spans, sounds.__getitem__, RATE, EVENTS, [1, 2])) for _ in range(2))
    assert len(one) == 9 and sum(len(clip.events) for clip in one) > 5
    for clip, same in zip(one, other, strict=True):
        assert np.isfinite(clip.samples).all() and len(clip.samples) == 20 * RATE
        assert np.array_equal(clip.samples, same.samples)
        assert clip.background["start"].tolist()[1:] == clip.background["end"].tolist()[:-1]
        for event in clip.events.itertuples():
            inside = clip.samples[round(event.start * RATE) : round(event.end * RATE)]
            assert event.group == "h" and 2 <= event.end - event.start <= 4 and inside.std() > 0.1


@pytest.mark.process
def test_the_point_is_stored_with_the_model_and_used(model, tmp_path):
    folder, plain, _ = model
    settings, weights = model_folder.read(folder)
    before, same = model_folder.read(plain)
    assert "operating_point" not in before and all(weights[name].equal(same[name]) for name in weights)
    point = settings["operating_point"]
    assert point["label"] == "horn" and point["step"] == 0.5 and 0 <= point["recall"] <= 1
    detector = Detector.load(folder)
    assert detector.hop == 0.5 and detector.rules()["horn"] == Rule(**point["rule"])
    assert detector.rules()["other"] == Rule() and detector.rules(threshold=1)["horn"].threshold == 1
    told = about(detector)
    assert json.loads(told["operating_point"]) == point and json.loads(told["calibration"])["temperature"] > 0
    assert {p.name: p.default for p in signature(settings).params} == point["rule"]
    street = write_audio(tmp_path / "street.wav", tone(300, 20, RATE, seed=8), RATE)
    done = CliRunner().invoke(main.main, ["predict", "--model", str(folder), "--json", str(street)])
    assert done.exit_code == 0 and json.loads(done.stdout)["windows"] == 37  # a window of 2 s each half second


@pytest.mark.process
def test_the_page_uses_and_shows_the_point(model, tmp_path):
    folder, _, _ = model
    point = model_folder.read(folder)[0]["operating_point"]
    street = write_audio(tmp_path / "street.wav", tone(300, 20, RATE, seed=8), RATE)
    served = Listening({"horns": lambda: Detector.load(folder)}, {"horns": folder}, 10**6)
    (as_chosen,), (as_given,) = (
        served._predict(street, ["horns"], given)["heard"] for given in ({}, {"threshold": 1.0})
    )
    assert as_chosen["operating_point"] == as_given["operating_point"] == point
    assert as_chosen["rules"]["horn"] == point["rule"] and as_given["rules"]["horn"]["threshold"] == 1


@pytest.mark.process
def test_mlflow_has_the_point(model):
    import mlflow

    folder, _, store = model
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    point = model_folder.read(folder)[0]["operating_point"]
    found = [
        run
        for run in client.search_runs([client.get_experiment_by_name("sirens").experiment_id])
        if "earshot.operating_point" in run.data.tags
    ]
    assert len(found) == 1 and json.loads(found[0].data.tags["earshot.operating_point"]) == point
    assert found[0].data.params["operating_point.max_false_alarms_per_hour"] == "10"
    assert found[0].data.metrics["point_val_recall"] == pytest.approx(point["recall"])
    assert {"temperature", "calibrated_val_calibration_error"} <= set(found[0].data.metrics)


@pytest.mark.process
def test_what_is_asked_for_makes_another_run_and_nothing_else_does(shared, model):
    shared.params(**{key: {} for key in ASKED})
    plain = run_cache.folder(config(), prepare.load(config()))
    shared.params(**ASKED)
    assert run_cache.folder(config(), prepare.load(config())) != plain
    published = "protocol=published"
    others = [run_cache.folder(config(published), prepare.load(config(published)))]
    shared.params(**{key: {} for key in ASKED})
    others.append(run_cache.folder(config(published), prepare.load(config(published))))
    assert others[0] == others[1]
    shared.params(**ASKED)


def drawn(temperature: float, classes: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Draw true classes of probabilities, and return these sharpened."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, classes)) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    sharp = p**temperature
    return sharp / sharp.sum(axis=1, keepdims=True), np.eye(classes, dtype=bool)[true]


@pytest.mark.parametrize("classes", [2, 5])
def test_the_temperature_that_sharpened_probabilities_is_found(classes):
    p, true = drawn(3.0, classes)
    fitted = calibration.fit("temperature", p, true)
    assert fitted["temperature"] == pytest.approx(3.0, rel=0.1)
    softened = calibration.applied(fitted, p.astype(np.float32))
    assert softened.dtype == np.float32 and softened.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (softened.argmax(axis=1) == p.argmax(axis=1)).all()


@pytest.mark.parametrize("method", calibration.METHODS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_calibrated_probabilities_are_as_often_right_as_they_say(method, multi_label):
    p, true = drawn(4.0, 2)
    if multi_label:
        p = np.hstack([p[:, :1], p[::-1, :1]])
        true = np.hstack([true[:, :1], true[::-1, :1]])
    fitted = json.loads(json.dumps(calibration.fit(method, p, true, multi_label)))
    found = calibration.applied(fitted, p, multi_label)

    def error(values: np.ndarray) -> float:
        bins = np.minimum((values[:, 0] * 10).astype(int), 9)
        sizes = np.bincount(bins, minlength=10)
        gaps = [abs(values[bins == b, 0].mean() - true[bins == b, 0].mean()) * sizes[b] for b in np.flatnonzero(sizes)]
        return sum(gaps) / len(values)

    assert error(found) < 0.02 < error(p)


@pytest.mark.parametrize("method", calibration.METHODS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_torch_calibrates_alike(method, multi_label):
    p, true = drawn(4.0, 3)
    p = p.astype(np.float32)
    fitted = calibration.fit(method, p, true, multi_label)
    ours = Calibrated(fitted, multi_label)(torch.from_numpy(p)).numpy()
    assert ours == pytest.approx(calibration.applied(fitted, p, multi_label), abs=1e-5)


@pytest.mark.process
def test_an_exported_model_is_calibrated(model, tmp_path):
    folder, _, _ = model
    detector = Detector.load(folder)
    export(folder, tmp_path / "horn.onnx")
    sound = np.stack([tone(900, 2, RATE), tone(300, 2, RATE, seed=5)])
    session = onnxruntime.InferenceSession(tmp_path / "horn.onnx")
    (found,) = session.run(["probabilities"], {"samples": sound})
    assert found == pytest.approx(predict.of_samples(detector.settings, detector.net, sound), abs=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["operating_point"])["label"] == "horn"


def test_the_settings_in_the_document_are_right(tmp_path):
    content, said = yaml.safe_load((PROJECT / "params.yaml").read_text()), {}
    for block in re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / "events.md").read_text(), re.DOTALL):
        said |= yaml.safe_load(block)
    content |= {key: content[key] | value for key, value in said.items()}
    shutil.copytree(PROJECT / "conf" / "model", tmp_path / "conf" / "model")
    params.check(tmp_path / "params.yaml", content)
    assert set(ASKED) <= set(said)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"events": {}}, "operating_point.sirens: events.sirens is missing"),
        ({"calibration": {"sirens": "platt"}}, "calibration.sirens is platt, and must be temperature or isotonic"),
        ({"operating_point": {"sirens": {"max_false_alarms_per_hour": -1}}}, "must be a number, 0 or more"),
        ({"events": {"sirens": EVENTS | {"snr_db": [20, 5]}}}, "the lowest and the highest, such as"),
        ({"events": {"sirens": EVENTS | {"background": "horn"}}}, "alarm and background are both horn"),
        ({"events": {"sirens": EVENTS | {"inputs": ["log_mle"]}}}, "did you mean log_mel?"),
        ({"events": {"sirens": EVENTS | {"clip_seconds": 6.0}}}, "events.sirens.clip_seconds is 6, and must be 8"),
        ({"events": {"sirens": EVENTS | {"hour": 1}}}, "events.sirens.hour is no setting; did you mean hours?"),
    ],
)
def test_settings_that_make_no_sense_are_told(tmp_path, change, fault):
    content = yaml.safe_load((PROJECT / "params.yaml").read_text()) | ASKED | change
    shutil.copytree(PROJECT / "conf" / "model", tmp_path / "conf" / "model")
    with pytest.raises(EarshotError, match=re.escape(fault)):
        params.check(tmp_path / "params.yaml", content)


def test_a_table_of_predictions_is_calibrated():
    frame = pd.DataFrame({"label": ["a", "b"], "predicted": ["a", "b"], "p_a": [0.9, 0.2], "p_b": [0.1, 0.8]})
    found = calibration.of_table({"method": "temperature", "temperature": 2.0}, frame)
    assert found["p_a"].tolist() == pytest.approx([0.75, 1 / 3]) and found["predicted"].tolist() == ["a", "b"]
    assert calibration.of_table(None, frame).equals(frame)
    assert classification.calibration_error(found) > classification.calibration_error(frame)


@pytest.mark.process
def test_a_fold_without_an_event_is_told(shared):
    spans = files.read_table(project.split("horns", "grouped"))
    with pytest.raises(EarshotError, match="horn of 2 s or more"):
        next(clips(spans[spans["label"] == "other"], {}.__getitem__, RATE, EVENTS, [0]))
