"""The report's first screen: three sentences in plain words, which claim no more than the intervals allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from earshot.pages.numbers import MINUS, percent
from earshot.report.scores import Difference, Pair, Scores, rank
from earshot.report.words import STREET_DB

NAMED = 2  # of those that are too close to the first, the others are counted
NOT_RUN = "no model has a score: that test was not run"
NOT_ELSEWHERE = "no model was tested on another dataset"


@dataclass(frozen=True)
class Known:
    """What is known of one dataset.

    `largest_class` is the share of tested windows that the largest class has: what always naming it would score;
    `ladder` and `swapped` are its rows of the parts `noise` and `swapped` of the summary; `warned` tells whether its
    manifest has a warning.
    """

    name: str
    pairs: list[Pair]
    largest_class: float
    ladder: list[dict[str, Any]] = field(default_factory=list)
    swapped: list[dict[str, Any]] = field(default_factory=list)
    warned: bool = False


@dataclass(frozen=True)
class Sentence:
    """A sentence: what was done, then what came of it. `key` names its mark in the figure, where it has one."""

    key: str
    lead: str
    rest: str


def sentences(datasets: list[Known]) -> list[Sentence]:
    """Say which model is best where it can't remember, how much of the other scores is lost there, and what to mind."""
    return [
        Sentence(
            "grouped",
            "Tested on recordings, artists or sources it never heard",
            f", {_by_dataset(datasets, _best)}.",
        ),
        Sentence(
            "published",
            "Tested as the tutorials do, on recordings that training may have heard",
            f", {_by_dataset(datasets, _lost)}.",
        ),
        Sentence("", "Be careful", f": {_cautions(datasets)}."),
    ]


def _by_dataset(datasets: list[Known], say: Callable[[Known], str]) -> str:
    """Say something of each dataset with its name; without it where there is one, or all have the same said of them."""
    names: dict[str, list[str]] = {}
    for one in datasets:
        if text := say(one):
            names.setdefault(text, []).append(one.name)
    if [len(where) for where in names.values()] == [len(datasets)]:
        return next(iter(names))
    return "; ".join(f"for {_listed(where)}, {text}" for text, where in names.items())


def _best(one: Known) -> str:
    """Say which model is best without leak, and how surely."""
    order = rank(one.pairs, "grouped")
    if not order:
        return NOT_RUN
    first, *others = order
    right = _right(first.scores["grouped"])
    if (first.score("accuracy_low", "grouped") or 0) <= one.largest_class:
        return f"{first.title} comes first with {right}, not surely better than guessing ({percent(one.largest_class)})"
    if not others:
        return f"{first.title}, the only model, has {right}"
    margins = [first.against(pair, "grouped") for pair in others]
    surely = all(margin and not margin.unsure for margin in margins)
    return f"{first.title} {'is best' if surely else 'comes first'} with {right}{_close(first, others, 'grouped')}"


def _close(first: Pair, others: list[Pair], protocol: str) -> str:
    """Name those that the data can't tell from the first."""
    close = [pair for pair in others if (margin := first.against(pair, protocol)) and margin.unsure]
    if not close:
        return ""
    names = [f"{pair.title} ({percent(pair.score('accuracy', protocol))})" for pair in close[:NAMED]]
    more = [f"{len(close) - NAMED} more"] if len(close) > NAMED else []
    return f", too close to call against {_listed([*names, *more])}"


def _lost(one: Known) -> str:
    """Say how much of the highest published score is lost without leak."""
    order = rank(one.pairs, "published")
    if not order:
        return NOT_RUN
    first = order[0]
    reached = f"{first.title} seems to reach {percent(first.score('accuracy', 'published'))}"
    if first.inflation is None:
        return f"{reached}, and what is left of it on unheard ones was not tested"
    losses = [pair.inflation.value for pair in one.pairs if pair.inflation is not None]
    average = f", the average model {_change(fmean(losses))}" if len(losses) > 1 else ""
    return f"{reached} {_fall(first.inflation)}{average}"


