"""How the reference of the site reads earshot's docstrings: an extension of griffe, which mkdocs.yml names.

Numpy's style has a type behind `NAME :` and in the first line of what is returned. earshot's types stand in signatures
alone, and what it has there are words.
"""

from __future__ import annotations

import re

import griffe

HEADING = re.compile(r"^(\w+)\n-{3,}\n", re.MULTILINE)
ARGUMENT = re.compile(r"^(\w[\w, ]*) : ", re.MULTILINE)


class AsWritten(griffe.Extension):
    """Put words where numpy's style has a description, and each class and function on the page of its own module."""

    def on_module_members(self, *, mod: griffe.Module, **_: object) -> None:
        """Forget `__all__`: what it names is mostly imported, and else would be on two pages."""
        mod.exports = None

    def on_function(self, *, func: griffe.Function, **_: object) -> None:
        """Rewrite the docstring of a function."""
        rewrite(func.docstring, str(func.returns or ""))

    def on_class(self, *, cls: griffe.Class, **_: object) -> None:
        """Rewrite the docstring of a class."""
        rewrite(cls.docstring, "")


def rewrite(docstring: griffe.Docstring | None, returned: str) -> None:
    """Put words into descriptions, and the type that a function returns before what it says of it."""
    if docstring is None:
        return
    before, *parts = HEADING.split(docstring.value)
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        if name in ("Parameters", "Attributes"):
            body = ARGUMENT.sub(r"\1\n    ", body)
        elif name in ("Returns", "Yields") and returned and "\n    " not in body:
            body = returned + "\n" + "".join(f"    {line}\n" for line in body.strip().split("\n")) + "\n"
        before += f"{name}\n{'-' * len(name)}\n{body}"
    docstring.value = before
