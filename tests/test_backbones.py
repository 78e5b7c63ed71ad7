"""Backbones: what a card says is fetched once, verified, computed as its publisher does, and never unpickled unseen."""

from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from conftest import PROJECT, noise, tone
from earshot import backbones, inputs
from earshot.backbones import front, graph, mobilenet
from earshot.backbones.card import Graph
from earshot.efficientat.level import gains
from earshot.efficientat.mel import MelFrontEnd, mel_filters
from earshot.efficientat.mobilenet import MobileNet, channels
from earshot.errors import EarshotError
from earshot.inputs.embedding import Embedding

RATE, CLASSES = 32000, ["Speech", "Siren", "Music, of all kinds"]


def sound(seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Return noise, mono, shape (samples,)."""
    return noise(seconds, sample_rate, seed).reshape(-1).astype(np.float32)


def publishers(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights under the names that EfficientAT gives them."""
    renamed = {}
    for name, value in weights.items():
        name = re.sub(r"(fc\d)", r"conc_se_layers.0.\1", name)
        name = re.sub(r"^classifier\.(\d)", lambda found: f"classifier.{int(found[1]) + 2}", name)
        renamed[name] = value
    return renamed


def small_network(seed: int = 0) -> MobileNet:
    """Return a network whose batch norms have seen tones and noise, so that its numbers tell these apart."""
    torch.manual_seed(seed)
    net = MobileNet(0.1, len(CLASSES))
    sounds = [tone(frequency, 0.5, RATE, frequency) for frequency in (200, 400, 900, 2000)] + [sound(0.5, RATE)]
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        net.train()(MelFrontEnd()(torch.from_numpy(np.stack(sounds))))
    return net.eval()


def write_backbone(project, name: str = "small", **changes) -> Path:
    """Write a card and, into a mirror, its files; return the mirror. What this process has loaded is dropped."""
    backbones.backbone._load.cache_clear()
    mirror = project.root / "mirror"
    (mirror / "backbones").mkdir(parents=True, exist_ok=True)
    torch.save(publishers(small_network().state_dict()), mirror / "backbones" / f"{name}.pt")
    (mirror / "backbones" / "classes.csv").write_text(
        "index,display_name\n" + "".join(f'{number},"{label}"\n' for number, label in enumerate(CLASSES))
    )
    files = [
        {"path": path, "sha256": hashlib.sha256((mirror / "backbones" / path).read_bytes()).hexdigest()}
        for path in (f"{name}.pt", "classes.csv")
    ]
    card = {
        "title": "A small network",
        "licence": "none",
        "citation": "none",
        "trained_on": "nothing",
        "sample_rate": RATE,
        "network": {"kind": "mobilenet", "width": 0.1},
        "files": files,
        "classes": {"file": "classes.csv", "column": "display_name"},
    } | changes
    path = project.root / "conf" / "backbones" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(card))
    return mirror


@pytest.fixture
def small(project, monkeypatch) -> Path:
    """Return the mirror of a project that has the backbone `small`."""
    mirror = write_backbone(project)
    monkeypatch.setenv("EARSHOT_MIRROR", str(mirror))
    return mirror


@pytest.mark.real
def test_values_are_those_of_the_original(mirror, project):
    golden = np.load(mirror / "backbones" / "mn04_golden.npz")
    card = project.root / "conf" / "backbones" / "mn04_as.yaml"
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text((PROJECT / "conf" / "backbones" / "mn04_as.yaml").read_text())
    found = backbones.load("mn04_as").run(golden["samples"])
    log_mel = MelFrontEnd()(torch.from_numpy(golden["samples"]))
    assert np.abs(log_mel.numpy() - golden["log_mel"]).max() < 5e-5
    assert np.abs(found["embedding"] - golden["embedding"]).max() < 2e-5
    assert np.abs(found["scores"] - 1 / (1 + np.exp(-golden["logits"]))).max() < 2e-5


