"""Ways to break the bytes of a file, the lines of a text, and the values of a tree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from random import Random
from typing import Any

EXTREMES = (0, 1, 2**7 - 1, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
HEAD = 96  # bytes, in which most headers have their fields
WAYS_AT_ONCE = (1, 1, 2, 4)
IN_HEAD = 1 / 3  # of the places
LONG = 2**25  # bytes of a tail
RARE = 1 / 2000  # of the files have one

Way = Callable[[bytearray, bytes, Random], None]


def broken(content: bytes, other: bytes, rng: Random) -> bytes:
    """Return bytes that were changed in some ways; `other` is of another file, parts of which may come in."""
    changed = bytearray(content)
    for _ in range(rng.choice(WAYS_AT_ONCE)):
        rng.choice(WAYS)(changed, other, rng)
    if rng.random() < RARE:
        changed += rng.choice((b"\0", b"\xff", content[-8:].ljust(8, b"\0"))) * LONG
        del changed[len(content) + LONG :]
    return bytes(changed)


def flip_bits(changed: bytearray, other: bytes, rng: Random) -> None:
    for _ in range(min(rng.randint(1, 8), len(changed))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)


def replace_bytes(changed: bytearray, other: bytes, rng: Random) -> None:
    place = _place(changed, rng)
    some = rng.randbytes(rng.randint(1, 8))
    changed[place : place + len(some)] = some


def set_field(changed: bytearray, other: bytes, rng: Random) -> None:
    """Set a number, of whatever width and order, to an extreme."""
    place, width = _place(changed, rng), rng.choice((1, 2, 4, 8))
    value = rng.choice(EXTREMES) % 256**width
    changed[place : place + width] = value.to_bytes(width, rng.choice(("little", "big")))


def cut_short(changed: bytearray, other: bytes, rng: Random) -> None:
    del changed[_place(changed, rng) :]


def cut_out(changed: bytearray, other: bytes, rng: Random) -> None:
    place = _place(changed, rng)
    del changed[place : place + rng.randint(1, 64)]


def insert(changed: bytearray, other: bytes, rng: Random) -> None:
    n = rng.choice((1, 2, 4, 64, 512))
    changed[(place := _place(changed, rng)) : place] = rng.choice((bytes(n), b"\xff" * n, rng.randbytes(n)))


def repeat(changed: bytearray, other: bytes, rng: Random) -> None:
    start, place = _place(changed, rng), _place(changed, rng)
    changed[place:place] = changed[start : start + rng.randint(1, 512)]


def swap_blocks(changed: bytearray, other: bytes, rng: Random) -> None:
    first, second = sorted((_place(changed, rng), _place(changed, rng)))
    n = min(rng.randint(1, 256), second - first)
    changed[first : first + n], changed[second : second + n] = changed[second : second + n], changed[first : first + n]


def splice(changed: bytearray, other: bytes, rng: Random) -> None:
    """Go on with another file: with all of it, or from a place on."""
    place = rng.choice((len(changed), _place(changed, rng)))
    changed[place:] = other[rng.choice((0, _place(other, rng))) :]


def _place(changed: bytes | bytearray, rng: Random) -> int:
    return rng.randint(0, min(HEAD, len(changed)) if rng.random() < IN_HEAD else len(changed))


WAYS: tuple[Way, ...] = (flip_bits, replace_bytes, set_field, set_field, cut_short, cut_out, insert, repeat)
WAYS += (swap_blocks, splice)


BOMB = "[&a [x, x, x, x, x, x, x, x, x, x], " + ", ".join(
    f"&{name} [{', '.join(10 * [f'*{before}'])}]" for before, name in pairwise("abcdefgh")
)
BOMB += "]"  # ten million at the end of it
VALUES = [
    "",
    "null",
    "true",
    "-1",
    "0",
    "1",
    "0.5",
    "1e400",
    ".nan",
    "-.inf",
    "NaN",
    "9" * 400,
    "9" * 5000,
    "1" + "_0" * 9,
]
VALUES += [
    "[]",
    "{}",
    "[[x]]",
    "{x: y}",
    "[1, 1]",
    "[x, x]",
    "[" * 3000 + "]" * 3000,
    "[" * 300 + "]" * 300,
    "{a: " * 900,
]
VALUES += ["2024-01-01", "0x10", "12:30:45", "1e3", "yes", "~", "=", "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]"]
VALUES += [
    "!!python/object/apply:os.system [true]",
    "!!float x",
    "!!timestamp x",
    "!x y",
    "&a [*a]",
    "&a {b: *a}",
    "*a",
]
VALUES += [
    BOMB,
    "x" * 10**6,
    "'",
    '"',
    '"\\0"',
    '"\\ud800"',
    '"\\x1b[2J"',
    "../..",
    "/etc/passwd",
    "a\u2028b",
    "\ufeff",
]
VALUES += ["{x: " + BOMB + "}", "%", "@", "`", "|", ">", "-", "? x", "- x", ": x", "#", "\t", "http://a:b@c/", "{", "["]
KEYS = ["x", "name", "<<", "1", "null", "yes", "? [a]", "''", "'a\\nb'", '"a\\nb"', "__class__", "model_config", "-"]


def broken_text(text: str, rng: Random) -> bytes:
    """Return lines of YAML or of a table that were changed in some ways."""
    some = text.splitlines()
    for _ in range(rng.choice(WAYS_AT_ONCE)):
        rng.choice(WAYS_OF_LINES)(some, rng.randrange(len(some)), rng)
    content = "\n".join(some).encode("utf-8", "surrogatepass")
    return broken(content, content, rng) if rng.random() < 0.2 else content


def delete_line(some: list[str], at: int, rng: Random) -> None:
    some[at] = ""


def repeat_line(some: list[str], at: int, rng: Random) -> None:
    some.insert(rng.randint(0, len(some)), some[at])


def indent_line(some: list[str], at: int, rng: Random) -> None:
    some[at] = rng.choice((" ", "  ", "\t", "- ", "# ")) + some[at]


def rename_key(some: list[str], at: int, rng: Random) -> None:
    some[at] = re.sub(r"\b[\w-]+(?=:)", lambda _: rng.choice(KEYS), some[at], count=1)


def change_value(some: list[str], at: int, rng: Random) -> None:
    """Change what follows a key, or one of the words or fields of a line."""
    value, key = rng.choice(VALUES), some[at].partition(": ")[0]
    words = [match.span() for match in re.finditer(r"[\w.*/-]+", some[at])]
    if rng.random() < 0.6 or not words:
        some[at] = f"{key}: {value}"
    else:
        start, stop = rng.choice(words)
        some[at] = some[at][:start] + value + some[at][stop:]


def insert_letters(some: list[str], at: int, rng: Random) -> None:
    place = rng.randint(0, len(some[at]))
    letters = rng.choice(
        ("\0", "\x1b", "\r", "\x85", "\u2028", "\u202e", "\ufeff", "\udc80", '"', ",", ";", "\t", "é", "'")
    )
    some[at] = some[at][:place] + letters + some[at][place:]


WAYS_OF_LINES = (delete_line, repeat_line, indent_line, rename_key, change_value, change_value, insert_letters)


def broken_tree(tree: Any, values: Sequence[Any], rng: Random) -> Any:
    """Return nested mappings and lists as JSON has them, in which some places were changed."""
    changed = json.loads(json.dumps(tree))
    for _ in range(rng.choice(WAYS_AT_ONCE)):
        if places := list(_places(changed)):
            holder, key = rng.choice(places)
            way = rng.random()
            if way < 0.1:
                del holder[key]
            elif way < 0.15 and isinstance(holder, dict):
                holder[rng.choice(KEYS)] = holder.pop(key)
            elif way < 0.2:
                holder[key] = [holder[key]]
            else:
                holder[key] = rng.choice(values)
    return changed


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each mapping or list with each of its keys or numbers."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _places(value)
