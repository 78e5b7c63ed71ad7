"""The report: one HTML file with everything inside, that asks no network for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from earshot import metrics
from earshot.report import numbers, plots, words
from earshot.report.pairs import Pair, difference, ranked, same_model, side_by_side, within_chance
from earshot.report.study import Cell, Study

HERE = Path(__file__).parent
PROTOCOLS = ["published", "grouped"]


def render(studies: list[Study], rows: list[dict[str, Any]]) -> str:
    """Return the report on `studies`, whose scores are `rows` (see `earshot.compare`)."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,  # class and dataset names come from the user's folders
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for write in (numbers.score, numbers.signed, numbers.percent, numbers.whole, numbers.duration):
        environment.filters[write.__name__] = write
    pairs = side_by_side(rows)
    sections = [_section(number, study, pairs) for number, study in enumerate(studies)]
    style = Markup((HERE / "style.css").read_text("utf-8"))
    template = environment.get_template("page.html.j2")
    return template.render(sections=sections, style=style, seeds=len({row["seed"] for row in rows}))


def tutorial_figures(task: str) -> dict[str, Any] | None:
    """Return what the tutorial of `task` prints (tutorial.yaml), or None where there is no tutorial."""
    tutorials = yaml.safe_load((HERE / "tutorial.yaml").read_text("utf-8"))
    return next((tutorial for tutorial in tutorials if tutorial["task"] == task), None)


def _section(number: int, study: Study, all_pairs: list[Pair]) -> dict[str, Any]:
    pairs = [pair for pair in all_pairs if pair.dataset == study.card.name]
    pairs = ranked(pairs, "grouped") or ranked(pairs, "published")
    largest_class = _largest_class(study)
    return {
        "id": f"dataset-{number}",
        "card": study.card,
        "counts": study.counts,
        "pairs": pairs,
        "answer": words.answer(pairs, largest_class),
        "plot": _plot(number, study, pairs, largest_class),
        "tutorial": tutorial_figures(study.card.task),
        "contrasts": [_contrast(*two) for two in same_model(pairs)],
        "curves": [_curves(f"curves-{number}-{n}", study, pair) for n, pair in enumerate(pairs)],
        "confusions": [_confusions(study, pair) for pair in pairs],
        "absent": _absent(study),
    }


def _largest_class(study: Study) -> float:
    """Return the share of tested windows in the largest class, of the grouped protocol where it was run."""
    cell = next((cell for cell in study.cells if cell.protocol == "grouped"), study.cells[0])
    return float(cell.predictions["label"].value_counts(normalize=True).max())


def _plot(number: int, study: Study, pairs: list[Pair], largest_class: float) -> Markup:
    label = f"Accuracy on {study.card.label}, published against grouped; the table below has the values"
    return Markup(plots.published_against_grouped(pairs, largest_class, f"accuracy-{number}", label))


def _contrast(waveform: Pair, spectrogram: Pair) -> dict[str, Any]:
    """Set the time domain against a spectrogram, under each protocol that both were run with."""
    both = [name for name in PROTOCOLS if name in waveform.scores and name in spectrogram.scores]
    return {
        "waveform": waveform,
        "spectrogram": spectrogram,
        "gain": {
            name: difference(spectrogram.score("accuracy", name), waveform.score("accuracy", name)) for name in both
        },
        "small": {name: within_chance(spectrogram.scores[name], waveform.scores[name]) for name in both},
    }


def _curves(prefix: str, study: Study, pair: Pair) -> dict[str, Any]:
    cells = _by_protocol(study, pair)
    history = {name: pd.concat([cell.history for cell in same]) for name, same in cells.items()}
    runs = {name: [run for cell in same for run in cell.runs] for name, same in cells.items()}
    label = f"Training and validation loss per epoch of {pair.title} on {study.card.label}"
    return {"title": pair.title, "plot": Markup(plots.learning_curves(history, runs, prefix, label))}


def _confusions(study: Study, pair: Pair) -> dict[str, Any]:
    cells = _by_protocol(study, pair)
    pooled = {name: pd.concat([cell.predictions for cell in same]) for name, same in cells.items()}
    return {"title": pair.title, "matrices": {name: _matrix(frame) for name, frame in pooled.items()}}


def _matrix(predictions: pd.DataFrame) -> dict[str, Any]:
    """Return counts and, of each true class, the share that each predicted class got."""
    classes = metrics.classes_of(predictions)
    counts = metrics.confusion(predictions, classes)
    totals = counts.sum(axis=1)
    rows = [
        {
            "label": label,
            "total": int(total),
            "cells": [(int(count), float(count / max(total, 1))) for count in line],
            "recall": float(line[place] / total) if total else None,
        }
        for place, (label, line, total) in enumerate(zip(classes, counts, totals, strict=True))
    ]
    return {"classes": classes, "rows": rows}


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
        found.setdefault(cell.protocol, set()).update(metrics.absent(cell.predictions))
    return {protocol: sorted(classes) for protocol, classes in found.items() if classes}
