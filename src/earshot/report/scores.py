"""The rows of summary.json, published beside grouped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earshot.pages.numbers import NOTHING, interval, signed
from earshot.tracking import links

Scores = dict[str, Any]
Summary = Mapping[str, list[dict[str, Any]]]

WHAT = ["dataset", "synthetic", "task", "input", "model", "wiring"]
TIME_DOMAIN = "waveform"
SPECTROGRAMS = ["log_spectrogram", "log_mel"]


@dataclass(frozen=True)
class Difference:
    """A difference of two accuracies with its 95 % interval, and McNemar's tests where they were made."""

    value: float
    low: float | None
    high: float | None
    windows: dict[str, Any] | None = None
    recordings: dict[str, Any] | None = None

    @property
    def unsure(self) -> bool:
        """Whether the interval holds 0, or there is none: the data don't tell the two apart."""
        return self.low is None or self.low <= 0 <= self.high

    def turned(self) -> Difference:
        """Return the difference the other way round."""
        low, high = (None, None) if self.low is None else (-self.high, -self.low)
        return Difference(-self.value, low, high, *(_turned(test) for test in (self.windows, self.recordings)))


@dataclass(frozen=True)
class Pair:
    """One experiment of one dataset; `scores` holds a row of the summary for each protocol.

    `title` names it as briefly as tells it apart: with its wiring only where there are several. `inflation` is the
    published accuracy minus the grouped one; None where one of the two is not there.
    """

    dataset: str
    synthetic: bool
    task: str
    input: str
    model: str
    wiring: str
    title: str
    scores: dict[str, Scores]
    inflation: Difference | None
    _others: dict[tuple[str, str], Difference]

    @property
    def shown_dataset(self) -> str:
        """The dataset as results show it: a synthetic one always says so (as `Card.label` does)."""
        return f"{self.dataset} (synthetic)" if self.synthetic else self.dataset

    @property
    def experiment(self) -> str:
        """INPUT-MODEL."""
        return f"{self.input}-{self.model}"

    @property
    def anchor(self) -> str:
        """The id of its row in the report."""
        return links.anchor(self.dataset, self.input, self.model, self.wiring)

    def runs(self, protocol: str) -> str:
        """Return the address of its runs in the dashboard."""
        return links.runs(self.dataset, self.input, self.model, self.wiring, protocol)

    def matrix(self, protocol: str) -> str:
        """Return the id of its confusion matrix in the report."""
        return links.matrix(self.dataset, self.input, self.model, self.wiring, protocol)

    def windows(self, protocol: str, true: str, predicted: str) -> str:
        """Return the address of the windows in a cell of its confusion matrix."""
        return links.windows(self.dataset, self.input, self.model, self.wiring, protocol, true, predicted)

    def score(self, metric: str, protocol: str) -> float | None:
        """Return a score, or None where that protocol was not run or the metric could not be computed."""
        return self.scores.get(protocol, {}).get(metric)

    def against(self, other: Pair, protocol: str) -> Difference | None:
        """Return how much higher this experiment's accuracy is than that of another of the same wiring."""
        return self._others.get((protocol, other.experiment)) if other.wiring == self.wiring else None


def side_by_side(summary: Summary) -> list[Pair]:
    """Return a pair per dataset, input, model and wiring, in the order in which the summary has them first."""
    several = len({row["wiring"] for row in summary["scores"]}) > 1
    found: dict[tuple, dict[str, Scores]] = {}
    for row in summary["scores"]:
        found.setdefault(tuple(row[name] for name in WHAT), {})[row["protocol"]] = row
    inflated = {
        (row["dataset"], row["input"], row["model"], row["wiring"]): _difference(row) for row in summary["inflation"]
    }
    others = _by_experiment(summary["comparisons"])
    return [
        Pair(
            *what,
            _title(what, several),
            scores,
            inflated.get((what[0], *what[3:])),
            others.get((what[0], what[5], f"{what[3]}-{what[4]}"), {}),
        )
        for what, scores in found.items()
    ]


def _by_experiment(rows: list[dict[str, Any]]) -> dict[tuple, dict[tuple[str, str], Difference]]:
    """Return for each dataset, wiring and experiment its differences by protocol and other experiment."""
    found: dict[tuple, dict[tuple[str, str], Difference]] = {}
    for row in rows:
        one = _difference(row)
        for mine, other, difference in ((row["a"], row["b"], one), (row["b"], row["a"], one.turned())):
            found.setdefault((row["dataset"], row["wiring"], mine), {})[row["protocol"], other] = difference
    return found


def _difference(row: dict[str, Any]) -> Difference:
    return Difference(row["difference"], row["low"], row["high"], row.get("windows"), row.get("recordings"))


def _turned(test: dict[str, Any] | None) -> dict[str, Any] | None:
    return test and {"only_a": test["only_b"], "only_b": test["only_a"], "p": test["p"]}


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


def same_input(pairs: list[Pair]) -> list[tuple[Pair, Pair]]:
    """Return (CNN, LSTM) for all pairs that share input and wiring."""
    return [
        (cnn, lstm)
        for cnn in pairs
        if cnn.model == "cnn"
        for lstm in pairs
        if (lstm.model, lstm.input, lstm.wiring) == ("lstm", cnn.input, cnn.wiring)
    ]


def _title(what: tuple, several_wirings: bool) -> str:
    *_, source, model, wiring = what
    return f"{source}-{model} ({wiring} wiring)" if several_wirings else f"{source}-{model}"


def changed(difference: Difference | None) -> str:
    """Write a difference with its interval below it, and ≈ where the interval holds 0."""
    if difference is None:
        return NOTHING
    mark = " ≈" if difference.unsure else ""
    return f"{signed(difference.value)}{mark}\n{interval(difference.low, difference.high, signed)}".rstrip()
