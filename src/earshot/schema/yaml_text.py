"""YAML as users write it: read strictly, and what it says put into words for messages."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

MOST_VALUES = 100_000  # that a file holds, where each alias stands for all that it names
MOST_SHOWN = 60  # characters of a wrong value
_PASSWORD = re.compile(r"(://[^\s/:@]*):[^\s/@]+(?=@)")  # in an address: what precedes it, and the password


class _Yaml(yaml.SafeLoader):
    """YAML whose keys are text, each once: what else YAML makes of them (`yes` is true, 2024 a number) is told."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                plain = key.value if isinstance(key, yaml.ScalarNode) and key.value else None
                instead = f"write it in quotes, '{plain}'" if plain else "write a name"
                problem = f"the key {plain or ''} is {told_type(name)} to YAML: {instead}"
                raise yaml.MarkedYAMLError(problem=" ".join(problem.split()), problem_mark=key.start_mark)
            if not name.isprintable():
                problem = f"the key {name!r} has a character that doesn't print"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {name} stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file that a user wrote.

    Raises
    ------
    ValueError
        If it isn't YAML in UTF-8, a key in it is no text or stands twice, or an address has a password; one line, which
        names the line.
    FileNotFoundError
        If it is missing.
    """
    try:
        text = path.read_text("utf-8-sig")
        if found := _PASSWORD.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise ValueError(
                f"line {line}: the address has a password, and whoever gets this file would have it: take it out, and "
                "set it in the environment"
            )
        content = yaml.load(text, _Yaml)
        if _count(content, {}) > MOST_VALUES:
            raise ValueError(f"it holds more than {MOST_VALUES} values, perhaps by aliases such as *name: write less")
        return content
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not in UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    except (AttributeError, LookupError, TypeError):  # PyYAML's
        raise ValueError("a value is not what its tag, such as !!timestamp, says: leave the tag out") from None


def _count(value: Any, known: dict[int, int]) -> int:
    """Return how many values one is and holds; of one that holds itself more than `MOST_VALUES`.

    Parameters
    ----------
    known : counts by identity, so that what many aliases name is counted once
    """
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in known:
        known[id(value)] = MOST_VALUES + 1  # until it has been counted
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_count(one, known) for one in inside)
    return known[id(value)]


def without_password(address: str) -> str:
    """Return an address, such as postgresql://anna:secret@db.example.org/runs, without its password."""
    return _PASSWORD.sub(r"\1", address)


def told_type(value: Any) -> str:
    """Say what YAML has read a value as."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}
    return "nothing" if value is None else kinds.get(type(value), f"a {type(value).__name__}")


def shown(value: Any) -> str:
    """Return a value as YAML writes it in one line, cut off where it is long."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    text = " ".join(text.removesuffix("...\n").split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


def did_you_mean(name: str, known: list[str]) -> str:
    """Return the known names that one may have meant, or all of them, as the end of a message."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
