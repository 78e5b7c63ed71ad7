"""docs/results.md: the results of some runs of the pipeline, from the files that it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2

from earshot import provenance
from earshot.files import read_json
from earshot.pages import numbers
from earshot.report import words
from earshot.report.page import tutorial_figures
from earshot.report.scores import Pair, Summary, rank, read_summary, side_by_side
from earshot.settings import WIRINGS

FILTERS = [numbers.score, numbers.signed, numbers.percent, numbers.duration]


def render(folders: list[Path]) -> str:
    """Return docs/results.md for the runs in some project folders.

    Raises
    ------
    EarshotError
        If one of them has no comparison yet, or one that an earlier version wrote.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in FILTERS:
        environment.filters[write.__name__] = write
    return environment.get_template("results_page.md.j2").render(runs=[_run(folder) for folder in folders])


def _run(folder: Path) -> dict[str, Any]:
    summary = read_summary(folder / "data" / "report" / "summary.json")
    pairs = side_by_side(summary)
    names = list(dict.fromkeys(pair.dataset for pair in pairs))
    return {
        "reproduction": _reproduction(pairs),
        "synthetic": all(pair.synthetic for pair in pairs),
        "calls": provenance.recorded(folder),
        "searches": [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("data/search/*/*.json"))],
        "datasets": [_dataset(folder, name, pairs, summary) for name in names],
    }


def _reproduction(pairs: list[Pair]) -> list[tuple[float, Pair]]:
    """Return the tutorials' figures, each with the experiment that repeats it on real recordings."""
    figures = {pair.task: (tutorial_figures(pair.task) or {}).get("accuracy", {}) for pair in pairs}
    repeated = [pair for pair in pairs if not pair.synthetic and pair.wiring == WIRINGS[0]]
    return [(figures[pair.task][pair.experiment], pair) for pair in repeated if pair.experiment in figures[pair.task]]


def _dataset(folder: Path, name: str, all_pairs: list[Pair], summary: Summary) -> dict[str, Any]:
    mine = [pair for pair in all_pairs if pair.dataset == name]
    pairs = rank(mine, "grouped") or rank(mine, "published")
    tutorial = tutorial_figures(pairs[0].task)
    audit = read_json(folder / "data" / "audit" / f"{name}.json")
    counts = read_json(folder / "data" / "manifest" / f"{name}.json")
    ladder, other = ([row for row in summary[part] if row["dataset"] == name] for part in ("noise", "cross_dataset"))
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in ladder:
        by_name.setdefault(f"{row['input']}-{row['model']}", []).append(row)
    first = next(iter(by_name.values()), [])
    return {
        "label": pairs[0].shown_dataset,
        "seeds": max(row["seeds"] for row in pairs[0].scores.values()),
        "warnings": counts["warnings"],
        "pairs": pairs,
        "multi_label": all("macro_ap" in row for pair in pairs for row in pair.scores.values()),
        "tutorial": tutorial["accuracy"] if tutorial else {},
        "findings": [line for line in _findings(pairs, summary["contrasts"], tutorial, audit) if line],
        "ladder": by_name,
        "steps": [row["snr_db"] for row in first],
        "alarm": first[0]["alarm"] if first else "",
        "cross_dataset": other,
        "swapped": [row for row in summary["swapped"] if row["dataset"] == name],
        "events": [row for row in summary["events"] if row["dataset"] == name],
    }


def _findings(
    pairs: list[Pair], contrasts: words.Contrasts, tutorial: dict[str, Any] | None, audit: dict[str, Any]
) -> list[str]:
    grouped = rank(pairs, "grouped")
    return [
        *words.winner(pairs),
        words.inflation([pair for pair in pairs if pair.inflation is not None]),
        *(words.change(grouped, contrast) for contrast in contrasts),
        *words.why(pairs, tutorial, audit),
    ]
