"""The champion behind `mlflow models serve`: recordings in by HTTP, what `earshot predict` says of them out."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import psutil
import pytest
import requests
from click.testing import CliRunner

from conftest import new_store, serving, tone, write_audio
from earshot.batches.prepare import shared as prepared_once
from earshot.cli import main
from earshot.deploy import champion
from earshot.settings import compose
from earshot.training import runs
from tiny import RATE

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def server(shared, tmp_path_factory):
    """Register a champion, serve it from a folder that has nothing of the project; yield its address."""
    place = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_store(place / "mlflow.db"))
        for fold in range(3):
            quick = ["model.training.max_epochs=2", "mlflow.artifacts=false", f"fold={fold}"]
            cfg = compose(["experiment=sirens-log_mel-cnn", *quick])
            runs.once(cfg, prepared_once(cfg))
        champion.select_champion("horns")
        local = ["-m", "models:/horns@champion", "--env-manager", "local", "--workers", "1"]
        where = {"cwd": place, "env": os.environ | {"EARSHOT_ROOT": str(place)}}
        with serving("mlflow", "models", "serve", *local, **where) as served:
            yield served


def ask(server, *rows: dict, **more) -> requests.Response:
    return requests.post(f"{server[0]}/invocations", json={"dataframe_records": rows, **more}, timeout=300)


@pytest.fixture
def street(tmp_path):
    return write_audio(tmp_path / "a.flac", tone(900, 6, 22050), 22050)


def test_a_file_as_base64_is_answered_as_by_predict(server, street, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place_of(server) / 'mlflow.db'}")
    said = json.loads(CliRunner().invoke(main.main, ["predict", "--json", str(street)]).stdout)
    (found,) = ask(server, {"audio": encoded(street)}).json()["predictions"]
    assert found["label"] == said["label"] and found["windows"] == 5 and found["seconds"] == 6
    assert found["scores"] == pytest.approx(said["scores"], abs=1e-5)
    assert [event["start"] for event in found["events"]] == [event["start"] for event in said["events"]]


def place_of(server) -> Path:
    return Path(psutil.Process(server[1].pid).cwd())


def encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_samples_at_any_rate_are_answered_row_by_row(server, street):
    rows = [{"samples": tone(900, 3, rate).tolist(), "sample_rate": rate} for rate in (RATE, 8000)]
    found = ask(server, *rows).json()["predictions"]
    assert [one["windows"] for one in found] == [2, 2]
    assert ask(server, rows[1]).json()["predictions"][0] == found[1]


def test_what_an_event_is_can_be_asked_for(server):
    row = {"samples": tone(900, 4, RATE).tolist(), "sample_rate": RATE}
    everything = ask(server, row, params={"threshold": 0.0, "release": 0.0}).json()["predictions"][0]["events"]
    assert [(event["start"], event["end"]) for event in everything] == [(0, 4), (0, 4)]
    assert not ask(server, row, params={"threshold": 1.0, "release": 1.0}).json()["predictions"][0]["events"]


NOISE = [0.1] * 9000


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([{"audio": "no base64!"}], "row 0: `audio` is not base64"),
        ([{"audio": base64.b64encode(b"no sound").decode()}], "row 0: does not decode"),
        ([{"audio": ""}], "row 0: is empty"),
        ([{"samples": NOISE, "sample_rate": RATE}, {"samples": [0.1], "sample_rate": RATE}], "row 1: lasts 0.00025 s"),
        ([{"samples": NOISE}], "row 0: give either `audio`"),
        ([{"samples": NOISE, "sample_rate": 0}], "row 0: give either `audio`"),
        ([{"samples": NOISE, "sample_rate": RATE, "audio": "aaaa"}], "row 0: give either `audio`"),
        ([{"samples": "loud", "sample_rate": RATE}], "samples"),
        ([{"sound": NOISE}], "row 0: give either `audio`"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(server, rows, why):
    done = ask(server, *rows)
    assert done.status_code == 400 and why in done.json()["message"] and "Traceback" not in done.text


def test_it_listens_on_loopback_and_nothing_is_pickled(server):
    family = [psutil.Process(server[1].pid), *psutil.Process(server[1].pid).children(recursive=True)]
    assert {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert not list(place_of(server).rglob("*.pkl"))
