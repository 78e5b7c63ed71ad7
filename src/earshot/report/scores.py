"""The scores of each experiment under both protocols, from the rows of summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earshot import project
from earshot.errors import EarshotError
from earshot.pages.numbers import NOTHING, interval, signed
from earshot.settings import WIRINGS
from earshot.tracking import links

Scores = dict[str, Any]
Summary = Mapping[str, list[dict[str, Any]]]

PARTS = [  # of summary.json, see `report.summary`
    *["scores", "inflation", "comparisons", "noise", "cross_dataset", "elsewhere", "swapped", "events", "calibration"]
]
KEYS = [*PARTS, "contrasts"]
PAIR = ["dataset", "synthetic", "task", "input", "model", "wiring"]
SHARED = {"input": "model", "model": "input"}  # what two experiments have in common that differ in the other


def read_summary(path: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return the comparison in a summary.json, by default the project's; see `report.summary`.

    Raises
    ------
    EarshotError
        If there is no comparison yet, or it can't be read, or an earlier version wrote it.
    """
    path = path or project.report("summary.json")
    try:
        summary = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing. Run `dvc repro` in its project to make it") from None
    except (ValueError, OSError) as error:
        raise EarshotError(f"{path} can't be read ({error}). Delete it and run `dvc repro` in its project") from None
    if not set(KEYS) <= set(summary) or any(row["wiring"] not in WIRINGS for row in summary["scores"]):
        raise EarshotError(f"{path} was written by an earlier version of earshot. Run `dvc repro` in its project")
    return summary


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
        """Whether the interval contains 0, or there is none: the data can't distinguish the two."""
        return self.low is None or self.high is None or self.low <= 0 <= self.high

    def reversed(self) -> Difference:
        """Return the second experiment's difference from the first."""
        low, high = (None, None) if self.low is None or self.high is None else (-self.high, -self.low)
        return Difference(-self.value, low, high, *(_reversed(test) for test in (self.windows, self.recordings)))


@dataclass(frozen=True)
class Pair:
    """One experiment of one dataset, under both protocols; `scores` holds a row of the summary for each protocol.

    `title` is INPUT-MODEL, with the wiring where there are several. `inflation` is the published accuracy minus the
    grouped one; None where one of the two is missing. `elsewhere` is its row of that part of the summary: how its
    grouped models do on other datasets; None where they were not tested there.
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
    elsewhere: Scores | None = None

    @property
    def shown_dataset(self) -> str:
        """The dataset's name, marked where it is synthetic (as `Card.label`)."""
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
        """Return a score, or None where that protocol was not run or the metric could not be computed.

        `protocol` may be `elsewhere`.
        """
        row = self.elsewhere if protocol == "elsewhere" else self.scores.get(protocol)
        return (row or {}).get(metric)

    def against(self, other: Pair, protocol: str) -> Difference | None:
        """Return this experiment's accuracy minus that of another; None where they were not compared."""
        return self._others.get((protocol, other.experiment)) if other.wiring == self.wiring else None


def side_by_side(summary: Summary) -> list[Pair]:
    """Return a pair per dataset, input, model and wiring, in the order of the summary."""
    several = len({row["wiring"] for row in summary["scores"]}) > 1
    found: dict[tuple, dict[str, Scores]] = {}
    for row in summary["scores"]:
        found.setdefault(tuple(row[name] for name in PAIR), {})[row["protocol"]] = row
    inflations = {
        (row["dataset"], row["input"], row["model"], row["wiring"]): _difference(row) for row in summary["inflation"]
    }
    others = _by_experiment(summary["comparisons"])
    elsewhere = {
        (row["dataset"], row["input"], row["model"], row["wiring"]): row for row in summary.get("elsewhere", [])
    }
    return [
        Pair(
            *key,
            _title(key, several),
            scores,
            inflations.get((key[0], *key[3:])),
            others.get((key[0], key[5], f"{key[3]}-{key[4]}"), {}),
            elsewhere.get((key[0], *key[3:])),
        )
        for key, scores in found.items()
    ]


def _by_experiment(rows: list[dict[str, Any]]) -> dict[tuple, dict[tuple[str, str], Difference]]:
    """Return for each dataset, wiring and experiment its differences by protocol and other experiment."""
    found: dict[tuple, dict[tuple[str, str], Difference]] = {}
    for row in rows:
        a_minus_b = _difference(row)
        for name, other, difference in ((row["a"], row["b"], a_minus_b), (row["b"], row["a"], a_minus_b.reversed())):
            found.setdefault((row["dataset"], row["wiring"], name), {})[row["protocol"], other] = difference
    return found


def _difference(row: dict[str, Any]) -> Difference:
    return Difference(row["difference"], row["low"], row["high"], row.get("windows"), row.get("recordings"))


def _reversed(test: dict[str, Any] | None) -> dict[str, Any] | None:
    return test and {"only_a": test["only_b"], "only_b": test["only_a"], "p": test["p"]}


def rank(pairs: list[Pair], protocol: str) -> list[Pair]:
    """Return the pairs that were run under `protocol`, or tested `elsewhere`, the highest accuracy first."""
    run = [pair for pair in pairs if pair.score("accuracy", protocol) is not None]
    return sorted(run, key=lambda pair: -pair.score("accuracy", protocol))


def contrast_pairs(pairs: list[Pair], contrast: Mapping[str, list[str]]) -> list[tuple[Pair, Pair]]:
    """Return the experiments that differ in one part alone, by what they share.

    Parameters
    ----------
    pairs
        The experiments of one dataset.
    contrast
        An item of `contrasts` in params.yaml, e.g. `{"model": ["cnn", "lstm"]}`.

    Returns
    -------
    (second, first) for each combination of shared part and wiring that both were run with; it may be empty
    """
    ((part, (first, second)),) = contrast.items()
    shared = SHARED[part]
    found = [
        (b, a)
        for a in pairs
        if getattr(a, part) == first
        for b in pairs
        if getattr(b, part) == second and (getattr(a, shared), a.wiring) == (getattr(b, shared), b.wiring)
    ]
    return sorted(found, key=lambda both: (getattr(both[0], shared), both[0].wiring))


def _title(key: tuple, several_wirings: bool) -> str:
    *_, input_name, model, wiring = key
    return f"{input_name}-{model} ({wiring} wiring)" if several_wirings else f"{input_name}-{model}"


def difference_text(difference: Difference | None) -> str:
    """Write a difference with its interval below it, and ≈ where the interval holds 0."""
    if difference is None:
        return NOTHING
    mark = " ≈" if difference.unsure else ""
    return f"{signed(difference.value)}{mark}\n{interval(difference.low, difference.high, signed)}".rstrip()
