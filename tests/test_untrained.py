"""Before anything is trained: `earshot predict` and `earshot serve` with a backbone's own classes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import requests
import soundfile
from click.testing import CliRunner

from conftest import serving, write_audio
from earshot import backbones
from earshot.cli import main
from earshot.detection import untrained
from earshot.detection.detector import Window
from earshot.detection.formats import in_words
from earshot.detection.rule import Rule
from earshot.errors import EarshotError
from earshot.web import listening
from test_backbones import CLASSES, RATE, sound, write_backbone

NAMES = ["Speech", "Siren", "Police car (siren)", "Fire engine, fire truck (siren)", "Car", "Hot dog", "Carnival"]


@pytest.fixture
def backbone(project, monkeypatch) -> Path:
    """Return the mirror of a project whose default backbone is a small network."""
    mirror = write_backbone(project, untrained.DEFAULT)
    monkeypatch.setenv("EARSHOT_MIRROR", str(mirror))
    monkeypatch.chdir(project.root)
    return mirror


@pytest.fixture
def street(tmp_path) -> Path:
    return write_audio(tmp_path / "street.wav", sound(5, RATE), RATE)


def predict(*arguments, code: int = 0):
    done = CliRunner().invoke(main.main, ["predict", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def test_predict_works_before_anything_is_trained(backbone, street):
    done = predict("--json", street)
    found = json.loads(done.stdout)
    windows = np.lib.stride_tricks.sliding_window_view(soundfile.read(street, dtype="float32")[0], 2 * RATE)[::RATE]
    expected = backbones.load(untrained.DEFAULT).at_level(np.ascontiguousarray(windows), untrained.LEVEL)["scores"]
    assert found["windows"] == 4 and list(found["scores"]) == CLASSES
    assert list(found["scores"].values()) == pytest.approx(expected.mean(axis=0), abs=1e-4)
    first, licence, choice = [line for line in done.stderr.splitlines() if "backbone mn04_as:" not in line][-3:]
    assert first == "mn04_as, untrained on your data: A small network" and licence == "  licence: none"
    assert "--labels siren,dog" in choice
    assert "backbone mn04_as: mn04_as.pt, from" in done.stderr and "mlflow" not in {
        path.name for path in Path("data").iterdir()
    }


def test_classes_are_chosen_by_name_and_their_events_begin_at_low_scores(backbone, street):
    done = predict("--json", "--labels", "speech,=Siren", "--labels", CLASSES[2], street)
    assert list(json.loads(done.stdout)["scores"]) == ["speech", "Siren", CLASSES[2]]
    one = json.loads(predict("--json", "--labels", "siren", street).stdout)
    assert one["scores"]["siren"] == pytest.approx(json.loads(done.stdout)["scores"]["Siren"])
    assert "siren: Siren" in predict("--labels", "siren", street).stderr
    all_of_it = json.loads(predict("--json", "--labels", "siren", "--threshold", 0, "--release", 0, street).stdout)
    assert [(event["start"], event["end"]) for event in all_of_it["events"]] == [(0, 5)]
    detector = untrained.load(untrained.DEFAULT, ["siren"])
    assert detector.rules() == {"siren": untrained.CHOSEN} and untrained.CHOSEN.threshold == 0.05
    assert detector.rules(threshold=0.9)["siren"] == Rule(0.9, untrained.CHOSEN.release)
    assert set(untrained.load(untrained.DEFAULT).rules().values()) == {untrained.ANY}


@pytest.mark.parametrize("form", ["table", "csv", "windows", "audacity", "raven", "dcase", "audioset"])
def test_every_format_has_the_backbones_classes(backbone, street, form):
    done = predict("--format", form, "--threshold", 0, "--release", 0, street)
    assert all(label in done.stdout for label in CLASSES)


def test_a_stream_is_followed_and_a_short_sound_is_a_window(backbone, tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe")
    pcm = (sound(4, 16000) * 2**15).astype("<i2").tobytes()
    writing = threading.Thread(target=pipe.write_bytes, args=[pcm])
    writing.start()
    lines = predict("--follow", "--json", "--labels", "siren", pipe).stdout.splitlines()
    writing.join()
    stretches = [json.loads(line)["stretch"] for line in lines if "stretch" in line]
    assert [each["start"] for each in stretches] == [0, 1, 2, 3] and list(stretches[0]["scores"]) == ["siren"]
    short = write_audio(tmp_path / "short.wav", sound(0.3, RATE), RATE)
    assert json.loads(predict("--json", short).stdout)["windows"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--labels", "sirene"], 1, "mn04_as has no class 'sirene': did you mean Siren?"),
        (["--labels", "xyz"], 1, "class_labels.csv lists its 3"),
        (["--backbone", "mn04"], 1, "no backbone is called 'mn04'"),
        (["--labels", "siren", "--model", "."], 2, "--backbone and --labels are for a network as it is"),
    ],
)
def test_what_is_wrong_is_told(backbone, street, arguments, code, told):
    done = predict(*arguments, street, code=code)
    assert told.replace("class_labels", "classes") in done.stderr and "Traceback" not in done.output


def test_without_network_or_card_a_line_says_what_to_do(backbone, street, project):
    for path in (backbone / "backbones").iterdir():
        path.unlink()
    told = predict(street, code=1).stderr
    assert "error: backbone 'mn04_as' could not be obtained" in told and "EARSHOT_MIRROR" in told
    for path in (project.root / "conf" / "backbones").iterdir():
        path.unlink()
    last = predict(street, code=1).stderr.splitlines()[-1]
    assert "mn04_as.yaml is missing; run earshot in a project's folder" in last


def test_a_name_stands_for_all_classes_that_have_it_as_a_word():
    named = SimpleNamespace(classes=NAMES, card=SimpleNamespace(name="small"))

    def found(*labels):
        return {
            label: [NAMES[number] for number in numbers] for label, numbers in untrained.named(labels, named).items()
        }

    assert found("siren") == {"siren": ["Siren", "Police car (siren)", "Fire engine, fire truck (siren)"]}
    assert found("=siren,car") == {"siren": ["Siren"], "car": ["Police car (siren)", "Car"]}
    assert found("fire engine, fire truck (siren)") == {"fire engine, fire truck (siren)": [NAMES[3]]}
    assert found('"Fire engine, fire truck (siren)", speech') == {NAMES[3]: [NAMES[3]], "speech": ["Speech"]}
    assert found() == {}
    with pytest.raises(EarshotError, match="small has no class 'carnivals': did you mean Carnival"):
        found("carnivals")


def test_of_many_classes_people_see_the_highest():
    assert in_words([("a", 0.1), ("b", 0.2)]) == "a 0.100, b 0.200"
    assert in_words((str(n), n / 20) for n in range(12)) == "11 0.550, 10 0.500, 9 0.450, 8 0.400, 7 0.350"


@pytest.mark.process
def test_serve_offers_it_and_fetches_it_when_it_is_first_asked_for(backbone, street, project):
    kept = project.data("cache", "backbones", untrained.DEFAULT, f"{untrained.DEFAULT}.pt")
    where = {"cwd": project.root, "env": os.environ}
    with serving("earshot.cli", "serve", **where) as (address, _):
        (name,) = requests.get(f"{address}/models", timeout=300).json()["models"]
        assert name == "mn04_as, untrained on your data" and not kept.exists()
        asked = {"model": name, "threshold": 0, "release": 0}
        done = requests.post(f"{address}/listen", params=asked, data=street.read_bytes(), timeout=300)
        (heard,) = done.json()["heard"]
    assert kept.exists() and list(heard["timeline"]["scores"]) == CLASSES
    assert heard["scores"] == pytest.approx(json.loads(predict("--json", street).stdout)["scores"], abs=1e-4)
    assert [(event["start"], event["end"]) for event in heard["events"]] == [(0, 5)] * len(CLASSES)


def test_of_many_classes_a_page_gets_the_highest():
    scores = np.zeros((3, 30), np.float32)
    scores[1, 7], scores[2, 20], scores[0, 3] = 0.9, 0.8, 0.3
    windows = [Window(number, 2.0, row) for number, row in enumerate(scores)]
    found = listening._highest([str(number) for number in range(30)], windows)
    assert found[:3] == ["7", "20", "3"] and len(found) == listening.MOST_CLASSES
