"""`earshot params`: each setting with what it is, must be, its default, and the stages that it decides."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from conftest import PROJECT
from earshot.cli.main import main
from earshot.scaffold import explained
from earshot.schema.params import Params
from test_config import PARAMS, STAGES

SHIPPED = (PROJECT / "params.yaml").read_text()


def lines_of(value, above=""):
    """Yield the dotted keys of nested settings that have lines of their own in the shipped file."""
    for key, item in value.items():
        yield f"{above}{key}"
        if isinstance(item, dict) and re.search(rf"^ *{key}:( *#.*)?$", SHIPPED, re.M):
            yield from lines_of(item, f"{above}{key}.")


def test_every_setting_is_explained_in_the_order_of_the_file(project):
    found = explained.settings()
    assert [setting.key for setting in found] == list(lines_of(PARAMS))
    for setting in found:
        assert setting.value == setting.default
        assert setting.decides[-1] == "compare", "the report is of all"
        assert "." in setting.key or setting.said or setting.right or setting.key in Params.model_fields


def test_a_setting_says_what_it_is_must_be_and_decides(project):
    project.params(split=PARAMS["split"] | {"folds": {"default": 4}})
    setting, *_ = explained.settings("split.folds")
    assert setting.said == "grouped protocol"
    assert setting.right.startswith("numbers of folds by task")
    assert setting.decides[:2] == ["split", "audit"] and {"manifest", "features"}.isdisjoint(setting.decides)
    setting, *_ = explained.settings("noise.sirens.snr_db")
    assert setting.decides == ["noise", "compare"]


def test_comments_above_a_key_belong_to_it(project):
    setting, *_ = explained.settings("windows")
    assert setting.said.startswith("Seconds; a task") and setting.said.endswith("(zeros on both sides).")


def test_a_setting_of_the_projects_own_is_there_too(project):
    project.params(features=PARAMS["features"] | {"quick": {"_target_": "custom.quick.Quick", "width": 3}})
    found = {setting.key: setting for setting in explained.settings("features.quick")}
    assert found["features.quick.width"].default is None and found["features.quick.width"].value == 3


@pytest.mark.parametrize("name", ["manifest", "fingerprint", "split", "features", "train", "noise"])
def test_what_a_stage_lists_decides_it(name):
    for listed in [one for one in STAGES[name]["params"] if isinstance(one, str)]:
        assert name in explained.decided(listed, STAGES)


def test_the_command_prints_the_settings_that_are_asked_for(project):
    (project.root / "params.yaml").write_text(SHIPPED.replace("seeds: [0]", "seeds: [0, 1]"))
    assert CliRunner().invoke(main, ["params", "seeds"]).output.splitlines() == [
        "seeds",
        "  must be  a list of whole numbers, 0 or more, each once, such as [0, 1, 2]",
        "  default  [0]",
        "  here     [0, 1]",
        "  decides  train, evaluate, noise, events, swapped, cross_dataset, compare",
    ]
    done = CliRunner().invoke(main, ["params", "seed"])
    assert done.exit_code == 1 and "did you mean seeds?" in done.output
