"""The wiring: every number stands once, every key is read, every stage depends on the code it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

from conftest import PROJECT
from earshot import provenance, settings, stages
from earshot.stages import code

PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
DVC = yaml.safe_load((PROJECT / "dvc.yaml").read_text())
STAGES = {name: definition.get("do", definition) for name, definition in DVC["stages"].items()}


# flat files, and a room, that decide nothing of what a stage makes: where things are, how processes end, how errors are
# printed; and which settings are refused
SETTLE_NOTHING = {"errors.py", "processes.py", "progress.py", "project.py", "provenance.py", "terminal.py", "schema"}
PACKAGE = PROJECT / "src" / "earshot"


def rooms_of(name: str) -> set[str]:
    """Return the rooms, and the flat files that decide something, of all that a stage imports."""
    found = set()
    for path in provenance.closure(f"earshot.stages.{name}"):
        first, *_ = path.relative_to(PACKAGE).parts
        found |= {first} if first not in {"__init__.py", "stages", *SETTLE_NOTHING} else set()
    return found


def test_stages_are_the_files_of_stages():
    assert set(stages.names()) == set(STAGES) == {"code", *code.PARTS}
    for name, stage in STAGES.items():
        assert stage["cmd"].removesuffix(" ${item}") == f"python -m earshot.stages {name}"
        assert name == "code" or f"data/code/{name}.json" in stage["deps"]


@pytest.mark.parametrize("name", [name for name in code.PARTS if name != "download"])
def test_a_stage_depends_on_the_rooms_of_the_code_it_runs(name):
    assert set(code.parts(name)) == {*rooms_of(name), f"stages/{name}.py"}


@pytest.mark.parametrize("name", list(code.PARTS))
def test_a_stage_that_makes_inputs_or_models_depends_on_the_users_own(name):
    assert ("custom" in STAGES[name]["deps"]) == bool({"inputs", "models"} & rooms_of(name))


def test_what_makes_a_synthetic_dataset_is_a_dependency_of_its_download():
    made = provenance.closure("earshot.datasets.synthetic.genres", "earshot.datasets.synthetic.sirens")
    parts = [PACKAGE / part for part in code.parts("download")]
    decisive = {path for path in made if not {path.name, path.parent.name} & {"__init__.py", *SETTLE_NOTHING}}
    assert all(any(path.is_relative_to(part) for part in parts) for path in decisive)


def test_the_digest_of_code_is_of_every_file_and_its_name(tmp_path):
    room = tmp_path / "room"
    (room / "__pycache__").mkdir(parents=True)
    (room / "inner").mkdir()
    (room / "a.py").write_text("1")
    (room / "inner" / "page.j2").write_text("2")
    first = code.digest(room)
    (room / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert code.digest(room) == first
    (room / "inner" / "page.j2").write_text("3")
    second = code.digest(room)
    (room / "inner" / "page.j2").rename(room / "page.j2")
    assert len({first, second, code.digest(room)}) == 3


def numbers_in(value, path: str = "") -> dict[str, float]:
    """Return the dotted keys of all numbers in nested settings."""
    if isinstance(value, dict):
        return {k: n for key, item in value.items() for k, n in numbers_in(item, f"{path}.{key}".lstrip(".")).items()}
    return {path: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def test_no_key_with_a_number_stands_in_two_places():
    groups = [PARAMS] + [
        {folder.name: yaml.safe_load(file.read_text())}
        for folder in ((PROJECT / "conf" / name) for name in ("optimizer", "trainer", "training"))
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
    code = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    names = {key for section in ("manifest", "split", "audio") for key in PARAMS[section]}
    names |= {key for settings in PARAMS["features"].values() for key in settings}
    for group in ("model", "trainer", "training"):
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


def test_what_the_report_sets_against_each_other_is_compared():
    experiments = settings.experiments_of(PARAMS)
    names = {part: {getattr(experiment, part) for experiment in experiments} for part in ("input", "model")}
    for contrast in settings.compared(PARAMS)["contrasts"]:
        ((part, two),) = contrast.items()
        assert set(two) <= names[part]


@pytest.mark.process
def test_importing_has_no_effect(tmp_path):
    files = [path for path in PACKAGE.rglob("[a-z]*.py") if path.name != "pyfunc.py"]  # which MLflow runs
    modules = sorted("earshot." + ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in files)
    code = (
        "import importlib, logging, os, signal\n"
        "state = lambda: (logging.root.handlers[:], signal.getsignal(signal.SIGTERM), os.listdir('.'))\n"
        "before = state()\n"
        f"for module in {modules}:\n"
        "    importlib.import_module(module)\n"
        "    assert before == state(), module\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)


def test_pins_are_exact():
    text = (PROJECT / "requirements.txt").read_text()
    lines = [line for line in text.replace("\\\n", "").splitlines() if not line.startswith("#")]
    pin = r"([A-Za-z0-9._-]+)==[A-Za-z0-9.+!]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+"  # and no address of an index
    assert lines and all(re.fullmatch(pin, line) for line in lines)
    names = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    whole = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    project = whole["project"]
    required = project["dependencies"] + project["optional-dependencies"]["dev"] + whole["build-system"]["requires"]
    asked = [Requirement(line) for line in required]
    torch = re.search(r"^TORCH := torch==(\S+)$", (PROJECT / "Makefile").read_text(), re.M)[1]
    assert all(one.specifier.contains(torch) for one in asked if one.name == "torch")
    assert {one.name for one in asked} <= names | {"torch"}


@pytest.mark.process
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_pip_alone_reads_the_pins_and_finds_all_of_them_installed(tmp_path):
    make = ["make", "--dry-run", "install", f"VENV={tmp_path}"]
    with_uv, alone = (
        subprocess.run([*make, *more], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
        for more in ([], ["UV="])
    )
    assert "/uv pip install" in with_uv and "uv" not in alone.replace(str(tmp_path), "")
    install = next(line for line in alone.splitlines() if "requirements.txt" in line).rstrip("; \\")
    installed = [*install.replace(f"{tmp_path}/bin/pip", f"{sys.executable} -m pip").split(), "--no-index", "--dry-run"]
    subprocess.run(installed, cwd=PROJECT, check=True, timeout=300)
