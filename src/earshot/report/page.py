"""The report: one HTML file with everything inside, which loads nothing from the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from earshot.metrics import classification
from earshot.pages import html
from earshot.report import first_screen, overview, plots, words
from earshot.report.events import calibrated, calibrated_predictions
from earshot.report.results import Cell, DatasetResults
from earshot.report.scores import Pair, Summary, contrast_pairs, rank, side_by_side
from earshot.tracking import examples

HERE = Path(__file__).parent
PROTOCOLS = ["published", "grouped"]
SHOWN = 10  # experiments in a panel of the first screen; the others are in the figures and tables below it
CHAPTERS = {  # of a dataset, where it has them, by what has to be known
    "scores": "How far does each score fall where nothing was heard before?",
    "why": "Why the published score is not what you would get",
    "contrasts": "Does another input or another model do better?",
    "robustness": "Does it hold elsewhere, and in a loud street?",
    "events": "How many events are found, with how many false alarms?",
    "swapped": "Does it know the sound, or how it was recorded?",
    "examples": "Hear the worst mistakes",
    "multi_label": "How well are the classes of a sound ranked?",
    "more": "More of each model",
    "data": "The data",
}
CLASS_METRICS = {"precision": "precision", "recall": "recall", "f1": "F1", "ap": "AP"}  # the last of multi-label ones


def render(datasets: list[DatasetResults], summary: Summary) -> str:
    """Return the report on `datasets`, whose scores are in `summary` (see `report.summary`)."""
    pairs = side_by_side(summary)
    sections = [_section(number, results, pairs, summary) for number, results in enumerate(datasets)]
    told = first_screen.sentences([section["tested"] for section in sections])
    seeds = max(row["seeds"] for row in summary["scores"])
    return html.template(HERE / "page.html.j2").render(
        sections=sections, sentences=told, plain=words.PLAIN, seeds=seeds
    )


def tutorial_figures(task: str) -> dict[str, Any] | None:
    """Return the accuracies that the tutorial of `task` prints (tutorial.yaml), or None where there is no tutorial."""
    tutorials = yaml.safe_load((HERE / "tutorial.yaml").read_text("utf-8"))
    return next((tutorial for tutorial in tutorials if tutorial["task"] == task), None)


def _section(number: int, results: DatasetResults, all_pairs: list[Pair], summary: Summary) -> dict[str, Any]:
    pairs = [pair for pair in all_pairs if pair.dataset == results.card.name]
    pairs = rank(pairs, "grouped") or rank(pairs, "published")
    frames = {pair.title: _predictions(results, pair) for pair in pairs}
    largest_class = _largest_class(results)
    tutorial = _tutorial(results, pairs)
    ladder, other = (
        [row for row in summary[name] if row["dataset"] == results.card.name] for name in ("noise", "cross_dataset")
    )
    found, fitted = (
        [row for row in summary[name] if row["dataset"] == results.card.name] for name in ("events", "calibration")
    )
    alarm = results.noise_settings["alarm"] if results.noise_settings else ""
    swapped = [row for row in summary["swapped"] if row["dataset"] == results.card.name]
    at_a_glance = overview.rows(pairs, summary, results.seconds, tutorial["accuracy"] if tutorial else {})
    section = {
        "id": f"dataset-{number}",
        "card": results.card,
        "counts": results.counts,
        "pairs": pairs,
        "tested": first_screen.Known(
            results.card.name, pairs, largest_class, ladder, swapped, bool(results.counts["warnings"])
        ),
        "answer": words.answer(pairs, summary["contrasts"], largest_class),
        "why": words.why(pairs, tutorial, results.audit),
        "robustness": words.robustness(ladder, other, alarm),
        "plot": _plot(number, results, pairs[:SHOWN], largest_class),
        "not_drawn": len(pairs[SHOWN:]),
        "tutorial": tutorial,
        "contrasts": _contrasts(pairs, summary["contrasts"]),
        "ladder": ladder,
        "ladder_plot": ladder
        and Markup(plots.noise_ladder(ladder, f"noise-{number}", _label("Noise ladder", results))),
        "alarm": alarm,
        "cross_dataset": other,
        "overview": Markup(plots.overview(at_a_glance, f"overview-{number}", _label("All experiments", results))),
        "glance": {name: any(row[name] for row in at_a_glance) for name in at_a_glance[0]},
        "elsewhere": results.elsewhere if any(pair.elsewhere for pair in pairs) else [],
        "swapped": swapped,
        "swapped_findings": words.swapped(swapped),
        "events": found,
        "event_settings": results.event_settings,
        "event_findings": words.events(found, results.event_settings),
        "calibrated": fitted,
        "curves": [_curves(f"curves-{number}-{n}", results, pair) for n, pair in enumerate(pairs)],
        "reliability": [
            {
                "title": title,
                "plot": _reliability(f"reliability-{number}-{n}", results, title, both, _after(results, pair)),
            }
            for n, (pair, (title, both)) in enumerate(zip(pairs, frames.items(), strict=True))
        ],
        "classes": [{"title": title, **_by_class(both)} for title, both in frames.items()],
        "models": [{"title": pair.title, "layers": _layers(results, pair)} for pair in pairs],
        "confusions": [
            {"title": pair.title, "matrices": _matrices(pair, frames[pair.title])}
            for pair in pairs
            if not results.multi_label
        ],
        "multi_label": results.multi_label,
        "examples": examples.examples(results.card.name, list(frames[pairs[0].title].values())[-1], right=False)
        if results.card.has_sound
        else [],
        "absent": _absent(results),
        "left_out": results.left_out,
    }
    always = {"scores", "more", "data"}
    chapters = {name: title for name, title in CHAPTERS.items() if name in always or section[name]}
    return section | {"chapters": chapters}


def _tutorial(results: DatasetResults, pairs: list[Pair]) -> dict[str, Any] | None:
    """Return the tutorial of the dataset's task if it has a figure for one of the experiments."""
    tutorial = tutorial_figures(results.card.task)
    known = tutorial and any(pair.experiment in tutorial["accuracy"] for pair in pairs)
    return tutorial if known else None


