"""A folder at an address that fsspec knows, such as s3://BUCKET/PREFIX: its files are copied, or fetched one by one."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import fsspec

from earshot import progress
from earshot.errors import EarshotError
from earshot.files import replacing

MARKS = ("ETag", "etag", "md5Hash", "LastModified", "mtime", "created")  # what services say of a file's content


class Object(NamedTuple):
    """A file at an address: where its service has it, and its size with a mark that changes with its content."""

    path: str
    mark: str


def names(address: str, key: str) -> dict[str, Object]:
    """Return the files below an address, by their names below it.

    Parameters
    ----------
    address : of a folder, such as s3://BUCKET/PREFIX
    key : what the address is called in an error

    Raises
    ------
    EarshotError
        If the kind of address is unknown or its package is missing, or it can't be listed.
    """
    try:
        system, top = fsspec.core.url_to_fs(address)
        system.invalidate_cache()
        paths = system.find(top, detail=True)
    except ImportError as error:
        raise EarshotError(f"{key}: {error}: pip install {_package(error)}") from None
    except Exception as error:  # each service has errors of its own
        raise EarshotError(f"{key} can't be listed: {_reason(error)}") from None
    below = top.rstrip("/") + "/"
    return {path.removeprefix(below): Object(path, _mark(paths[path])) for path in paths if path.startswith(below)}


def _mark(facts: dict[str, Any]) -> str:
    return f"{facts['size']} {next((facts[name] for name in MARKS if facts.get(name)), '')}"


def fetch(address: str, path: str, to: Path, key: str) -> None:
    """Fetch a file, in one step.

    Parameters
    ----------
    path : of an `Object` below the address
    key : what the file is called in an error

    Raises
    ------
    EarshotError
        If it can't be read.
    """
    try:
        system, _ = fsspec.core.url_to_fs(address)
        with replacing(to) as temporary:
            system.get_file(path, str(temporary))
    except Exception as error:  # each service has errors of its own
        raise EarshotError(f"{key} can't be read: {_reason(error)}") from None


def copy(address: str, chosen: dict[str, Object], files: Path, key: str) -> None:
    """Copy files to the folder `files`; what an interrupted run has copied is kept where it is still the same.

    Parameters
    ----------
    address : of the folder
    chosen : some of `names`
    files : the new folder of the dataset; beside it is what has arrived so far
    key : what the address is called in an error

    Raises
    ------
    EarshotError
        If a file can't be read.
    """
    system, _ = fsspec.core.url_to_fs(address)
    arrived = files.parent / "fetched"
    arrived.mkdir(parents=True, exist_ok=True)
    kept = {}
    for name, (path, _) in progress.bar(chosen.items(), desc=address, unit="file", leave=False, disable=None):
        try:
            kept[name] = arrived / system.ukey(path)  # of the file as it is now
            if not kept[name].exists():
                part = arrived / "part"
                system.get_file(path, str(part))
                part.rename(kept[name])
        except Exception as error:  # as above
            raise EarshotError(f"{key}: {name} can't be read: {_reason(error)}") from None
    for name, path in kept.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        path.rename(files / name)
    shutil.rmtree(arrived)


def _package(error: ImportError) -> str:
    """Return the package that fsspec names in "Install s3fs to access S3"."""
    words = str(error).split()
    return next((word for before, word in pairwise(words) if before.lower() == "install"), "fsspec")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
