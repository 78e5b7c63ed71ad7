"""Write the pages of docs/ that hold measurements, from what the benchmarks have written to build/bench/."""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import jinja2
import pandas as pd

from benchmarks.measure import OUT, PROJECT, ratio
from earshot.files import write_text
from tools.growth import Growth

MILLION = 1_000_000
PAGES = {  # what each is written from
    "benchmarks": ["features", "training", "loading", "repro", "answers", "latency"],
    "scale": ["scale"],
    "growth": ["growth"],
    "audit": ["audit"],
    "events": ["events"],
    "reliability": ["faults", "machine", "inputs", "load"],
}


def read(name: str) -> dict[str, Any]:
    """Return what a benchmark wrote.

    Raises
    ------
    SystemExit
        Naming the command, if it wrote nothing.
    """
    path = OUT / f"{name}.json"
    if not path.exists():
        maker = "make faults" if name in PAGES["reliability"] else f"python benchmarks/{name}.py"
        raise SystemExit(f"error: {path.relative_to(PROJECT)} is missing. Run `{maker}`")
    return json.loads(path.read_text("utf-8"))


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("s", 1)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds * 1000:.1f} ms"


def means(rows: list[dict[str, Any]], by: list[str]) -> list[dict[str, Any]]:
    """Return the mean of every number in rows that have the same `by`, in their order."""
    return pd.DataFrame(rows).groupby(by, sort=False).mean(numeric_only=True).reset_index().to_dict("records")


def main() -> None:
    """Render the pages that are named, or those of `make bench`."""
    pages = sys.argv[1:] or ["benchmarks", "scale", "growth", "audit"]
    found = {name: read(name) for page in pages for name in PAGES[page]}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PROJECT / "tools"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"median": statistics.median, "duration": duration}
    environment.globals |= {"ratio": ratio, "million": MILLION, "means": means}
    if "growth" in found:
        found["growth"] = Growth(found["growth"])
    for page in pages:
        text = environment.get_template(f"{page}.md.j2").render(found)
        write_text(PROJECT / "docs" / f"{page}.md", "\n".join(map(str.rstrip, text.split("\n"))))
        print(f"written: docs/{page}.md")


if __name__ == "__main__":
    main()
