"""The wiring: every number stands once, every key is read, every stage depends on the code it runs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from conftest import PROJECT
from imports import SOURCE, closure

PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
DVC = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
STAGES = {name: definition.get("do", definition) for name, definition in DVC["stages"].items()}
DATA_IN_PACKAGE = {".css", ".j2", ".yaml"}


def files_below(path: Path) -> set[Path]:
    found = path.rglob("*") if path.is_dir() else [path]
    return {file for file in found if file.suffix in {".py", *DATA_IN_PACKAGE} and file.read_text().strip()}


def code_of(stage: dict) -> set[Path]:
    paths = [PROJECT / dep for dep in stage["deps"] if dep.startswith("src/")]
    assert all(path.exists() for path in paths), paths
    return set().union(*(files_below(path) for path in paths))


@pytest.mark.parametrize("name", [name for name in STAGES if name != "download"])
def test_a_stage_depends_on_the_code_it_runs(name):
    module = re.search(r"python -m (\S+)", STAGES[name]["cmd"]).group(1)
    needed = closure(module)
    if name == "compare":
        needed |= {file for file in files_below(SOURCE / "earshot" / "report") if file.suffix in DATA_IN_PACKAGE}
    assert code_of(STAGES[name]) == needed


def test_what_makes_a_synthetic_dataset_is_a_dependency_of_its_download():
    made = closure("earshot.datasets.synthetic_genres") | closure("earshot.datasets.synthetic_sirens")
    processes = {PROJECT / "src" / "earshot" / name for name in ("parallel.py", "process.py")}  # change nothing in it
    assert made - processes <= code_of(STAGES["download"])


def numbers_in(value, path: str = "") -> dict[str, float]:
    """Return the dotted keys of all numbers in nested settings."""
    if isinstance(value, dict):
        return {k: n for key, item in value.items() for k, n in numbers_in(item, f"{path}.{key}".lstrip(".")).items()}
    return {path: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def test_no_key_with_a_number_stands_in_two_places():
    groups = [PARAMS] + [
        {folder.name: yaml.safe_load(file.read_text())}
        for folder in ((PROJECT / "conf" / name) for name in ("optimizer", "trainer"))
        for file in folder.glob("*.yaml")
    ]
    keys = [key for group in groups for key in numbers_in(group)]
    assert len(keys) == len(set(keys))
    for wiring in ("dvc.yaml", "conf/config.yaml"):
        found = {key: n for key, n in numbers_in(yaml.safe_load((PROJECT / wiring).read_text())).items() if n}
        assert not found, f"{wiring} only wires"


def test_files_with_numbers_hold_literals_alone():
    for path in [PROJECT / "params.yaml", *(PROJECT / "conf").rglob("*.yaml")]:
        if path.name != "config.yaml":
            assert "${" not in path.read_text(), f"one interpolation makes `dvc exp run -S {path}:key=value` fail"


def test_every_setting_is_read_by_the_code():
    code = "\n".join(path.read_text() for path in (SOURCE / "earshot").rglob("*.py"))
    names = {key for section in ("manifest", "split", "audio") for key in PARAMS[section]}
    names |= {key for settings in PARAMS["features"].values() for key in settings}
    for group in ("model", "trainer"):
        for path in (PROJECT / "conf" / group).glob("*.yaml"):
            settings = yaml.safe_load(path.read_text())
            names |= {key for key in settings if key != "training"} | set(settings.get("training", {}))
    unread = {name for name in names if not re.search(rf"\b{name}\b", code)}
    assert not unread


@pytest.mark.parametrize("path", sorted((PROJECT / "conf" / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_an_experiment_is_what_its_name_says(path):
    task, input_name, model = path.stem.split("-")
    content = yaml.safe_load(path.read_text())
    assert (content["task"], content["input"]) == (task, input_name)
    assert content["defaults"] == [{"override /model": model}]


def test_what_is_compared_can_be_trained_by_name():
    for task in ("genres", "sirens"):
        for crossed in PARAMS["experiments"].values():
            for name in (f"{task}-{i}-{m}" for i in crossed["inputs"] for m in crossed["models"]):
                assert (PROJECT / "conf" / "experiment" / f"{name}.yaml").exists()


def test_importing_has_no_effect(tmp_path):
    modules = sorted(f"earshot.{path.stem}" for path in (SOURCE / "earshot").glob("[a-z]*.py"))
    code = (
        "import importlib, logging, os, signal\n"
        "state = lambda: (logging.root.handlers[:], signal.getsignal(signal.SIGTERM), os.listdir('.'))\n"
        "before = state()\n"
        f"for module in {modules}:\n"
        "    importlib.import_module(module)\n"
        "    assert before == state(), module\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)


def test_pins_are_exact():
    lines = [line for line in (PROJECT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    names = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    required = project["dependencies"] + project["optional-dependencies"]["dev"]
    assert {re.match(r"[A-Za-z0-9-]+", line).group() for line in required} <= names