def test_front_end_has_the_formulas_that_its_docstring_names():
    samples = sound(0.5, RATE).astype(np.float64)
    emphasised = np.pad(samples[1:] - 0.97 * samples[:-1], 512, mode="reflect")
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 799), 112)
    frames = np.lib.stride_tricks.sliding_window_view(emphasised, 1024)[::320] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    expected = (np.log(power @ mel_filters().double().numpy() + 1e-5) + 4.5) / 5
    found = MelFrontEnd()(torch.from_numpy(samples[None].astype(np.float32)))[0].T.numpy()
    assert found.shape == expected.shape == (1 + (len(samples) - 1) // 320, 128)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize(("n", "hop", "m"), [(64000, 32000, 200_000), (16001, 3200, 40_000), (2049, 320, 9_999)])
def test_frames_that_windows_share_are_computed_once_and_are_the_same(n, hop, m):
    samples = torch.from_numpy(sound(m / RATE, RATE))
    expected = MelFrontEnd()(samples.unfold(0, n, hop))
    assert torch.allclose(front.MelFrontEnd().over(samples, n, hop), expected, atol=1e-5)
    assert torch.allclose(front.MelFrontEnd()(samples.unfold(0, n, hop)), expected, atol=1e-5)


@pytest.mark.parametrize("level", [None, -20.0])
@pytest.mark.parametrize(("n", "hop"), [(16000, 8000), (16000, 16000), (16000, 20000), (16000, 5000), (1600, 800)])
def test_windows_of_a_sound_give_what_each_gives(small, n, hop, level):
    fading = np.linspace(1, 0.03, round(1.6 * RATE), dtype=np.float32)
    backbone, samples = backbones.load("small"), sound(1.6, RATE) * fading
    windows = np.lib.stride_tricks.sliding_window_view(samples, n)[::hop].copy()
    found, expected = backbone.over(samples, n, hop, level), backbone.at_level(windows, level)
    for name, values in expected.items():
        assert found[name].shape == values.shape and np.allclose(found[name], values, rtol=1e-3, atol=1e-4)


def test_filters_are_triangles_that_meet_where_the_next_ones_begin():
    filters = mel_filters()
    mel = 1127 * np.log1p(np.arange(513) * RATE / 1024 / 700)
    inside = (mel > 1127 * np.log1p(15000 / 700) / 129) & (mel < 1127 * np.log1p(15000 / 700) * 128 / 129)
    assert torch.allclose(filters.sum(1)[torch.from_numpy(inside)], torch.ones(int(inside.sum())), atol=1e-5)
    assert filters.min() == 0 and (filters > 0).sum(1).max() == 2


@pytest.mark.parametrize(("width", "parameters"), [(0.4, 983_599), (1.0, 4_876_831)])
def test_network_has_the_published_number_of_parameters(width, parameters):
    assert sum(p.numel() for p in MobileNet(width, 527).parameters()) == parameters


def test_channels_are_multiples_of_8_and_never_a_tenth_too_few():
    for number in np.linspace(1, 500, 997):
        assert channels(number) % 8 == 0 and channels(number) >= 0.9 * number


def test_batch_norm_in_the_convolution_changes_nothing_but_rounding():
    net, x = small_network(), torch.randn(2, 128, 60)
    with torch.no_grad():
        expected = net(x)
        assert torch.allclose(mobilenet.in_place(mobilenet.fused(net))(x), expected, atol=1e-5)


def test_backbone_is_fetched_once_and_gives_the_networks_numbers(small, capsys):
    samples = np.stack([sound(1, RATE), sound(1, RATE, seed=1)])
    with torch.no_grad():
        expected = small_network()(MelFrontEnd()(torch.from_numpy(samples)))
    found = backbones.load("small")
    assert "backbone small: small.pt, from" in capsys.readouterr().out
    assert found.classes == CLASSES
    assert np.abs(found.run(samples)["scores"] - torch.sigmoid(expected).numpy()).max() < 1e-5
    assert found.run(samples)["embedding"].shape == (2, small_network().n_embedding)
    for path in (small / "backbones").iterdir():
        path.unlink()
    backbones.backbone._load.cache_clear()
    assert backbones.load("small").classes == CLASSES


def test_file_with_other_bytes_is_not_opened(small):
    (small / "backbones" / "small.pt").write_bytes(b"something else")
    with pytest.raises(EarshotError, match=r"(?s)backbone 'small' could not be obtained.*wrong bytes: SHA-256"):
        backbones.load("small")


def test_file_that_changed_after_it_was_kept_is_fetched_anew(small, project):
    backbones.load("small")
    kept = project.root / "data" / "cache" / "backbones" / "small" / "small.pt"
    before = kept.read_bytes()
    kept.write_bytes(b"damaged")
    weights = kept.with_suffix(".safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    backbones.backbone._load.cache_clear()
    backbones.load("small")
    assert kept.read_bytes() == before and weights.read_bytes() == whole


def test_without_a_checksum_nothing_is_opened_and_the_line_to_write_is_told(project, monkeypatch):
    mirror = write_backbone(project)
    content = yaml.safe_load((path := project.root / "conf" / "backbones" / "small.yaml").read_text())
    digest = content["files"][0].pop("sha256")
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("EARSHOT_MIRROR", str(mirror))
    with pytest.raises(EarshotError, match=f"small.yaml has no sha256 for small.pt.*{digest}: write that"):
        backbones.load("small")


class Harmful:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("harmed"),))


