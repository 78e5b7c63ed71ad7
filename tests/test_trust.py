"""What commands do that read what others may have made: no file is unpickled, no process started, no network asked.

Python's own audit tells, from before the first import on, see watched/sitecustomize.py. It tells of no code in C that
does without Python: that such code, in wheels of the requirements, is trusted stands in SECURITY.md.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from conftest import PROJECT, serving, tone, write_audio
from earshot.batches import prepare
from earshot.deploy import champion
from earshot.settings import compose
from earshot.training import runs
from tiny import RATE

pytestmark = pytest.mark.process

NUMBA = {"numba.core.caching", "numba.core.serialize"}  # its cache of compiled code, which lies with the packages' own
PIPES = {"multiprocessing.spawn", "multiprocessing.queues", "multiprocessing.connection"}  # from the parent, no files
MLFLOW = {  # as it is imported
    ("subprocess.Popen", "uname -p"),
    ("socket.bind", "::1 0"),  # whether there is IPv6
}
WATCHED = Path(__file__).parent / "watched"


@pytest.fixture(scope="module")
def trained(shared) -> Path:
    """Train the folds of an experiment, and make it the champion; return the folder of a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        model = shared.root / "conf" / "model" / "ann.yaml"
        model.write_text(model.read_text().replace("max_epochs: 100", "max_epochs: 2"))
        experiments = {"summarised": {"inputs": ["summary"], "models": ["ann"]}}
        shared.params(datasets=["horns"], protocols=["grouped"], seeds=[0], experiments=experiments)
        for fold in range(3):
            cfg = compose(["experiment=sirens-summary-ann", f"fold={fold}"])
            folder = runs.once(cfg, prepare.shared(cfg))
            made = shared.data("models", "horns", "summary-ann", f"grouped-as_coded-seed0-fold{fold}")
            shutil.copytree(folder, made)
        champion.select_champion("horns")
    return folder


@pytest.fixture
def watched(shared, tmp_path) -> dict[str, str]:
    """Return an environment that a command is watched in; MLflow does not see in it that it is tested."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    paths = os.pathsep.join(map(str, (WATCHED, PROJECT / "src")))
    return kept | {"PYTHONPATH": paths, "WATCHED": str(tmp_path / "told"), "EARSHOT_ROOT": str(shared.root)}


def told(watched: dict[str, str]) -> set[tuple[str, str]]:
    """Return what was told, event and what it is about; without what numba and pipes unpickle."""
    lines = map(json.loads, Path(watched["WATCHED"]).read_text().splitlines())
    return {
        (event, what) for event, module, what in lines if event != "pickle.find_class" or module not in NUMBA | PIPES
    }


def done(watched: dict[str, str], *command: str) -> set[tuple[str, str]]:
    """Run a command to its end; return what was told."""
    ended = subprocess.run([sys.executable, *command], env=watched, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return told(watched)


@pytest.fixture
def recording(tmp_path) -> Path:
    return write_audio(tmp_path / "a.wav", tone(900, 6, RATE), RATE)


def test_what_must_not_be_is_told(watched, tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Path("a")))
    code = "import os, pickle, socket, subprocess, sys\npickle.load(open(sys.argv[1], 'rb'))\n"
    code += "subprocess.run([sys.executable, '-c', 'import os; os.system(\"true\")'])\n"
    code += "socket.socket().bind(('127.0.0.1', 0))"
    found = done(watched, "-c", code, str(tmp_path / "a.pkl"))
    assert {event for event, _ in found} == {"pickle.find_class", "subprocess.Popen", "os.system", "socket.bind"}


def test_predict(trained, watched, recording):
    assert done(watched, "-m", "earshot.cli", "predict", "--model", str(trained), str(recording)) == set()


def test_predict_of_the_champion_asks_mlflow_alone(trained, watched, recording):
    assert done(watched, "-m", "earshot.cli", "predict", str(recording)) <= MLFLOW


def test_export(trained, watched, tmp_path):
    command = ("export", "--model", str(trained), str(tmp_path / "a.onnx"))
    assert done(watched, "-m", "earshot.cli", *command) == set()


def test_serve_has_the_socket_that_it_listens_on(trained, watched, recording):
    with serving("earshot.cli", "serve", "--model", str(trained), env=watched) as (address, _):
        asked = {"model": str(trained)}
        requests.post(f"{address}/listen", params=asked, data=recording.read_bytes(), timeout=300).raise_for_status()
    assert told(watched) == {("socket.bind", address.removeprefix("http://").replace(":", " "))}


def test_evaluate_has_its_workers(trained, watched):
    """Python tells of each worker, which a server of multiprocessing forks, but not of that server's start."""
    found = done(watched, "-m", "earshot.stages", "evaluate", "horns", "--workers", "1")
    workers = {(event, what) for event, what in found if event == "os.fork" or "/pymp-" in what}
    assert {event for event, _ in workers} == {"os.fork", "socket.bind", "socket.connect"}
    assert found - workers <= MLFLOW
