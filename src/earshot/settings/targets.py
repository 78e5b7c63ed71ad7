"""The classes that settings name by `_target_`."""

from __future__ import annotations

import importlib
import sys

from earshot import project
from earshot.errors import EarshotError

CUSTOM = "custom"  # the package of the user's own inputs and models, in the project's folder


def class_named(target: object, room: str, where: str) -> type:
    """Return the class that a `_target_` names.

    A model's folder may come from anywhere, so that what it names is code of this project or of its user, and no other.

    Parameters
    ----------
    target : such as "earshot.models.cnn.CNN"
    room : the package that has the project's own such classes; the user's have `custom`
    where : the file and key that name it, for errors

    Raises
    ------
    EarshotError
        If it is missing, names something else than a class of these packages, or can't be imported.
    """
    module, _, name = str(target).rpartition(".")
    if not all(part.isidentifier() for part in f"{module}.{name}".split(".")) or not _is_below(module, room, CUSTOM):
        raise EarshotError(f"{where}: _target_ is {target}, and must name a class below {room} or {CUSTOM}")
    if _is_below(module, CUSTOM) and str(project.root()) not in sys.path:
        sys.path.insert(0, str(project.root()))
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (ImportError, SyntaxError) as error:
        raise EarshotError(f"{where}: _target_ {target} can't be imported: {error}") from None
    if not isinstance(found, type) or not _is_below(found.__module__, room, CUSTOM):
        raise EarshotError(f"{where}: _target_ is {target}, and {module} has no class of its own with that name")
    return found


def _is_below(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
