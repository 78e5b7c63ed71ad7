"""Models of a backbone, from a local server's file to predictions: zero-shot, a linear probe, and trained on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import BatchNorm2d, Dropout

from conftest import Project, invoke, tone, write_audio
from earshot import backbones, models
from earshot.audio import decode
from earshot.batches import prepare
from earshot.deploy.onnx.export import export
from earshot.detection.answer import answer
from earshot.detection.contexts import contexts
from earshot.detection.detector import Detector
from earshot.detection.rule import Rule
from earshot.errors import EarshotError
from earshot.models import known_classes
from earshot.models.linear import Linear
from earshot.models.mn import MN
from earshot.settings import compose
from earshot.soundscapes import strong
from earshot.stages import cross_dataset as cross_dataset_stage
from earshot.stages import evaluate as evaluate_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage
from earshot.stages import train as train_stage
from earshot.trained import model_folder, predict
from earshot.training import augmenting, fit, for_detection, pretrained, strong_labels
from servers import Server
from test_backbones import CLASSES, RATE, small_network, sound, write_backbone

LABELS = {"horn": ["Siren"], "other": "*"}
EXPERIMENTS = {
    "embedded": {"inputs": ["embedding"], "models": ["linear"]},
    "tagged": {"inputs": ["tags"], "models": ["zero_shot"]},
    "tuned": {"inputs": ["waveform_32k"], "models": ["mn"]},
    "probed": {"inputs": ["waveform_32k"], "models": ["probe"]},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a small project with two recordings, and models of a backbone that a local server gave."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("pretrained")
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        project = Project(root)
        server = Server()
        mirror = write_backbone(project)
        server.files = {
            path.relative_to(mirror).as_posix(): path.read_bytes() for path in mirror.rglob("*") if path.is_file()
        }
        patch.setenv("EARSHOT_MIRROR", server.address)
        (root / "conf" / "labels" / "audioset.yaml").write_text(json.dumps({"sirens": LABELS}))
        for path in (root / "conf" / "model" / f"{name}.yaml" for name in ("mn", "probe")):
            path.write_text(path.read_text().replace("mn04_as", "small").replace("max_epochs: 2", "max_epochs: 1"))
        params = project.params()
        features = params["features"]
        for name in ("embedding", "tags"):
            features[name]["backbone"] = "small"
        project.params(
            datasets=["horns"],
            features=features,
            experiments=EXPERIMENTS,
            protocols=["grouped"],
            contrasts=[],
            split=params["split"] | {"block_seconds": 6.0, "folds": {"default": 2}, "unite_duplicates": False},
        )
        layout = {"kind": "long_recordings", "recordings": {"horn": "horn.wav", "other": "other.wav"}}
        project.card("horns", task="sirens", source={"folder": "."}, layout=layout)
        # loud in little noise: the network has random weights
        for seed, (name, frequency, seconds) in enumerate([("horn", 2500, 40), ("other", 150, 44)]):
            whole = (
                np.sin(2 * np.pi * frequency / 16000 * np.arange(seconds * 16000)) + sound(seconds, 16000, seed) / 50
            )
            write_audio(project.data("raw", "horns", f"{name}.wav"), whole / 2, 16000)
        for stage in (manifest_stage, fingerprint_stage, split_stage):
            invoke(stage.main, "horns")
        invoke(features_stage.main, "horns", "--workers", "1")
        server.close()
        invoke(train_stage.main, "horns", "--workers", "1")
        invoke(evaluate_stage.main, "horns", "--workers", "1")
        yield project


pytestmark = pytest.mark.process


def predictions(project, name: str) -> pd.DataFrame:
    return pd.read_parquet(project.data("predictions", "horns", f"{name}.parquet"))


def test_a_linear_probe_tells_horns_from_others(trained):
    found = predictions(trained, "embedding-linear")
    assert (found["predicted"] == found["label"]).mean() > 0.9 and set(found["fold"]) == {0, 1}


def test_zero_shot_is_the_highest_of_the_backbones_classes_against_a_threshold(trained):
    found = predictions(trained, "tags-zero_shot")
    tags = pd.read_parquet(trained.data("features", "horns", "tags")).set_index(["recording", "window"])
    siren = tags.loc[list(zip(found["recording"], found["start"].round().astype(int), strict=True)), "Siren"].to_numpy()
    odds = siren / (1 - siren) / (0.05 / 0.95)
    assert np.allclose(found["p_horn"], odds / (1 + odds), atol=1e-5)


def test_a_model_trained_on_is_part_of_the_way_from_its_backbone(trained):
    config = json.loads(next(trained.data("models", "horns", "waveform_32k-mn").glob("*/config.json")).read_text())
    assert config["model"]["members"] == [[CLASSES.index("Siren")], []] and config["model"]["width"] == 0.1
    weights = load_file(next(trained.data("models", "horns", "waveform_32k-mn").glob("*fold0")) / "model.safetensors")
    before = {name: value for name, value in backbones.weights_of("small").items() if "classifier.3" not in name}
    changed = {name for name, value in before.items() if not torch.equal(weights[f"model.net.{name}"], value)}
    assert "features.16.0.weight" in changed and not any("running" in name for name in changed)
    assert "labels" not in config["model"] and config["input"]["sample_rate"] == 32000


def test_a_trained_folder_predicts_what_the_stage_did(trained):
    for name in ("embedding-linear", "tags-zero_shot", "waveform_32k-mn", "waveform_32k-probe"):
        folder = next(trained.data("models", "horns", name).glob("*fold0"))
        found = predictions(trained, name)
        row = found[(found["fold"] == 0) & (found["recording"] == "horn.wav")].iloc[0]
        detector = Detector.load(folder)
        samples = decode.load(trained.data("raw", "horns", "horn.wav"), detector.sample_rate)
        window = next(w for w in detector.windows([samples]) if w.start == row["start"])
        assert window.probabilities[0] == pytest.approx(row["p_horn"], abs=2e-4)


def windows(trained, part: str = "train", name: str = "waveform_32k", model: str = "mn"):
    cfg = compose(["dataset=horns", "task=sirens", f"input={name}", f"model={model}", "protocol=grouped"])
    data = prepare.load(cfg)
    return cfg, data, prepare.part(cfg, data, part)


def test_a_crnn_of_samples_is_trained_and_exported(trained, tmp_path):
    cfg, data, training = windows(trained, model="mel_crnn")
    cfg.model.update({"channels": [8, 8], "halvings": 2, "dropout": 0.0})
    cfg.model.training.update({"max_epochs": 20, "batch_size": 4})
    cfg.optimizer.lr = 0.01
    done = fit.fit(cfg, data, training, prepare.part(cfg, data, "validation"))
    assert (done.validation["predicted"] == done.validation["label"]).mean() > 0.9
    fit.save(done, tmp_path / "model")
    export(tmp_path / "model", tmp_path / "model.onnx")
    samples = np.stack([tone(2500, 2, RATE), sound(2, RATE)]).astype(np.float32)
    detector = Detector.load(tmp_path / "model")
    [found] = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(["probabilities"], {"samples": samples})
    assert np.abs(found - predict.of_samples(detector.settings, detector.net, samples)).max() < 1e-4


def test_a_crnn_of_samples_takes_them_at_its_own_rate(trained):
    cfg, data, _ = windows(trained, model="mel_crnn")
    other = replace(data, input=replace(data.input, sample_rate=16000))
    with pytest.raises(EarshotError, match="model=mel_crnn takes 32000 Hz, and the input waveform_32k has 16000"):
        pretrained.completed(cfg, other)


def test_before_training_the_model_is_zero_shot(trained):
    cfg, data, training = windows(trained)
    chosen = pretrained.completed(cfg, data)
    net = models.build(chosen, False, training.length, 1, 2)
    pretrained.begin(net, chosen, training, None)
    x, _ = training[[0, 1, 2]]
    with torch.no_grad():
        logits = net.eval()(x)
    scores = backbones.load("small").at_level(x[:, :, 0].numpy(), -20.0)["scores"][:, CLASSES.index("Siren")]
    rest = known_classes.logit(0.05)
    assert np.allclose(logits[:, 0].numpy(), rest - np.log(scores / (1 - scores)), rtol=1e-3)


def test_without_labels_the_output_is_the_probes(trained):
    cfg, data, training = windows(trained)
    cfg.labels = {}
    chosen = pretrained.completed(cfg, data)
    assert chosen["members"] is None
    net = models.build(chosen, False, training.length, 1, 2)
    pretrained.begin(net, chosen, training, None)
    x, y = training[list(range(len(training)))]
    with torch.no_grad():
        hidden, logits = net.model.hidden(x), net.eval()(x)
    probe = LogisticRegression(C=0.01, max_iter=1000).fit(hidden.numpy(), y.numpy())
    assert np.allclose(logits[:, 0].numpy(), probe.decision_function(hidden.numpy()), rtol=1e-2, atol=1e-2)


def test_a_probe_learns_from_windows_and_changed_copies_and_is_averaged_with_zero_shot(trained):
    cfg, data, training = windows(trained, model="probe")
    found = fit.fit(cfg, data, training, prepare.part(cfg, data, "validation"))
    net = model_folder.restore(found.settings, found.weights)
    model, augmenter = net.model, augmenting.augmenter(cfg, data, training, None)
    copies = [[augmenter(x, copy, step)[0] for step, x in enumerate(training.batches(32))] for copy in range(2)]
    x, y = training[list(range(len(training)))]
    with torch.no_grad():
        rows = torch.cat([model.hidden(each) for each in (x, *copies[0], *copies[1])]).double().numpy()
        solved = model.output(model.hidden(x))[:, 0].numpy()
        zero_shot = model.of_task(model.net(model.log_mel(x)))[:, 0].numpy()
        logits = net(x)[:, 0].numpy()
    expected = make_pipeline(StandardScaler(), LogisticRegression(C=1 / 300 / 3, max_iter=1000))
    expected.fit(rows, np.tile(y.numpy(), 3))
    assert np.allclose(solved, expected.decision_function(rows[: len(x)]), atol=2e-3)
    assert np.allclose(logits, 0.67 * solved + 0.33 * zero_shot, atol=1e-4)
    assert found.settings["augmentation"]["background"]["label"] == "other", "the class that is all others"


def test_a_probe_has_no_labels_to_mix(trained):
    cfg, data, training = windows(trained, model="probe")
    cfg.augmentation.mixup = {"p": 0.5, "alpha": 0.3}
    with pytest.raises(EarshotError, match="augmentation.mixup is for models that learn by gradient steps"):
        fit.fit(cfg, data, training, training)


@pytest.mark.parametrize("labels", [{}, {"sirens": LABELS}], ids=["probed", "zero-shot"])
def test_training_drops_out_and_batch_norms_stay_as_in_prediction(trained, labels):
    cfg, data, training = windows(trained)
    cfg.labels = labels
    seen = []

    class Modes(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, *_):
            layers = list(pl_module.modules())
            seen.append({type(layer): layer.training for layer in layers if isinstance(layer, Dropout | BatchNorm2d)})

    fit.fit(cfg, data, training, prepare.part(cfg, data, "validation"), [Modes()])
    assert seen and all(modes == {Dropout: True, BatchNorm2d: False} for modes in seen)


def test_interpolation_is_between_the_weights():
    before, after = {"w": torch.zeros(2), "n": torch.tensor(1)}, {"w": torch.tensor([2.0, 4.0]), "n": torch.tensor(5)}
    found = pretrained.interpolated(before, after, 0.25)
    assert found["w"].tolist() == [0.5, 1.0] and found["n"] == 5


def small_model(**changes) -> MN:
    settings = {
        "backbone": "small",
        "width": 0.1,
        "members": None,
        "threshold": 0.05,
        "level": None,
        "blocks": 17,
        "lower": 0.1,
    }
    return MN(32000, 1, 3, dropout=0.2, **settings | changes)


def test_blocks_that_are_not_trained_keep_their_weights_and_batch_norms_theirs():
    model = small_model(blocks=2)
    model.begin(small_network().state_dict())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameter_groups(0.1))
    model.train()(torch.randn(4, 32000, 1)).sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(
        name.startswith(("net.features.15.", "net.features.16.", "net.classifier.")) for name in changed
    )
    assert not any("running" in name for name in changed)


def test_what_has_been_trained_before_has_a_lower_rate():
    groups = small_model().parameter_groups(0.01)
    assert [group["lr"] for group in groups] == pytest.approx([0.001, 0.01])
    assert [p.shape for p in groups[1]["params"]] == [(3, 128), (3,)]
    assert [group["lr"] for group in small_model(members=[[1], [0, 2], []]).parameter_groups(0.01)] == [0.001]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"horn": ["Siren"]}, "conf/labels/ has horn, and the classes are horn, other"),
        ({"horn": ["Sirene"], "other": "*"}, "conf/labels/: the network has no class 'Sirene'"),
        ({"horn": "*", "other": "*"}, "one class alone can be all that no other is"),
    ],
)
def test_labels_that_do_not_fit_are_told(trained, labels, told):
    cfg, data, _ = windows(trained)
    cfg.labels = {"sirens": labels}
    with pytest.raises(EarshotError, match=told):
        pretrained.completed(cfg, data)


def test_another_sample_rate_than_the_backbones_is_told(trained):
    invoke(features_stage.main, "horns", "waveform", "--workers", "1")
    cfg, data, _ = windows(trained, name="waveform")
    with pytest.raises(EarshotError, match="the backbone small takes 32000 Hz, and the input waveform has 16000"):
        pretrained.completed(cfg, data)


def test_the_highest_of_several_stands_for_a_class():
    scores = torch.tensor([[1.0, -2.0, 3.0, 0.5], [-1.0, -2.0, -3.0, -4.0]])
    assert known_classes.highest(scores, [[0, 2], [1], []], -1.5, 3).tolist() == [[3.0, -2.0, -1.5], [-1.0, -2.0, -1.5]]
    assert known_classes.highest(scores, [[], [3, 1]], 0.0, 1).tolist() == [[0.5], [-2.0]]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_is_scikit_learns_logistic_regression(n_classes):
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(60, 5)), np.arange(60) % n_classes
    rows[:, 0] += y
    model = Linear(1, 5, n_classes, weight_decay=10.0, factor=2.0)
    model.solve(torch.from_numpy(rows).float()[:, None], torch.from_numpy(y), epoch=3)
    expected = LogisticRegression(C=2.0**3 / 10, max_iter=1000).fit(rows.astype(np.float32), y).decision_function(rows)
    assert np.allclose(model(torch.from_numpy(rows).float()[:, None]).detach().numpy().squeeze(), expected, atol=1e-3)


def test_linear_of_sets_of_classes_solves_for_each():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(80, 4))
    sets = np.stack([rows[:, 0] > 0, rows[:, 1] > 0.3, np.ones(80, bool)], axis=1).astype(np.float32)
    model = Linear(1, 4, 3, weight_decay=1.0, factor=10.0)
    model.solve(torch.from_numpy(rows).float()[:, None], torch.from_numpy(sets), epoch=1)
    logits = model(torch.from_numpy(rows).float()[:, None]).detach().numpy()
    assert ((logits > 0) == (sets > 0)).mean(axis=0).min() > 0.95


def test_weight_decays_are_tried_from_strong_to_weak_and_validation_chooses(trained):
    history = pd.read_csv(trained.data("history", "horns", "embedding-linear.csv"))
    one = history[history["fold"] == 0]
    assert one["epoch"].tolist() == list(range(1, 12)) and one["train_loss"].is_monotonic_decreasing
    config = json.loads(
        next(trained.data("models", "horns", "embedding-linear").glob("*fold0/config.json")).read_text()
    )
    assert config["best_epoch"] == one.loc[one["val_loss"].idxmin(), "epoch"]


def test_two_trainings_give_the_same_bytes(trained, tmp_path):
    cfg, data, training = windows(trained)
    cfg.model.training.max_epochs = 1
    digests = {fit.digest(fit.fit(cfg, data, training, prepare.part(cfg, data, "validation"))) for _ in range(2)}
    assert len(digests) == 1


def test_models_are_tested_on_other_datasets_of_their_task(trained):
    assert "horns" in invoke(cross_dataset_stage.main, "horns", "--workers", "1")


EVENTS = {
    "alarm": "horn",
    "background": "other",
    "hours": 0.01,
    "clip_seconds": 12.0,
    "event_seconds": [2.0, 3.0],
    "events_per_hour": 600.0,
    "snr_db": [10, 20],
    "step": 0.5,
    "inputs": ["waveform_32k"],
}
SHORT = {"seconds": 2.56, "margin": 0.64, "heads": 2, "units": 4, "dropout": 0.0}
LEARNING = {"hours": 0.05, "epochs": 40, "batch_size": 4, "lr": 0.01, "snr_db": [10.0, 20.0]}


@pytest.fixture(scope="module")
def of_frames(trained, tmp_path_factory):
    """Return a model of frames that has learnt from soundscapes, with an operating point: its folder."""
    cfg, data, training = windows(trained, model="frames")
    OmegaConf.update(cfg, "events.sirens", EVENTS, force_add=True)
    OmegaConf.update(cfg, "operating_point.sirens", {"max_false_alarms_per_hour": 1}, force_add=True)
    cfg.model.update({"backbone": "small", **SHORT})
    cfg.model.learning.update(LEARNING)
    teach = strong_labels.teacher(cfg, data)
    done = fit.fit(cfg, data, training, prepare.part(cfg, data, "validation"), teach=teach)
    folder = tmp_path_factory.mktemp("frames")
    fit.save(for_detection.added(cfg, data, done), folder)
    return folder, done.validation


def test_a_model_of_frames_learns_from_soundscapes(of_frames):
    folder, validation = of_frames
    assert (validation["predicted"] == validation["label"]).mean() > 0.8, "a window's score is that of its frames"
    settings, _ = model_folder.read(folder)
    assert settings["frames"] == {"step": 0.16, "seconds": 2.56, "margin": 0.64}
    point = settings["operating_point"]
    assert point["step"] == 0.16 and point["recall"] > 0.8 and point["false_alarms_per_hour"] <= 1


def test_frames_tell_when_a_horn_begins(of_frames):
    detector = Detector.load(of_frames[0])
    time = np.arange(round(9.5 * RATE)) / RATE
    horn = (time >= 4) & (time < 6.4)
    low, high = (np.sin(2 * np.pi * frequency * time) for frequency in (150, 2500))
    samples = (low / 10 + horn * high / 3 + sound(9.5, RATE, 3) / 500).astype(np.float32)
    found = list(detector.windows([samples]))
    assert [window.start for window in found] == pytest.approx(0.16 * np.arange(60))
    assert found[-1].start + found[-1].seconds == pytest.approx(9.5)
    starts, scores = (
        np.array([at(window) for window in found]) for at in (lambda w: w.start, lambda w: w.probabilities[0])
    )
    inside, outside = (starts > 4.3) & (starts < 5.8), (starts < 3.4) | (starts > 7)
    assert scores[inside].mean() > scores[outside].mean() + 0.5, scores.round(2)
    begins = starts[(starts > 3) & (scores > 0.5)][0]
    assert begins == pytest.approx(4, abs=0.5)
    said = answer(detector, [samples], Rule(median=0.8), ["horn"])
    assert said.windows == 60 and any(event.start <= 5 <= event.end for event in said.events)
    for hop in (None, 0.32):  # a stream comes in blocks, and is to be answered soon
        other = list(replace(detector, hop=hop).windows(np.split(samples, [1, 50_000, 200_001])))
        assert [window.start for window in other] == [window.start for window in found]
        changes = [one.probabilities - two.probabilities for one, two in zip(other, found, strict=True)]
        assert hop or np.abs(changes).max() < 1e-5


def test_a_model_of_frames_is_exported_with_its_frames(of_frames, tmp_path):
    detector = Detector.load(of_frames[0])
    export(of_frames[0], tmp_path / "model.onnx")
    samples = np.stack([tone(2500, 2.56, RATE), sound(2.56, RATE)]).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    windows_, frames = session.run(["probabilities", "frames"], {"samples": samples})
    assert np.abs(frames - predict.of_frames(detector.settings, detector.net, samples)).max() < 1e-4
    assert np.abs(windows_ - predict.of_samples(detector.settings, detector.net, samples)).max() < 1e-4
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["frames"])["step"] == 0.16 and json.loads(about["hop"]) == 1.28


def test_without_events_a_model_of_frames_has_nothing_to_learn_from(trained):
    cfg, data, _ = windows(trained, model="frames")
    with pytest.raises(EarshotError, match="events.sirens in params.yaml says how they are mixed"):
        strong_labels.teacher(cfg, data)


def test_recordings_with_labelled_events_are_strong_labels_as_they_are():
    spans = pd.DataFrame(
        {
            "recording": ["a", "a", "a", "b"],
            "group": ["a", "a", "a", "b"],
            "label": ["other", "horn", "other", "other"],
            "start": [0.0, 3.0, 6.0, 0.0],
            "stop": [3.0, 4.0, 9.0, 9.0],
        }
    )
    (clip, rest) = strong.recorded(spans, lambda _: np.arange(90), 10, 2.5)
    assert clip.pieces == [(0, 3, "other", "a")] and rest.pieces[1] == (0.5, 1.5, "horn", "a")
    assert rest.samples.tolist() == list(range(25, 40)), "what no span covers may be of another part"


@pytest.mark.parametrize("hop", [None, 0.3, 5.0])
def test_each_frame_is_taken_once_from_where_it_is_not_near_an_end(hop):
    grid, samples = {"step": 0.1, "seconds": 2.0, "margin": 0.5}, np.arange(733, dtype=np.float32)
    taken = []
    for context in contexts(np.split(samples, [5, 6, 400]), 100, grid, hop):
        assert len(context.samples) <= 200 and context.samples[0] == context.begin * 10
        assert context.first >= 5 or context.begin + context.first < 5 or len(context.samples) < 200
        taken += range(context.begin + context.first, context.begin + context.stop)
    assert taken == list(range(74))