def test_pickle_that_runs_code_is_refused_even_with_the_right_checksum(project, monkeypatch, tmp_path):
    mirror = write_backbone(project)
    content = pickle.dumps(Harmful(), protocol=2)
    (mirror / "backbones" / "small.pt").write_bytes(content)
    path = project.root / "conf" / "backbones" / "small.yaml"
    card = yaml.safe_load(path.read_text())
    card["files"][0]["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(yaml.safe_dump(card))
    monkeypatch.setenv("EARSHOT_MIRROR", str(mirror))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EarshotError, match="holds no weights that can be read"):
        backbones.load("small")
    assert not Path("harmed").exists()


def test_weights_of_another_width_are_told(project, monkeypatch):
    monkeypatch.setenv("EARSHOT_MIRROR", str(write_backbone(project, network={"kind": "mobilenet", "width": 0.4})))
    with pytest.raises(EarshotError, match="holds no MobileNet of width 0.4"):
        backbones.load("small")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sample_rate": 0}, "small.yaml: sample_rate: Input should be greater than 0"),
        ({"network": {"kind": "onxx"}}, "small.yaml: network: .*'mobilenet', 'onnx', 'tflite'"),
        ({"author": "me"}, "small.yaml: author: Extra inputs are not permitted"),
        ({"files": [{"path": "../small.pt"}]}, "small.yaml: files.0.path"),
    ],
)
def test_card_with_a_fault_is_told_in_a_line(project, changes, told):
    write_backbone(project, **changes)
    with pytest.raises(EarshotError, match=told) as caught:
        backbones.load_card("small")
    assert "\n" not in str(caught.value)


def test_backbone_that_is_not_there_is_told_with_those_that_are(small):
    with pytest.raises(EarshotError, match="no backbone is called 'smal'.*did you mean small"):
        backbones.load("smal")


def test_every_card_of_the_project_can_be_read():
    for path in sorted((PROJECT / "conf" / "backbones").glob("*.yaml")):
        card = backbones.card.BackboneCard(name=path.stem, **yaml.safe_load(path.read_text()))
        assert card.files[0].urls and card.licence in ("MIT", "Apache-2.0")


def test_stretches_cover_a_window_and_a_short_one_is_followed_by_zeros():
    settings = Graph(kind="tflite", samples=4, hop=3, scores=0)
    assert graph.stretches(np.arange(10.0), settings).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
    assert graph.stretches(np.arange(2.0), settings).tolist() == [[0, 1, 0, 0]]