def _label(subject: str, results: DatasetResults) -> str:
    return f"{subject} on {results.card.label}"


def _predictions(results: DatasetResults, pair: Pair) -> dict[str, pd.DataFrame]:
    """Return the predictions of an experiment over all seeds, by protocol; the grouped ones last."""
    cells = _by_protocol(results, pair)
    return {name: pd.concat([cell.predictions for cell in same]) for name, same in cells.items()}


def _after(results: DatasetResults, pair: Pair) -> dict[str, pd.DataFrame]:
    """Return the grouped predictions of an experiment after calibration, where it was calibrated."""
    cells = _by_protocol(results, pair).get("grouped", [])
    if not cells or not calibrated(cells):
        return {}
    return {"calibrated": pd.concat([calibrated_predictions(cell) for cell in cells])}


def _reliability(
    prefix: str, results: DatasetResults, title: str, both: dict[str, pd.DataFrame], after: dict[str, pd.DataFrame]
) -> Markup:
    bins = {name: classification.reliability(frame) for name, frame in both.items()}
    bins |= {name: classification.reliability(frame) for name, frame in after.items()}
    return Markup(plots.reliability(bins, prefix, _label(f"Reliability of {title}", results)))


def _by_class(both: dict[str, pd.DataFrame]) -> dict[str, Any]:
    tables = {name: classification.by_class(frame).set_index("class") for name, frame in both.items()}
    classes = sorted(set().union(*(table.index for table in tables.values())))
    rows = [(label, {name: _known(table.loc[label].to_dict()) for name, table in tables.items()}) for label in classes]
    metrics = {name: title for name, title in CLASS_METRICS.items() if all(name in table for table in tables.values())}
    return {"protocols": list(tables), "metrics": metrics, "rows": rows}


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if pd.isna(value) else value for name, value in values.items()}


