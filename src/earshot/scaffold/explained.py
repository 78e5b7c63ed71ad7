"""`earshot params`: what each setting of params.yaml is, must be and decides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from earshot import project
from earshot.errors import EarshotError
from earshot.scaffold import template
from earshot.schema.params import Params
from earshot.schema.sections import holder, right_of
from earshot.schema.yaml_text import did_you_mean
from earshot.settings import read_params

COMMENT = re.compile(r"(?:^|\s)# ?(.*)$")


@dataclass(frozen=True)
class Setting:
    """A key of params.yaml.

    key : with those above it, such as split.folds
    said : what the file that earshot brings says of it, in its comments
    right : what it must be, where that is checked
    default, value : in the file that earshot brings, and in the project's; None where it is not there, or where what it
        holds is settings of their own
    decides : the stages that read it, and those that follow from them, in their order
    """

    key: str
    said: str
    right: str | None
    default: Any
    value: Any
    decides: list[str]


def settings(asked: str | None = None) -> list[Setting]:
    """Return the settings, in the order of the file; of `asked` and what is below it, where it is given.

    Raises
    ------
    EarshotError
        If there is none of that name, or the project's params.yaml is wrong.
    """
    texts = template.contents()
    text, stages = texts["params.yaml"], yaml.safe_load(texts["dvc.yaml"])["stages"]
    default, value = yaml.safe_load(text), read_params()
    said = dict(_said(yaml.compose(text), text.splitlines()))
    mine = (project.root() / "params.yaml").read_text("utf-8")
    keys = list(dict.fromkeys([*said, *dict(_said(yaml.compose(mine), mine.splitlines()))]))
    chosen = [key for key in keys if asked is None or f"{key}.".startswith(f"{asked}.")]
    if not chosen:
        raise EarshotError(f"params.yaml has no {asked}; {did_you_mean(asked, keys)}")
    above = {key.rpartition(".")[0] for key in keys}
    return [
        Setting(
            key,
            said.get(key, ""),
            _right(key),
            default=None if key in above else _at(default, key),
            value=None if key in above else _at(value, key),
            decides=decided(key, stages),
        )
        for key in chosen
    ]


def decided(key: str, stages: dict[str, Any]) -> list[str]:
    """Return the stages that a setting decides: that list it or a part of it, and all that depend on what they make."""
    stages = {name: stage.get("do", stage) for name, stage in stages.items()}
    found: list[str] = []
    for name, stage in stages.items():  # in dvc.yaml each stands after what it depends on
        listed = [one for one in stage.get("params", []) if isinstance(one, str)]
        made = [out for one in found for out in _outs(stages[one])]
        if any(_overlap(key, one, ".") for one in listed) or any(
            _overlap(dep, out, "/") for dep in stage.get("deps", []) for out in made
        ):
            found.append(name)
    return found


def _outs(stage: dict[str, Any]) -> Iterator[str]:
    for kind in ("outs", "metrics", "plots"):
        for out in stage.get(kind, []):
            yield out if isinstance(out, str) else next(iter(out))


def _overlap(one: str, other: str, sign: str) -> bool:
    """Tell whether two names are the same, or one is below the other."""
    return f"{one}{sign}".startswith(f"{other}{sign}") or f"{other}{sign}".startswith(f"{one}{sign}")


def _said(node: yaml.Node, lines: list[str], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield each key that has a line of its own, and the comments before and behind it."""
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return
    for name, content in node.value:
        first = line = name.start_mark.line
        while first and re.match(rf" {{{name.start_mark.column}}}# ", lines[first - 1]):
            first -= 1
        told = [found[1] for text in lines[first : line + 1] if (found := COMMENT.search(text))]
        yield above + name.value, " ".join(told)
        yield from _said(content, lines, f"{above}{name.value}.")


def _at(value: Any, key: str) -> Any:
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _right(key: str) -> str | None:
    """Return what a setting must be, if the schema of params.yaml says so."""
    *above, last = key.split(".")
    section = holder(Params, above)
    return right_of(section, last) if last in section.model_fields else None
