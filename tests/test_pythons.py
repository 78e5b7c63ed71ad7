"""The other versions of Python: the README's lines by pip alone, and a project that goes all the way.

The whole suite runs on one version, that of `make install`; the others are tried by `make long`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import requests
from packaging.specifiers import SpecifierSet

from conftest import PROJECT, Project, clone, serving
from tiny import FEATURES, THREE, class_folders

PACKAGE = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
TAKEN = [f"3.{minor}" for minor in range(30) if SpecifierSet(PACKAGE["requires-python"]).contains(f"3.{minor}")]
OTHERS = [version for version in TAKEN if version != f"3.{sys.version_info.minor}"]


def interpreter(version: str) -> str | None:
    """Return the Python of a version that is on this machine, in the path or where pyenv keeps those it has."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates = [shutil.which(f"python{version}"), *sorted(kept.glob(f"{version}.*/bin/python"))]
    for path in filter(None, candidates):  # pyenv puts names into the path that only say that they are not chosen
        asked = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return str(path)
    return None


# the README's lines for a machine without make, up to the environment
README = (PROJECT / "README.md").read_text()
WITHOUT_MAKE = re.search(r"### Without make.*?```sh\n(.*?)earshot repro\n", README, re.S)[1]
HERE = [version for version in OTHERS if interpreter(version)]


def test_the_versions_that_the_package_names_are_those_it_takes():
    named = [line.rpartition(" ")[2] for line in PACKAGE["classifiers"] if "Python :: 3." in line]
    assert named == TAKEN


@pytest.mark.process
@pytest.mark.long  # pip alone takes minutes
@pytest.mark.parametrize("version", OTHERS)
def test_a_project_goes_all_the_way(version, tmp_path):
    if version not in HERE:
        pytest.skip(f"there is no Python {version} on this machine")
    (tmp_path / "clone").mkdir()
    clone(tmp_path / "clone")
    home = tmp_path / "clone" / ".venv"
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    install = ["bash", "-ec", WITHOUT_MAKE.replace("python3 ", f"{interpreter(version)} ")]
    done = subprocess.run(install, cwd=tmp_path / "clone", env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    python, mine = home / "bin" / "python", tmp_path / "mine"
    environment = clean | {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}", "EARSHOT_ROOT": str(mine)}
    environment |= {"DVC_NO_ANALYTICS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)

    def earshot(*arguments: str) -> str:
        command = [home / "bin" / "earshot", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stdout + done.stderr
        return done.stdout

    earshot("new", str(mine))
    project = Project.at(mine)
    params = project.params()
    project.params(
        datasets=["tunes"],
        features=params["features"] | {"summary": params["features"]["summary"] | FEATURES["summary"]},
        experiments={"summarised": {"inputs": ["summary"], "models": ["ann"]}},
        split=params["split"] | {"folds": {"default": 3}},
    )
    ann = mine / "conf" / "model" / "ann.yaml"
    ann.write_text(ann.read_text().replace("max_epochs: 100", "max_epochs: 3"))
    project.card("tunes", task="genres", source={"folder": "recordings"}, layout={"kind": "class_folders"})
    class_folders(mine / "recordings", THREE, 15)

    assert version in earshot("doctor")
    assert "summary" in earshot("repro")
    earshot("champion", "tunes")
    earshot("train", "experiment=genres-summary-ann", "dataset=tunes", "seed=1")
    recording = next((mine / "recordings").rglob("*.wav"))
    assert str(recording) in earshot("predict", str(recording))
    where = {"python": python, "cwd": mine, "env": environment}
    with serving("earshot.cli", "serve", **where) as (address, _):
        assert requests.get(address, timeout=300).status_code == 200
    with serving("earshot.cli", "dashboard", may_log=True, **where) as (address, _):
        assert "MLflow" in requests.get(address, timeout=300).text
