"""EARSHOT_MIRROR: a folder or an address with a folder per dataset, tried before the public addresses."""

from __future__ import annotations

import os
from urllib.parse import quote

from earshot import project

VARIABLE = "EARSHOT_MIRROR"


def is_web(address: str) -> bool:
    """Tell an address from a path."""
    return address.startswith(("http://", "https://"))


def addresses(*parts: str) -> list[str]:
    """Return where the mirror has `DATASET/PATH`: one address, or none where no mirror is set.

    A relative folder starts at the project's folder.
    """
    base = os.environ.get(VARIABLE)
    if not base:
        return []
    if is_web(base):
        return [f"{base.rstrip('/')}/{quote('/'.join(parts))}"]
    folder = project.workspace() / os.path.expanduser(base)
    return [str(folder.joinpath(*parts))]


def setting() -> str:
    """Return a line on how the mirror is set."""
    value = os.environ.get(VARIABLE)
    if value:
        return f"{VARIABLE} is set to '{value}'"
    return f"{VARIABLE} is not set; it can name a folder or an http(s) address that holds a folder per dataset"