def _largest_class(results: DatasetResults) -> float:
    """Return the share of tested windows in the largest class, of the grouped protocol where it was run."""
    cell = next((cell for cell in results.cells if cell.protocol == "grouped"), results.cells[0])
    return float(cell.predictions["label"].value_counts(normalize=True).max())


def _plot(number: int, results: DatasetResults, pairs: list[Pair], largest_class: float) -> Markup:
    label = f"How many of 100 sounds each model names right on {results.card.label}, {_values(pairs)}"
    return Markup(plots.published_against_grouped(pairs, largest_class, f"accuracy-{number}", label))


def _values(pairs: list[Pair]) -> str:
    """Write what a panel of the first screen shows, for those who can't see it."""
    told = []
    for pair in pairs:
        values = [
            f"{words.PLAIN[name]} {100 * pair.score('accuracy', name):.0f}" for name in PROTOCOLS if name in pair.scores
        ]
        told.append(f"{pair.title}: {', '.join(values)}")
    return "; ".join(told)


def _contrasts(pairs: list[Pair], contrasts: words.Contrasts) -> list[dict[str, Any]]:
    """Return two experiments and their differences by protocol, for each row of the table of differences."""
    return [
        {"a": a, "b": b, "differences": {name: a.against(b, name) for name in PROTOCOLS}}
        for contrast in contrasts
        for a, b in contrast_pairs(pairs, contrast)
    ]


def _curves(prefix: str, results: DatasetResults, pair: Pair) -> dict[str, Any]:
    cells = _by_protocol(results, pair)
    history = {name: pd.concat([cell.history for cell in same]) for name, same in cells.items()}
    runs = {name: [run for cell in same for run in cell.runs] for name, same in cells.items()}
    label = f"Training and validation loss per epoch of {pair.title} on {results.card.label}"
    return {"title": pair.title, "plot": Markup(plots.learning_curves(history, runs, prefix, label))}


def _layers(results: DatasetResults, pair: Pair) -> list[dict[str, Any]]:
    """Return the rows of an experiment's model summary; they are the same in all of its runs."""
    cells = _by_protocol(results, pair)
    return next(iter(cells.values()))[0].runs[0]["layers"]


def _matrices(pair: Pair, both: dict[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    return {name: _matrix(pair, name, frame) for name, frame in both.items()}


def _matrix(pair: Pair, protocol: str, predictions: pd.DataFrame) -> dict[str, Any]:
    """Return counts and, of each true class, the share of each predicted class, with the address of each cell."""
    classes = classification.classes_of(predictions)
    counts = classification.confusion(predictions, classes)
    totals = counts.sum(axis=1)
    rows = [
        {
            "label": label,
            "total": int(total),
            "cells": [
                {
                    "count": int(count),
                    "share": float(count / max(total, 1)),
                    "windows": pair.windows(protocol, label, predicted),
                }
                for predicted, count in zip(classes, line, strict=True)
            ],
            "recall": float(line[place] / total) if total else None,
        }
        for place, (label, line, total) in enumerate(zip(classes, counts, totals, strict=True))
    ]
    return {"id": pair.matrix(protocol), "classes": classes, "rows": rows}


def _by_protocol(results: DatasetResults, pair: Pair) -> dict[str, list[Cell]]:
    """Return the cells of an experiment in one wiring, by protocol; several where there are several seeds."""
    mine = (pair.input, pair.model, pair.wiring)
    same = [cell for cell in results.cells if (cell.input, cell.model, cell.wiring) == mine]
    cells = {name: [cell for cell in same if cell.protocol == name] for name in PROTOCOLS}
    return {name: found for name, found in cells.items() if found}


def _absent(results: DatasetResults) -> dict[str, list[str]]:
    """Return for each protocol the classes that some test part has no window of."""
    found: dict[str, set[str]] = {}
    for cell in results.cells:
        found.setdefault(cell.protocol, set()).update(classification.untested_classes(cell.predictions))
    return {protocol: sorted(classes) for protocol, classes in found.items() if classes}
