"""A model for a hub: its card says what it is and how good, and its script runs without earshot."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner

from conftest import tone, write_audio
from earshot.cli import main
from earshot.deploy.hub.write import card, write
from earshot.errors import EarshotError
from earshot.files import write_json
from earshot.report.scores import KEYS
from earshot.trained import model_folder
from test_onnx import WINDOW, model, ours
from tiny import RATE

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return model(tmp_path_factory.mktemp("trained"), "log_mel", "cnn")


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A folder of onnxruntime, numpy and what they need, to be the only packages that Python finds."""
    folder, waiting, seen = tmp_path_factory.mktemp("alone"), ["numpy", "onnxruntime"], set()
    while waiting:
        name = waiting.pop()
        found = importlib.metadata.distribution(name)
        seen.add(name)
        for path in {Path(str(file)).parts[0] for file in found.files if ".." not in str(file)}:
            if not (folder / path).exists():
                (folder / path).symlink_to(found.locate_file(path))
        needed = {re.match(r"[\w.-]+", text)[0] for text in found.requires or [] if "extra ==" not in text}
        waiting += needed - seen
    return folder


def run(folder: Path, alone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import runpy, sys; script, packages, *sys.argv[1:] = sys.argv[1:]; sys.path.append(packages); "
    code += "runpy.run_path(script, run_name='__main__')"
    command = [sys.executable, "-I", "-S", "-c", code, str(folder / "predict.py"), str(alone), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_gives_earshots_probabilities_with_numpy_and_onnxruntime_alone(trained, alone, tmp_path):
    write(trained, tmp_path / "hub")
    sound = np.concatenate([tone(1500, 1, RATE), tone(220, 1, RATE, seed=1)])
    pcm, _ = soundfile.read(write_audio(tmp_path / "street.wav", sound, RATE), dtype="float32")
    done = run(tmp_path / "hub", alone, str(tmp_path / "street.wav"))
    assert done.returncode == 0, done.stderr
    head, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert head == ["seconds", "class", "horn", "other"]
    length, hop = round(WINDOW["length"] * RATE), round(WINDOW["hop"] * RATE)
    windows = np.lib.stride_tricks.sliding_window_view(pcm, length)[::hop]
    given = np.array([[float(value) for value in line[2:]] for line in lines])
    assert np.abs(given - ours(trained, windows)).max() < 1e-4
    assert [float(line[0]) for line in lines] == pytest.approx(np.arange(len(windows)) * WINDOW["hop"])
    assert [line[1] for line in lines] == [head[2:][row.argmax()] for row in given]


def test_the_script_says_what_it_needs(trained, alone, tmp_path):
    write(trained, tmp_path / "hub")
    write_audio(tmp_path / "fast.wav", tone(400, 1, 2 * RATE), 2 * RATE)
    write_audio(tmp_path / "short.wav", tone(400, 0.1, RATE), RATE)
    for name, told in (
        ("fast.wav", f"needs 16 bit at {RATE} Hz"),
        ("short.wav", "has 0.1 s, and the model hears 0.4 s"),
    ):
        done = run(tmp_path / "hub", alone, str(tmp_path / name))
        assert done.returncode == 1 and told in done.stderr and "Traceback" not in done.stderr
    assert "usage" in run(tmp_path / "hub", alone).stderr


def test_the_folder_is_a_model_of_earshots_and_made_in_one_step(trained, tmp_path):
    done = CliRunner().invoke(main.main, ["export", "--model", str(trained), "--hub", str(tmp_path / "hub")])
    assert done.exit_code == 0, done.output
    names = {"README.md", "config.json", "model.onnx", "model.safetensors", "predict.py"}
    assert {path.name for path in (tmp_path / "hub").iterdir()} == names
    assert model_folder.read(tmp_path / "hub")[0] == model_folder.read(trained)[0]
    with pytest.raises(EarshotError, match="is there already"):
        write(trained, tmp_path / "hub")
    with pytest.raises(EarshotError):
        write(tmp_path / "nothing", tmp_path / "other")
    assert {path.name for path in tmp_path.iterdir()} == {"hub"}
    for wrong in ([], ["a.onnx", "--hub", "b"]):
        done = CliRunner().invoke(main.main, ["export", "--model", str(trained), *wrong])
        assert done.exit_code == 2 and "name a file, or a folder with --hub" in done.output


def front_matter(text: str) -> tuple[dict, str]:
    _, metadata, words = text.split("---\n", 2)
    return yaml.safe_load(metadata), words


SCORES = {
    f"{name}{part}": value
    for name in ("accuracy", "macro_f1")
    for part, value in (("", 0.5), ("_low", 0.4), ("_high", 0.6))
}


def test_the_card_tells_data_licence_scores_and_limits(project, trained):
    settings = model_folder.read(trained)[0] | {"wiring": "as_coded"}
    metadata, words = front_matter(card(settings))
    assert metadata["pipeline_tag"] == "audio-classification" and "model-index" not in metadata
    assert "`horns`, of which there is no card here" in words and "`earshot repro` makes one" in words

    about = {"title": "Horns of a town", "licence": "CC BY 4.0", "citation": "A. B."}
    project.card("horns", **about, source={"folder": "x"}, layout={"kind": "class_folders"})
    row = {"dataset": "horns", "input": "log_mel", "model": "cnn", "wiring": "as_coded", **SCORES}
    grouped = [{**row, "protocol": "grouped"}, {**row, "protocol": "grouped", "model": "lstm"}]
    elsewhere = [{**row, "accuracy": 0.25, "on": ["other_town"]}]
    write_json(
        project.data("report", "summary.json"),
        {key: [] for key in KEYS} | {"scores": grouped, "elsewhere": elsewhere},
    )
    write_json(project.data("manifest", "horns.json"), {"warnings": ["The classes were recorded at different rates."]})
    metadata, words = front_matter(card(settings))
    [index] = metadata["model-index"]
    assert [result["metrics"][0]["value"] for result in index["results"]] == [0.5, 0.25]
    assert "| grouped | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] |" in words and "| on other_town | 0.250" in words
    assert "Horns of a town" in words and "CC BY 4.0" in words
    assert "not tested on recordings from elsewhere" not in words and "has no operating point" in words
    assert "- The classes were recorded at different rates." in words
