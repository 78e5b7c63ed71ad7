"""docs/architecture.md: its pictures show the stages and the rooms as they are."""

from __future__ import annotations

import runpy

import pytest
import yaml

from conftest import PROJECT

IMAGES = PROJECT / "docs" / "images"
TOOL = runpy.run_path(str(PROJECT / "tools" / "architecture.py"))


@pytest.mark.parametrize("name, draw", [("flow", TOOL["flow"]), ("rooms", TOOL["rooms_picture"])])
def test_the_pictures_are_those_that_make_docs_draws(name, draw):
    assert (IMAGES / f"{name}.svg").read_text("utf-8") == draw()


def test_the_pictures_have_a_box_for_every_stage_and_room():
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    rooms = [path.parent.name for path in (PROJECT / "src" / "earshot").glob("*/__init__.py")]
    for name, shown in {"flow": stages, "rooms": rooms}.items():
        drawn = (IMAGES / f"{name}.svg").read_text("utf-8")
        assert len(rooms) > 10 and all(f">{one}</text>" in drawn for one in shown)


def test_a_stage_stands_below_those_whose_results_it_reads():
    rows, passing = TOOL["rows_of"](TOOL["handed_on"](TOOL["stages"]()))
    place = {node: number for number, row in enumerate(rows) for node in row}
    assert all(place[end] == place[start] + 1 for start, end in passing.edges)
    assert place["split"] < place["train"] < place["evaluate"] < place["compare"]
