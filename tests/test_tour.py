"""The tour, docs/tour.ipynb: it runs anywhere and leaves nothing behind, and its kept outputs can be shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from conftest import PROJECT

pytestmark = [pytest.mark.process, pytest.mark.long]

TOUR = PROJECT / "docs" / "tour.ipynb"
MOST_BYTES = 1_000_000
SOUND = re.compile(r'data:[^"]*')  # any letters may stand in it


@pytest.fixture(scope="module")
def kept() -> NotebookNode:
    return nbformat.read(TOUR, as_version=nbformat.NO_CONVERT)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> NotebookNode:
    """Return the notebook, executed with an empty current folder and a place of its own for temporary ones."""
    current, temporary = (tmp_path_factory.mktemp(name) for name in ("current", "temporary"))
    result = tmp_path_factory.mktemp("result") / "tour.ipynb"
    command = [sys.executable, "-m", "tools.tour", "--to", result, "--folder", current]
    subprocess.run(command, cwd=PROJECT, env=os.environ | {"TMPDIR": str(temporary)}, check=True, timeout=600)
    assert not [*current.iterdir(), *temporary.glob("earshot-*")]  # libraries leave there what they like
    return nbformat.read(result, as_version=nbformat.NO_CONVERT)


def outputs(tour: NotebookNode) -> dict[str, list[NotebookNode]]:
    return {cell.id: cell.outputs for cell in tour.cells if cell.cell_type == "code"}


def kinds(tour: NotebookNode) -> dict[str, list[list[str]]]:
    """Return of each output of each cell what it is: the stream's name, or the types of what is shown."""
    return {
        cell: [[one.name] if one.output_type == "stream" else sorted(one.data) for one in shown]
        for cell, shown in outputs(tour).items()
    }


def text(output: NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text
    return "\n".join(SOUND.sub("", content) for kind, content in output.data.items() if kind.startswith("text/"))


def test_every_cell_runs_and_none_writes_to_standard_error(fresh):
    assert not [cell for cell, shown in kinds(fresh).items() if ["stderr"] in shown]


def test_the_kept_outputs_are_of_the_kinds_that_the_code_gives(kept, fresh):
    assert kinds(kept) == kinds(fresh)
    assert [cell for cell, shown in kinds(kept).items() if not shown] == ["imports"]


@pytest.mark.parametrize("which", ["kept", "fresh"])
def test_no_output_names_a_place_on_this_machine(which, request):
    shown = outputs(request.getfixturevalue(which)).values()
    said = "\n".join(text(output) for of_cell in shown for output in of_cell)
    places = [PROJECT, Path.home(), Path(tempfile.gettempdir()), Path(sys.prefix), "/home", "/tmp", "/Users"]
    assert not [place for place in places if f"{place}/" in said]
    assert not re.search(r"\b0x[0-9a-f]{6}", said), "in memory"


def test_the_tour_can_be_read_on_the_web(kept):
    nbformat.validate(kept)
    assert TOUR.stat().st_size < MOST_BYTES
    assert not any("execution" in cell.metadata for cell in kept.cells), "tells when it ran"
