"""Tell which of the versions that earshot installs have a published advisory, by a list that is on this machine.

The list is OSV's export for PyPI, a zip of JSON files, or a folder of such files; nothing is asked of the network.
"""

from __future__ import annotations

import json
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

PROJECT = Path(__file__).parent.parent
PINNED = ("requirements.txt", "Makefile")  # the second has those that pip fetches itself
PIN = re.compile(r"^(?:[A-Z]+ *:= *)?([\w.-]+)==([\w.!+-]+)", re.MULTILINE)


def pins() -> dict[str, Version]:
    """Return the version of each package that is pinned."""
    found = (PIN.findall((PROJECT / name).read_text("utf-8")) for name in PINNED)
    return {canonicalize_name(name): Version(version) for lines in found for name, version in lines}


def records(place: Path) -> Iterator[dict[str, Any]]:
    """Yield the advisories in a zip or in a folder that have not been withdrawn."""
    if place.is_dir():
        texts = (path.read_bytes() for path in sorted(place.rglob("*.json")))
    else:
        archive = zipfile.ZipFile(place)
        texts = (archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".json"))
    for text in texts:
        record = json.loads(text)
        if "withdrawn" not in record:
            yield record


def told(record: dict[str, Any], pinned: dict[str, Version]) -> Iterator[str]:
    """Yield a line for each pin that an advisory affects."""
    for affected in record.get("affected", []):
        package = affected.get("package", {})
        name = canonicalize_name(package.get("name", ""))
        if package.get("ecosystem") != "PyPI" or name not in pinned:
            continue
        version = pinned[name]
        ranges = [one["events"] for one in affected.get("ranges", []) if one["type"] == "ECOSYSTEM"]
        if str(version) in affected.get("versions", []) or any(_within(version, events) for events in ranges):
            fixed = sorted({Version(event["fixed"]) for events in ranges for event in events if "fixed" in event})
            above = next((f"fixed in {one}" for one in fixed if one > version), "there is no version with it fixed")
            names = ", ".join([record["id"], *record.get("aliases", [])])
            yield f"{name}=={version}: {names}, {above}. {record.get('summary', '')}".rstrip()


def _within(version: Version, events: list[dict[str, str]]) -> bool:
    """Tell whether a version is affected: the last event at or before it has introduced the fault."""
    within = False
    for event in sorted(events, key=_at):
        if "introduced" in event and _at(event) <= version:
            within = True
        elif ("fixed" in event and _at(event) <= version) or ("last_affected" in event and _at(event) < version):
            within = False
    return within


def _at(event: dict[str, str]) -> Version:
    try:
        return Version(next(iter(event.values())))
    except InvalidVersion:  # a few old packages have versions of no order
        return Version("0")


def main() -> None:
    """Print what is affected; exit with 1 where something is, and with 2 where there is no list."""
    place = Path(sys.argv[1])
    found = list(records(place)) if place.exists() else []
    if not found:
        print(
            f"error: {place} has no advisories: put OSV's export for PyPI there, a zip of JSON files", file=sys.stderr
        )
        raise SystemExit(2)
    pinned = pins()
    lines = sorted(line for record in found for line in told(record, pinned))
    newest = max(record.get("modified", "")[:10] for record in found)
    print(
        "\n".join(
            [*lines, f"{len(pinned)} pins, {len(found)} advisories (the newest of {newest}): {len(lines)} affect"]
        )
    )
    raise SystemExit(1 if lines else 0)


if __name__ == "__main__":
    main()
