"""What a person who must choose a model wants to see of each, in one row: scores of all kinds, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earshot.report.scores import Pair, Summary, rank
from earshot.report.words import STREET_DB

MEGA = 1e6
PROTOCOLS = ("published", "grouped", "elsewhere")
POINTS = ("chosen", "default")  # of the stage `events`: the first that there is


def best_first(pairs: list[Pair]) -> list[Pair]:
    """Return the experiments by their accuracy elsewhere; those not tested there follow by grouped, then published."""
    order: list[Pair] = []
    for protocol in reversed(PROTOCOLS):
        order += [pair for pair in rank(pairs, protocol) if not any(pair is other for other in order)]
    return order


def rows(
    pairs: list[Pair], summary: Summary, seconds: Mapping[str, float], tutorial: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return a row for each experiment of a dataset, the best first.

    Parameters
    ----------
    pairs : the experiments
    summary : see `report.summary`
    seconds : of compute for an hour of sound, by experiment (INPUT-MODEL); of those that were measured
    tutorial : the accuracies that the task's tutorial prints, by experiment

    Returns
    -------
    `title`, `tutorial` (whether the experiment is the tutorial's), `published`, `grouped` and `elsewhere` (accuracies),
    `noise` (recall of the alarm with a street as loud as it), `false_alarms` (per hour, from the stage `events`),
    `seconds` and `megabytes`; None where something is not known
    """
    first: dict[tuple[str, str, str], str] = {}  # the wiring whose models other stages test
    for row in summary["scores"]:
        first.setdefault((row["dataset"], row["input"], row["model"]), row["wiring"])
    found = []
    for pair in best_first(pairs):
        tested = first[pair.dataset, pair.input, pair.model] == pair.wiring
        noise = _of(pair, [row for row in summary["noise"] if row["snr_db"] == STREET_DB]) if tested else []
        events = _of(pair, summary.get("events", [])) if tested else []
        events = [row for point in POINTS for row in events if row["point"] == point]
        size = pair.score("bytes", "grouped") or pair.score("bytes", "published")
        found.append(
            {
                "title": pair.title,
                "tutorial": pair.experiment in tutorial,
                **{name: pair.score("accuracy", name) for name in PROTOCOLS},
                "noise": noise[0]["recall"] if noise else None,
                "false_alarms": events[0]["false_alarms_per_hour"] if events else None,
                "seconds": seconds.get(pair.experiment) if tested else None,
                "megabytes": size / MEGA if size else None,
            }
        )
    return found


def _of(pair: Pair, of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    mine = (pair.dataset, pair.input, pair.model)
    return [row for row in of if (row["dataset"], row["input"], row["model"]) == mine]
