"""docs/architecture.md: its pictures show the stages and the rooms as they are."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from conftest import PROJECT

IMAGES = PROJECT / "docs" / "images"


def heights(name: str) -> dict[str, float]:
    """Return how far down each box of a picture stands, by its bold name."""
    found = re.findall(r'<text class="name" x="[\d.]+" y="([\d.]+)"[^>]*>([^<]+)<', (IMAGES / name).read_text("utf-8"))
    return {box: float(y) for y, box in found}


@pytest.mark.process
def test_the_pictures_are_those_that_make_docs_draws(tmp_path):
    subprocess.run([sys.executable, "-m", "tools.architecture", tmp_path], cwd=PROJECT, check=True, timeout=300)
    for name in ("flow.svg", "rooms.svg"):
        drawn, committed = ((folder / name).read_text("utf-8") for folder in (tmp_path, IMAGES))
        assert drawn == committed, f"docs/images/{name} is out of date: run `make docs`"


def test_every_stage_stands_below_those_whose_results_it_reads():
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    at = heights("flow.svg")
    assert set(at) == set(stages) - {"code"}
    assert at["download"] < at["manifest"] < at["split"] < at["train"] < at["evaluate"] < at["compare"]
    assert at["features"] < at["train"] and at["split"] < at["audit"]


def test_every_room_stands_above_those_that_it_imports():
    rooms = {path.parent.name for path in (PROJECT / "src" / "earshot").glob("*/__init__.py")}
    at = heights("rooms.svg")
    assert set(at) == rooms | {"flat files"}
    assert at["cli"] < at["stages"] < at["training"] < at["splits"] < at["datasets"] < at["audio"] < at["flat files"]


@pytest.mark.parametrize("name", ["flow.svg", "rooms.svg"])
def test_no_box_reaches_beyond_its_page(name):
    drawn = (IMAGES / name).read_text("utf-8")
    [(width, height)] = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)
    boxes = re.findall(r'<rect class="box" x="(-?[\d.]+)" y="(-?[\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawn)
    assert len(boxes) > 10 and len(boxes) == drawn.count('class="box"')
    for x, y, w, h in (map(float, box) for box in boxes):
        assert x >= 0 and y >= 0 and x + w <= float(width) and y + h <= float(height)
