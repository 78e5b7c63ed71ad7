"""Models of a backbone without the project: as ONNX files, as MLflow's package, and many windows at once."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
import yaml

from conftest import PROJECT, tone
from earshot import backbones, inputs, models
from earshot.deploy.onnx.backbone import MelFrontEnd
from earshot.deploy.onnx.export import export
from earshot.deploy.package import save
from earshot.detection.detector import Detector
from earshot.efficientat import mel
from earshot.errors import EarshotError
from earshot.inputs.embedding import Embedding, Tags
from earshot.inputs.waveform import Waveform
from earshot.trained import model_folder, predict
from earshot.training import fit
from test_backbones import CLASSES, RATE, small_network, sound, write_backbone

SECONDS = 0.5


@pytest.fixture
def small(project, monkeypatch) -> Path:
    """Return the mirror of a project that has the backbone `small`."""
    mirror = write_backbone(project)
    monkeypatch.setenv("EARSHOT_MIRROR", str(mirror))
    return mirror


def sounds(seconds: float = SECONDS) -> np.ndarray:
    """Return sounds that the network tells apart: float32, (sounds, samples)."""
    tones = [tone(frequency, seconds, RATE, frequency) for frequency in (200, 900, 2000)]
    return np.stack([*tones, sound(seconds, RATE), np.zeros(round(seconds * RATE), np.float32)])


def model(place: Path, kind: str, clips: bool = False) -> Path:
    """Write a model of a backbone: an embedding with a linear output, tags, or a network trained on."""
    window = {"length": SECONDS, "hop": None if clips else SECONDS / 2}
    card = backbones.load_card("small")
    given = {"backbone": "small", "sha256": card.digest, "sample_rate": RATE, **window, "level": -20.0}
    members = [[CLASSES.index("Siren")], [0, 2]]
    name, built, settings = {
        "linear": ("embedding", Embedding(**given), {"weight_decay": 1.0, "factor": 2.0}),
        "zero_shot": ("tags", Tags(**given), {"members": members, "threshold": 0.05}),
        "mn": (
            "waveform_32k",
            Waveform(RATE),
            {"backbone": "small", "width": 0.1, "members": members, "threshold": 0.05, "blocks": 0, "lower": 1.0}
            | {"dropout": 0.2, "level": -20.0},
        ),
    }[kind]
    target = yaml.safe_load((PROJECT / "conf" / "model" / f"{kind}.yaml").read_text())
    target = target.get("model", target)["_target_"]
    rows = torch.from_numpy(np.stack([built.extract(each) for each in sounds()]))
    chosen = {"name": kind, "_target_": target, **settings}
    torch.manual_seed(1)
    net = models.build(chosen, built.standardised, *rows.shape[1:], 2)
    if built.standardised:
        net.standardiser.set(rows.mean(dim=(0, 1)), rows.std(dim=(0, 1)))
    if kind == "mn":
        net.model.begin(small_network().state_dict())
    facts = {"dataset": "horns", "classes": ["horn", "other"], "input": inputs.recipe(name, built), "model": chosen}
    facts |= {"window_shape": rows.shape[1:], "seconds": SECONDS, "hop": SECONDS / 2}
    fit.save(fit.Trained(facts, net.state_dict(), [], pd.DataFrame()), place / "model")
    return place / "model"


def ours(folder: Path, samples: np.ndarray) -> np.ndarray:
    settings, weights = model_folder.read(folder)
    return predict.of_samples(settings, model_folder.restore(settings, weights), samples)


@pytest.mark.parametrize("kind", [pytest.param("zero_shot", marks=pytest.mark.long), "mn"])
def test_an_exported_model_of_a_backbone_gives_earshots_probabilities(small, tmp_path, kind):
    folder, samples = model(tmp_path, kind), sounds()
    expected = ours(folder, samples)
    assert np.ptp(expected, axis=0).max() > 0.1, "these sounds tell whether the numbers are right"
    export(folder, folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for given in (samples, samples[:1]):
        found = session.run(["probabilities"], {"samples": given})[0]
        assert np.abs(found - expected[: len(given)]).max() < 1e-4
    about = session.get_modelmeta().custom_metadata_map
    assert (about["backbone"], about["backbone_licence"], about["sample_rate"]) == ("small", "none", "32000")


@pytest.mark.long
def test_an_exported_model_of_clips_hears_their_beginning(small, tmp_path):
    folder = model(tmp_path, "linear", clips=True)
    assert np.ptp(ours(folder, sounds()), axis=0).max() > 0.1
    export(folder, folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for seconds in (0.3, 0.9):
        found = session.run(["probabilities"], {"samples": sounds(seconds)})[0]
        assert np.abs(found - ours(folder, sounds(seconds))).max() < 1e-4


def test_front_end_that_can_be_exported_has_the_same_numbers():
    samples = torch.from_numpy(sounds())
    assert torch.allclose(MelFrontEnd()(samples), mel.MelFrontEnd()(samples), atol=3e-4)


def test_a_backbone_of_another_library_is_not_exported_and_a_line_says_so(small, project, tmp_path, monkeypatch):
    folder = model(tmp_path, "linear")
    network = {"kind": "tflite", "samples": 100, "hop": 50, "scores": 0}
    card = backbones.load_card("small").model_copy(update={"network": backbones.card.Graph(**network)})
    found = dataclasses.replace(backbones.load("small"), card=card)
    monkeypatch.setattr(Embedding, "loaded", lambda _: found)
    with pytest.raises(EarshotError, match="the backbone small is a tflite file: a model on it can't be exported"):
        export(folder, folder / "model.onnx")


@pytest.mark.parametrize("clips", [False, True])
def test_windows_together_give_what_each_gives(small, clips, monkeypatch):
    window = {"length": SECONDS, "hop": None if clips else SECONDS / 2}
    built = Embedding("small", backbones.load_card("small").digest, RATE, **window)
    samples = sounds(SECONDS + 0.2 * clips)
    expected = np.stack([built.extract(each) for each in samples])
    monkeypatch.setattr("earshot.inputs.embedding.AT_ONCE", RATE)  # two windows
    assert np.abs(built.extract_windows(samples) - expected).max() < 1e-3 * np.abs(expected).max()


def packaged(small, project, tmp_path) -> tuple[Path, np.ndarray]:
    """Return a packaged model's folder, once the project's backbone is gone, and its probabilities before."""
    folder = model(tmp_path, "linear")
    expected = ours(folder, sounds())
    save(folder, tmp_path / "package")
    for gone in (small, project.root / "conf" / "backbones", project.data("cache", "backbones")):
        shutil.rmtree(gone)
    backbones.backbone._load.cache_clear()
    return tmp_path / "package" / "artifacts" / "model", expected


def test_a_package_has_the_backbone_that_its_model_needs(small, project, tmp_path):
    folder, expected = packaged(small, project, tmp_path)
    lying = sorted(path.name for path in (folder / "backbones" / "small").iterdir())
    assert lying == ["classes.csv", "small.json", "small.safetensors"], "nothing pickled"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert np.abs(ours(folder, sounds()) - expected).max() < 1e-6
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "it may be read alone"
    assert Detector.load(folder).sample_rate == RATE
    moved = shutil.move(folder, tmp_path / "moved")
    assert np.abs(ours(Path(moved), sounds()) - expected).max() < 1e-6
    about = yaml.safe_load((tmp_path / "package" / "MLmodel").read_text())["metadata"]
    assert (about["backbone"], about["backbone_licence"]) == ("small", "none")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["input"]["backbone"] == "small"


@pytest.mark.parametrize("name", ["small.safetensors", "classes.csv"])
def test_a_damaged_backbone_in_a_package_is_told(small, project, tmp_path, name):
    folder, _ = packaged(small, project, tmp_path)
    (folder / "backbones" / "small" / name).write_bytes(b"damaged")
    with pytest.raises(EarshotError, match="small"):
        ours(folder, sounds())
