"""The report: one HTML file with everything inside, that asks no network for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup

from earshot.metrics import classification
from earshot.pages import html
from earshot.report import plots, words
from earshot.report.results import Cell, Study
from earshot.report.scores import Pair, Summary, changed, ranked, same_input, same_model, side_by_side
from earshot.tracking import examples

HERE = Path(__file__).parent
PROTOCOLS = ["published", "grouped"]


def render(studies: list[Study], summary: Summary) -> str:
    """Return the report on `studies`, whose scores are in `summary` (see `report.summary`)."""
    pairs = side_by_side(summary)
    sections = [_section(number, study, pairs, summary) for number, study in enumerate(studies)]
    seeds = max(row["seeds"] for row in summary["scores"])
    return html.template(HERE / "page.html.j2", changed).render(sections=sections, seeds=seeds)


def tutorial_figures(task: str) -> dict[str, Any] | None:
    """Return what the tutorial of `task` prints (tutorial.yaml), or None where there is no tutorial."""
    tutorials = yaml.safe_load((HERE / "tutorial.yaml").read_text("utf-8"))
    return next((tutorial for tutorial in tutorials if tutorial["task"] == task), None)


def _section(number: int, study: Study, all_pairs: list[Pair], summary: Summary) -> dict[str, Any]:
    pairs = [pair for pair in all_pairs if pair.dataset == study.card.name]
    pairs = ranked(pairs, "grouped") or ranked(pairs, "published")
    frames = {pair.title: _predictions(study, pair) for pair in pairs}
    largest_class = _largest_class(study)
    tutorial = tutorial_figures(study.card.task)
    ladder, other = (
        [row for row in summary[name] if row["dataset"] == study.card.name] for name in ("noise", "cross_dataset")
    )
    alarm = study.asked["alarm"] if study.asked else ""
    return {
        "id": f"dataset-{number}",
        "card": study.card,
        "counts": study.counts,
        "pairs": pairs,
        "answer": words.answer(pairs, largest_class),
        "why": words.why(pairs, tutorial, study.audit),
        "street": words.street(ladder, other, alarm),
        "plot": _plot(number, study, pairs, largest_class),
        "tutorial": tutorial,
        "contrasts": [_contrast(*two) for two in (*_spectrogram_first(pairs), *_lstm_first(pairs))],
        "ladder": ladder,
        "ladder_plot": ladder and Markup(plots.noise_ladder(ladder, f"noise-{number}", _said("Noise ladder", study))),
        "alarm": alarm,
        "cross_dataset": other,
        "curves": [_curves(f"curves-{number}-{n}", study, pair) for n, pair in enumerate(pairs)],
        "reliability": [
            {"title": title, "plot": _reliability(f"reliability-{number}-{n}", study, title, both)}
            for n, (title, both) in enumerate(frames.items())
        ],
        "classes": [{"title": title, **_by_class(both)} for title, both in frames.items()],
        "models": [{"title": pair.title, "layers": _layers(study, pair)} for pair in pairs],
        "confusions": [{"title": pair.title, "matrices": _matrices(pair, frames[pair.title])} for pair in pairs],
        "examples": examples.examples(study.card.name, list(frames[pairs[0].title].values())[-1], right=False),
        "absent": _absent(study),
    }


def _said(what: str, study: Study) -> str:
    return f"{what} on {study.card.label}"


def _predictions(study: Study, pair: Pair) -> dict[str, pd.DataFrame]:
    """Return the predictions of an experiment, of all seeds, by protocol; the grouped ones last."""
    cells = _by_protocol(study, pair)
    return {name: pd.concat([cell.predictions for cell in same]) for name, same in cells.items()}


def _reliability(prefix: str, study: Study, title: str, both: dict[str, pd.DataFrame]) -> Markup:
    bins = {name: classification.reliability(frame) for name, frame in both.items()}
    return Markup(plots.reliability(bins, prefix, _said(f"Reliability of {title}", study)))


def _by_class(both: dict[str, pd.DataFrame]) -> dict[str, Any]:
    tables = {name: classification.by_class(frame).set_index("class") for name, frame in both.items()}
    classes = sorted(set().union(*(table.index for table in tables.values())))
    rows = [(label, {name: _known(table.loc[label].to_dict()) for name, table in tables.items()}) for label in classes]
    return {"protocols": list(tables), "rows": rows}


def _known(values: dict[str, float]) -> dict[str, float | None]:
    return {name: None if pd.isna(value) else value for name, value in values.items()}


def _largest_class(study: Study) -> float:
    """Return the share of tested windows in the largest class, of the grouped protocol where it was run."""
    cell = next((cell for cell in study.cells if cell.protocol == "grouped"), study.cells[0])
    return float(cell.predictions["label"].value_counts(normalize=True).max())


def _plot(number: int, study: Study, pairs: list[Pair], largest_class: float) -> Markup:
    label = f"Accuracy on {study.card.label}, published against grouped; the table below has the values"
    return Markup(plots.published_against_grouped(pairs, largest_class, f"accuracy-{number}", label))


def _spectrogram_first(pairs: list[Pair]) -> list[tuple[Pair, Pair]]:
    return [(spectrogram, waveform) for waveform, spectrogram in same_model(pairs)]


def _lstm_first(pairs: list[Pair]) -> list[tuple[Pair, Pair]]:
    return [(lstm, cnn) for cnn, lstm in same_input(pairs)]


def _contrast(a: Pair, b: Pair) -> dict[str, Any]:
    """Set one experiment against another, under each protocol that both were run with."""
    return {"a": a, "b": b, "differences": {name: a.against(b, name) for name in PROTOCOLS}}


def _curves(prefix: str, study: Study, pair: Pair) -> dict[str, Any]:
    cells = _by_protocol(study, pair)
    history = {name: pd.concat([cell.history for cell in same]) for name, same in cells.items()}
    runs = {name: [run for cell in same for run in cell.runs] for name, same in cells.items()}
    label = f"Training and validation loss per epoch of {pair.title} on {study.card.label}"
    return {"title": pair.title, "plot": Markup(plots.learning_curves(history, runs, prefix, label))}


def _layers(study: Study, pair: Pair) -> list[dict[str, Any]]:
    """Return the rows of an experiment's model summary; they are the same in all of its runs."""
    cells = _by_protocol(study, pair)
    return next(iter(cells.values()))[0].runs[0]["layers"]


def _matrices(pair: Pair, both: dict[str, pd.DataFrame]) -> dict[str, dict[str, Any]]:
    return {name: _matrix(pair, name, frame) for name, frame in both.items()}


def _matrix(pair: Pair, protocol: str, predictions: pd.DataFrame) -> dict[str, Any]:
    """Return counts and, of each true class, the share that each predicted class got, with the address of each cell."""
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


def _by_protocol(study: Study, pair: Pair) -> dict[str, list[Cell]]:
    """Return the cells of an experiment in one wiring, by protocol; several where there are several seeds."""
    what = (pair.input, pair.model, pair.wiring)
    mine = [cell for cell in study.cells if (cell.input, cell.model, cell.wiring) == what]
    cells = {name: [cell for cell in mine if cell.protocol == name] for name in PROTOCOLS}
    return {name: same for name, same in cells.items() if same}


def _absent(study: Study) -> dict[str, list[str]]:
    """Return for each protocol the classes that some test part has no window of."""
    found: dict[str, set[str]] = {}
    for cell in study.cells:
        found.setdefault(cell.protocol, set()).update(classification.absent(cell.predictions))
    return {protocol: sorted(classes) for protocol, classes in found.items() if classes}