def test_onnx_file_of_the_user_is_a_backbone(project, monkeypatch):
    onnx = pytest.importorskip("onnx")
    made = onnx.helper.make_graph(
        [
            onnx.helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=1),
            onnx.helper.make_node("ReduceMax", ["x"], ["loudest"], keepdims=1),
        ],
        "levels",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 100])],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 1]) for name in ("mean", "loudest")],
    )
    content = onnx.helper.make_model(
        made, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 17)]
    ).SerializeToString()
    mirror = write_backbone(project)
    (mirror / "backbones" / "levels.onnx").write_bytes(content)
    (mirror / "backbones" / "names.txt").write_text("loud\n")
    write_backbone(
        project,
        network={"kind": "onnx", "samples": 100, "hop": 50, "embedding": 0, "scores": 1, "logits": True},
        files=[
            {"path": name, "sha256": hashlib.sha256((mirror / "backbones" / name).read_bytes()).hexdigest()}
            for name in ("levels.onnx", "names.txt")
        ],
        classes={"file": "names.txt"},
    )
    monkeypatch.setenv("EARSHOT_MIRROR", str(mirror))
    samples = np.stack([sound(0.02, 10_000), np.ones(200, np.float32)])
    found = backbones.load("small").run(samples)
    windows = [samples[:, first : first + 100] for first in (0, 50, 100)]
    assert np.allclose(found["embedding"], np.mean([w.mean(1, keepdims=True) for w in windows], axis=0), atol=1e-6)
    loudest = np.mean([w.max(1, keepdims=True) for w in windows], axis=0)
    assert np.allclose(found["scores"], 1 / (1 + np.exp(-loudest)), atol=1e-6)


@pytest.mark.real
def test_yamnet_hears_sound(mirror, project):
    pytest.importorskip("ai_edge_litert")
    card = project.root / "conf" / "backbones" / "yamnet.yaml"
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text((PROJECT / "conf" / "backbones" / "yamnet.yaml").read_text())
    yamnet = backbones.load("yamnet")
    scores = yamnet.run(np.stack([np.zeros(32000, np.float32), sound(2, 16000)]))["scores"]
    assert scores.shape == (2, 521) and (scores >= 0).all() and (scores <= 1).all()
    assert yamnet.classes[scores[0].argmax()] == "Silence"


def test_embedding_of_a_recording_is_that_of_its_windows(small, project):
    section = {"_target_": "earshot.inputs.embedding.Embedding", "backbone": "small"}
    params = project.params(features={"embedding": section}, windows={"default": {"length": 1.0, "hop": 0.5}})
    built = inputs.build("embedding", params, "sirens", clips=False)
    samples = sound(3, RATE)
    rows = np.concatenate(list(built.rows(np.split(samples, 7 * [0] + [1000, 40_000]))))
    windows = np.lib.stride_tricks.sliding_window_view(samples, RATE)[:: RATE // 2]
    assert rows.shape == (5, small_network().n_embedding) and built.n_rows(1.0) == 1 and built.first_row(1.5) == 3
    assert np.abs(rows - np.concatenate([built.extract(window) for window in windows])).max() < 1e-3
    assert inputs.restore(inputs.recipe("embedding", built)) == built


def test_at_a_level_a_faint_window_is_what_a_loud_one_is_and_silence_stays_silent(small):
    built = Embedding("small", backbones.load_card("small").digest, RATE, 0.5, None, level=-20.0)
    loud = sound(0.5, RATE)
    faint = loud * 10 ** (-30 / 20)
    assert np.abs(built.extract(faint) - built.extract(loud)).max() < 1e-3
    assert np.square(loud * gains(np.square(loud).mean(keepdims=True), -20.0)).mean() == pytest.approx(0.01, rel=1e-5)
    assert gains(np.zeros(1), -20.0) == pytest.approx([100.0]), "40 dB, however faint the window is"
    with pytest.raises(ValueError, match="level is 3"):
        Embedding("small", "", RATE, 0.5, None, level=3.0)


def test_embedding_of_another_network_than_a_models_is_told(small, project):
    section = {"_target_": "earshot.inputs.embedding.Embedding", "backbone": "small"}
    params = project.params(features={"embedding": section}, windows={"default": {"length": 1.0, "hop": 0.5}})
    recipe = inputs.recipe("embedding", inputs.build("embedding", params, "sirens", clips=False))
    with pytest.raises(EarshotError, match="small.yaml is of another network"):
        inputs.restore(recipe | {"sha256": "0" * 64}).extract(sound(1, RATE))


def test_tags_are_named_by_the_backbones_classes(small, project):
    section = {"_target_": "earshot.inputs.embedding.Tags", "backbone": "small"}
    params = project.params(features={"tags": section}, windows={"default": {"length": 1.0, "hop": 0.5}})
    built = inputs.build("tags", params, "sirens", clips=False)
    assert built.columns == CLASSES and built.extract(sound(1, RATE)).shape == (1, len(CLASSES))
