"""The rows of comparison.json, published beside grouped."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from earshot.metrics import chance_margin

Scores = dict[str, float | None]

WHAT = ["dataset", "synthetic", "task", "input", "model", "wiring"]
MEASURED = ["accuracy", "macro_f1", "loss", "windows", "parameters", "folds"]
TIME_DOMAIN = "waveform"
SPECTROGRAMS = ["log_spectrogram", "log_mel"]


@dataclass(frozen=True)
class Pair:
    """One experiment of one dataset; `scores` holds the mean over seeds for each protocol.

    `title` names it as briefly as tells it apart: with its wiring only where there are several.
    """

    dataset: str
    synthetic: bool
    task: str
    input: str
    model: str
    wiring: str
    title: str
    scores: dict[str, Scores]

    @property
    def shown_dataset(self) -> str:
        """The dataset as results show it: a synthetic one always says so (as `Card.label` does)."""
        return f"{self.dataset} (synthetic)" if self.synthetic else self.dataset

    def score(self, metric: str, protocol: str) -> float | None:
        """Return a score, or None where that protocol was not run or the metric could not be computed."""
        return self.scores.get(protocol, {}).get(metric)

    def inflation(self, metric: str = "accuracy") -> float | None:
        """Return published minus grouped, or None where one of the two is not there."""
        return difference(self.score(metric, "published"), self.score(metric, "grouped"))

    @property
    def inflation_within_chance(self) -> bool:
        """Whether chance alone could make as large a difference between the two protocols."""
        return within_chance(self.scores.get("published"), self.scores.get("grouped"))


def side_by_side(rows: list[dict[str, Any]]) -> list[Pair]:
    """Return a pair per dataset, input, model and wiring, in the order in which `rows` has them first."""
    several = len({row["wiring"] for row in rows}) > 1
    found: dict[tuple, dict[str, list[dict]]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in WHAT), {}).setdefault(row["protocol"], []).append(row)
    return [
        Pair(*what, _title(what, several), {protocol: _over_seeds(same) for protocol, same in scores.items()})
        for what, scores in found.items()
    ]


def ranked(pairs: list[Pair], protocol: str) -> list[Pair]:
    """Return the pairs that were run under `protocol`, the highest accuracy first."""
    there = [pair for pair in pairs if protocol in pair.scores]
    return sorted(there, key=lambda pair: -pair.score("accuracy", protocol))


def same_model(pairs: list[Pair]) -> list[tuple[Pair, Pair]]:
    """Return (time domain, spectrogram) for all pairs that share model and wiring, by model."""
    found = [
        (waveform, other)
        for waveform in pairs
        if waveform.input == TIME_DOMAIN
        for other in pairs
        if other.input in SPECTROGRAMS and (other.model, other.wiring) == (waveform.model, waveform.wiring)
    ]
    return sorted(found, key=lambda two: (two[0].model, two[0].wiring, SPECTROGRAMS.index(two[1].input)))


def difference(a: float | None, b: float | None) -> float | None:
    """Return a - b, or None where one of them is."""
    return None if a is None or b is None else a - b


def within_chance(a: Scores | None, b: Scores | None) -> bool:
    """Tell whether chance alone could make two accuracies differ as much; False where one is not there."""
    if not a or not b:
        return False
    margin = chance_margin(a["accuracy"], a["windows"], b["accuracy"], b["windows"])
    return abs(a["accuracy"] - b["accuracy"]) <= margin


def _title(what: tuple, several_wirings: bool) -> str:
    *_, source, model, wiring = what
    return f"{source}-{model} ({wiring} wiring)" if several_wirings else f"{source}-{model}"


def _over_seeds(rows: list[dict[str, Any]]) -> Scores:
    return {name: _mean([row[name] for row in rows]) for name in MEASURED}


def _mean(values: list[float | None]) -> float | None:
    return None if None in values else fmean(values)
