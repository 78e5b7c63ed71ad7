"""The JSON schemas for editors: they say of a file what earshot says of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from conftest import PROJECT
from tools import schemas

SHIPPED = [PROJECT / "params.yaml"]
SHIPPED += [
    path for kind in ("cards", "backbones", "sweep") for path in sorted((PROJECT / "conf" / kind).glob("*.yaml"))
]


def faults(kind: str, content: object) -> list[str]:
    """Return what an editor would say of a file."""
    validator = jsonschema.Draft202012Validator(schemas.schema(kind))
    return [error.message for error in validator.iter_errors(content)]


@pytest.mark.parametrize("kind", schemas.KINDS)
def test_the_schemas_are_those_of_the_code(kind):
    written = json.loads((schemas.SCHEMAS / f"{kind}.json").read_text())
    assert written == schemas.schema(kind), "make docs"
    jsonschema.Draft202012Validator.check_schema(written)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_each_shipped_file_names_its_schema_and_fits_it(path):
    first, _, _ = path.read_text("utf-8").partition("\n")
    [named] = re.findall(r"^# yaml-language-server: \$schema=(\S+)$", first)
    found = (path.parent / named).resolve()
    assert found.parent == schemas.SCHEMAS
    assert not faults(found.stem, yaml.safe_load(path.read_text("utf-8")))


def test_an_editor_says_what_a_value_must_be():
    params = yaml.safe_load(SHIPPED[0].read_text("utf-8"))
    for section, key, wrong in (
        ("split", "test_share", 2),
        ("split", "tset_share", 0.2),
        ("audio", "sample_rate", "high"),
        ("swapped", "when", "sometimes"),
    ):
        assert faults("params", params | {section: params[section] | {key: wrong}}), key
    told = schemas.schema("params")["$defs"]["Split"]["properties"]["test_share"]["description"]
    assert told == "a share above 0 and below 1, such as 0.2"


@pytest.mark.parametrize(
    ("classes", "right"),
    [({"a": "x", "b": ["y", 1]}, True), ({"a": 1, "b": "*"}, True), ({"a": {}, "b": "*"}, False), ({"a": []}, False)],
)
def test_labels_of_a_card_may_be_one_or_several(classes, right):
    facts = {"title": "a", "task": "birds", "licence": "none", "citation": "none", "source": {"folder": "x"}}
    card = {**facts, "layout": {"kind": "class_folders"}, "classes": classes}
    assert (not faults("card", card)) == right


def test_a_union_may_be_a_list_or_name_maps():
    facts = {"title": "a", "task": "birds", "licence": "none", "citation": "none"}
    for union in (["one", "other"], {"one": None, "other": {"classes": {"a": "b"}}}):
        assert not faults("card", {**facts, "union": union})
    assert faults("card", {**facts, "union": "one"})


def test_the_tool_writes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["schemas", str(tmp_path)])
    schemas.main()
    for kind in schemas.KINDS:
        assert Path(tmp_path, f"{kind}.json").read_bytes() == (schemas.SCHEMAS / f"{kind}.json").read_bytes()