def _fall(inflation: Difference) -> str:
    """Say whether a score falls without leak, and by how many points."""
    low, high = inflation.low, inflation.high
    if low is None or high is None:
        return f"but {_change(inflation.value)} on unheard ones (interval unknown)"
    if _number(abs(low)) == _number(abs(high)) == "0":
        return "and loses nothing on unheard ones"
    if inflation.unsure:
        points = f"{_number(low)} to {_number(high)} points"
        return f"but whether it loses any on unheard ones is too close to call ({points})"
    if inflation.value < 0:
        low, high = -high, -low
    return f"but {_change(inflation.value)} on unheard ones ({_number(low)} to {_number(high)})"


def _change(loss: float) -> str:
    points = _number(abs(loss))
    if points == "0":
        return "loses nothing"
    return f"{'gains' if loss < 0 else 'loses'} {points} point{'' if points == '1' else 's'}"


def _cautions(datasets: list[Known]) -> str:
    """Say what the scores don't tell, and how the models do elsewhere or in noise, where it is known."""
    kinds = [_beyond, _untested, _by_conditions, _warned]
    told = [_synthetic(datasets), *(_by_dataset(datasets, say) for say in kinds)]
    return "; ".join(text for text in told if text)


def _synthetic(datasets: list[Known]) -> str:
    made = [one.name for one in datasets if any(pair.synthetic for pair in one.pairs)]
    if not made:
        return ""
    which = "all recordings here" if len(made) == len(datasets) else f"the recordings of {_listed(made)}"
    return f"{which} are made by code, so no conclusion about real streets or music follows"


def _beyond(one: Known) -> str:
    """Say how the best model does on other datasets, or, where that was not tested, in noise."""
    order = rank(one.pairs, "elsewhere")
    if not order:
        return _in_noise(one)
    first, *others = order
    there = first.elsewhere or {}
    on = ", ".join(there["on"])
    return f"{first.title} comes first on other data ({on}) with {_right(there)}{_close(first, others, 'elsewhere')}"


def _untested(one: Known) -> str:
    return "" if rank(one.pairs, "elsewhere") else NOT_ELSEWHERE


def _in_noise(one: Known) -> str:
    """Say how the best detector does with a street as loud as the alarm."""
    steps = [row for row in one.ladder if row["snr_db"] == STREET_DB]
    if not steps:
        return ""
    top = max(steps, key=lambda row: row["f1"])
    found = f"{percent(top['recall'])}{_span(top['recall_low'], top['recall_high'])}"
    return (
        f"of those tested in a street as loud as the alarm, {_name(top)} does best and finds {found} "
        f"of {top['alarm']}, with {top['false_alarms_per_hour']:.0f} false alarms an hour"
    )


def _by_conditions(one: Known) -> str:
    """Say that the best model may go by how recordings were made, where it failed that test."""
    best = [pair.experiment for pair in rank(one.pairs, "grouped")[:1]]
    failed = [row for row in one.swapped if _name(row) in best and not row["passes"]]
    return f"{_name(failed[0])} may go by how the recordings were made" if failed else ""


def _warned(one: Known) -> str:
    return "the data have a warning, told below" if one.warned else ""


def _right(scores: Scores) -> str:
    """Write an accuracy with its interval in percent."""
    return f"{percent(scores['accuracy'])} right{_span(scores['accuracy_low'], scores['accuracy_high'])}"


def _span(low: float | None, high: float | None) -> str:
    return " (interval unknown)" if low is None or high is None else f" ({_number(low)} to {percent(high)})"


def _number(share: float) -> str:
    """Write a share in hundredths, without a sign where it rounds to zero."""
    text = f"{100 * share:.0f}"
    return "0" if text == "-0" else text.replace("-", MINUS)


def _name(row: dict[str, Any]) -> str:
    return f"{row['input']}-{row['model']}"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
