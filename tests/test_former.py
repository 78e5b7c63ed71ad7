"""Folders of trained models as earshot 0.1 wrote them are still read, and predict what they did."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from earshot.detection.detector import Detector
from earshot.errors import EarshotError
from earshot.trained import model_folder, predict

CNN = {"name": "cnn_tuned", "network": "cnn", "filters": [3, 4], "kernels": [5, 3], "dropout": 0.3, "dense": 6}
LSTM = {"name": "lstm", "network": "lstm", "units": [5, 4], "dropout": 0.3, "dense": 6, "samples_per_step": 2}
LOG_MEL = {"input": "log_mel", "sample_rate": 4000, "n_mels": 8, "n_fft": 256, "hop_length": 80}
WAVEFORM = {"input": "waveform", "sample_rate": 4000}


def old_folder(place, model: dict, source: dict, shape: tuple[int, int], weights: dict[str, tuple[int, ...]]):
    """Write a folder as it was written before, with weights of given names and shapes; return these weights."""
    torch.manual_seed(0)
    made = {name: 0.5 * torch.randn(size) for name, size in weights.items()}
    save_file(made, place / "model.safetensors")
    settings = {"dataset": "horns", "task": "sirens", "classes": ["horn", "other"], "digest": "0", "input": source}
    settings |= {"model": {**model, "training": {"max_epochs": 1}}, "wiring": model["wiring"], "protocol": "grouped"}
    settings |= {"seed": 0, "fold": 0, "window_shape": shape, "seconds": 2.0, "hop": 1.0}
    (place / "config.json").write_text(json.dumps(settings))
    return made


@pytest.mark.parametrize(("before", "now"), [("published", "as_coded"), ("stacked", "as_described")])
def test_a_cnn(tmp_path, before, now):
    stacked = before == "stacked"
    names = {"standardiser.mean": (8,), "standardiser.deviation": (8,)}
    if stacked:
        names |= {"model.convolutions.0.weight": (3, 8, 5), "model.convolutions.0.bias": (3,)}
    names |= {"model.last.convolution.weight": (4, 3 if stacked else 8, 3), "model.last.convolution.bias": (4,)}
    names |= {"model.dense.weight": (6, 4), "model.dense.bias": (6,)}
    names |= {"model.output.weight": (1, 6), "model.output.bias": (1,)}
    w = old_folder(tmp_path, CNN | {"wiring": before}, LOG_MEL, (97, 8), names)
    x = torch.randn(3, 97, 8)
    y = ((x - w["standardiser.mean"]) / w["standardiser.deviation"]).transpose(1, 2)
    for name in ["convolutions.0"] * stacked + ["last.convolution"]:
        weight, bias = w[f"model.{name}.weight"], w[f"model.{name}.bias"]
        y = functional.max_pool1d(torch.relu(functional.conv1d(y, weight, bias, padding=weight.shape[-1] // 2)), 2)
    y = torch.relu(functional.linear(y.amax(dim=-1), w["model.dense.weight"], w["model.dense.bias"]))
    horns = 1 - torch.sigmoid(functional.linear(y, w["model.output.weight"], w["model.output.bias"]))

    settings, weights = model_folder.read(tmp_path)
    assert settings["model"]["_target_"] == "earshot.models.cnn.CNN" and "network" not in settings["model"]
    assert settings["wiring"] == settings["model"]["wiring"] == now
    assert settings["input"] == LOG_MEL | {"_target_": "earshot.inputs.log_mel.LogMel"}
    found = predict.of_batch(model_folder.restore(settings, weights), x)
    assert torch.allclose(torch.from_numpy(found[:, :1]), horns, atol=1e-6)
    assert Detector.load(tmp_path).sample_rate == 4000


def test_an_lstm(tmp_path):
    names = {"model.dense.weight": (6, 4), "model.dense.bias": (6,)}
    names |= {"model.output.weight": (1, 6), "model.output.bias": (1,)}
    names |= {"model.recurrent.0.weight_ih_l0": (16, 2), "model.recurrent.0.weight_hh_l0": (16, 4)}
    names |= {"model.recurrent.0.bias_ih_l0": (16,), "model.recurrent.0.bias_hh_l0": (16,)}
    w = old_folder(tmp_path, LSTM | {"wiring": "published"}, WAVEFORM, (80, 1), names)
    x = torch.randn(3, 80, 1)
    layer = torch.nn.LSTM(2, 4, batch_first=True)
    layer.load_state_dict({name.rpartition(".")[2]: value for name, value in w.items() if "recurrent" in name})
    with torch.no_grad():
        y = layer(x.reshape(3, 40, 2))[0][:, -1]
    y = torch.relu(functional.linear(y, w["model.dense.weight"], w["model.dense.bias"]))
    horns = 1 - torch.sigmoid(functional.linear(y, w["model.output.weight"], w["model.output.bias"]))
    found = predict.of_batch(model_folder.restore(*model_folder.read(tmp_path)), x)
    assert torch.allclose(torch.from_numpy(found[:, :1]), horns, atol=1e-6)


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "earshot.processes.pool", "earshot.inputs.LogMel"])
@pytest.mark.parametrize("part", ["model", "input"])
def test_a_folder_names_no_other_code(tmp_path, part, target):
    names = {"model.output.weight": (1, 6)}
    old_folder(tmp_path, CNN | {"wiring": "published"}, LOG_MEL, (97, 8), names)
    settings, _ = model_folder.read(tmp_path)
    if part == "input" and target == "earshot.inputs.LogMel":
        target = "earshot.models.CNN"
    settings[part]["_target_"] = target
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(EarshotError, match=f"config.json.*: _target_ is {target}, and must name a class below earshot"):
        Detector.load(tmp_path)
