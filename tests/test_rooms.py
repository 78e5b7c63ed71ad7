"""The rooms of the package: their order holds, and a contract of import-linter notices where it doesn't."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
from copy import deepcopy
from itertools import pairwise
from pathlib import Path

import grimp
import pytest
from importlinter import api
from importlinter.contracts.layers import LayersContract

from conftest import BIN, PROJECT

PACKAGE = PROJECT / "src" / "earshot"
MOST_FLAT_FILES = 8
OPTIONS = api.read_configuration(str(PROJECT / "pyproject.toml"))
(CONTRACT,) = OPTIONS["contracts_options"]
LEVELS = [[room.strip() for room in level.replace(":", "|").split("|")] for level in CONTRACT["layers"]]
# every room of a level with one of the level above it, and with its neighbour
UPWARDS = [(low, high[0]) for high, level in pairwise(LEVELS) for low in level]
SIDEWAYS = [pair for level in LEVELS[:-1] for one, other in pairwise(level) for pair in ((one, other), (other, one))]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("earshot", cache_dir=None)


def holds(graph: grimp.ImportGraph) -> bool:
    """Check the contract of pyproject.toml on a graph of imports."""
    return LayersContract(CONTRACT["name"], OPTIONS["session_options"], CONTRACT).check(graph, verbose=False).kept


def some_module(graph: grimp.ImportGraph, room: str) -> str:
    """Return a module in a room, or the flat file itself."""
    return min(graph.find_descendants(f"earshot.{room}"), default=f"earshot.{room}")


def test_rooms_import_from_below_alone(graph):
    assert holds(deepcopy(graph))


@pytest.mark.parametrize(("room", "wrong"), UPWARDS + SIDEWAYS)
def test_a_wrong_import_breaks_the_contract(graph, room, wrong):
    planted = deepcopy(graph)
    planted.add_import(importer=some_module(graph, room), imported=some_module(graph, wrong))
    assert not holds(planted)


def test_a_room_without_a_place_breaks_the_contract(graph):
    more = deepcopy(graph)
    more.add_module("earshot.attic")
    assert not holds(more)


@pytest.mark.process
def test_make_lint_names_a_wrong_import_also_within_a_function(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "src" / "earshot", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / "src" / "earshot" / "files.py").open("a") as file:
        file.write("\n\ndef planted():\n    from earshot.metrics import intervals\n\n    return intervals\n")
    lint = subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 1
    assert "earshot.files -> earshot.metrics.intervals" in lint.stdout


def test_few_files_stand_outside_of_the_rooms():
    flat = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert len(flat) <= MOST_FLAT_FILES
    assert flat == set(LEVELS[-1])


@pytest.mark.parametrize("room", sorted(path.parent for path in PACKAGE.glob("*/__init__.py")), ids=lambda p: p.name)
def test_a_room_says_in_a_line_what_it_is_for(room: Path):
    first, *rest = ast.get_docstring(ast.parse((room / "__init__.py").read_text())).splitlines()
    assert first.endswith(".")
    assert not rest or not rest[0], "the first line is a sentence of its own"
