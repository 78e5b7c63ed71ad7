"""The results in plain sentences, which claim no more than the intervals allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import starmap
from statistics import fmean
from typing import Any

from earshot.pages.numbers import interval, percent, score, signed, whole
from earshot.report.scores import SHARED, Difference, Pair, contrast_pairs, rank
from earshot.settings import WIRINGS
from earshot.splits import elsewhere
from earshot.splits.left_out import described, without_window_described

Contrasts = Sequence[Mapping[str, list[str]]]

PLAIN = {  # beside marks and over panels: what each way of testing is, with its name
    "published": "as published",
    "grouped": "unheard (grouped)",
    "elsewhere": "elsewhere",
}
STREET_DB = 0.0  # as loud as the street: the step of the noise ladder that is put into words


def answer(pairs: list[Pair], contrasts: Contrasts, largest_class: float) -> list[str]:
    """Return the main findings on one dataset, a paragraph each.

    Parameters
    ----------
    pairs
        The experiments of one dataset.
    contrasts
        What params.yaml lists under that name.
    largest_class
        Share of the tested windows that the largest class has: the accuracy of always naming it.
    """
    grouped, published = rank(pairs, "grouped"), rank(pairs, "published")
    findings = [
        *winner(pairs),
        inflation([pair for pair in pairs if pair.inflation is not None]),
        other_winner(published, grouped),
        *(change(grouped, contrast) for contrast in contrasts),
        no_better_than_one_class(grouped, largest_class),
    ]
    return [finding for finding in findings if finding]


NOT_ELSEWHERE = "How any of them does elsewhere, on recordings of another dataset, was not tested."


def winner(pairs: list[Pair]) -> list[str]:
    """Say which experiment is best: elsewhere where they were tested there, and without leak on their own dataset.

    Where none was tested elsewhere, it is said.
    """
    grouped = rank(pairs, "grouped")
    own = best(grouped, "grouped") or best(rank(pairs, "published"), "published")
    elsewhere = best(rank(pairs, "elsewhere"), "elsewhere")
    return [elsewhere, own] if elsewhere else [f"{own} {NOT_ELSEWHERE}"]


def best(order: list[Pair], protocol: str) -> str:
    """Say which experiment scores highest under `protocol`, and which are too close to it to call."""
    if not order:
        return ""
    first, *others = order
    condition = {"grouped": "Tested without leak (grouped)", "published": "As published (not leak-free)"}.get(
        protocol, f"Elsewhere (on {', '.join(first.elsewhere['on']) if first.elsewhere else ''})"
    )
    found = f"{condition}, {first.title} scores highest, with an accuracy of {_accuracy(first, protocol)}."
    close = [pair for pair in others if (margin := first.against(pair, protocol)) and margin.unsure]
    if close:
        return f"{found} Too close to it to call: {_listed(close, protocol)}."
    return f"{found} Next comes {_listed(others[:1], protocol)}." if others else found


def inflation(pairs: list[Pair]) -> str:
    """Say how much more the published protocol reports than the grouped one, over all experiments."""
    if not pairs:
        return ""
    order = sorted(pairs, key=lambda pair: pair.inflation.value)
    low, mean, high = order[0], fmean(pair.inflation.value for pair in pairs), order[-1]
    direction = "higher" if mean >= 0 else "lower"
    if len(pairs) == 1:
        bounds = interval(low.inflation.low, low.inflation.high, signed)
        return f"As published, it scores {score(abs(mean))} {direction} {bounds}".rstrip() + "."
    found = (
        f"As published, the same experiments score {score(abs(mean))} {direction} on average: "
        f"from {signed(low.inflation.value)} ({low.title}) to {signed(high.inflation.value)} ({high.title})."
    )
    unsure = sum(pair.inflation.unsure for pair in pairs)
    return f"{found} For {unsure} of the {len(pairs)} the interval of the difference holds 0." if unsure else found


def other_winner(published: list[Pair], grouped: list[Pair]) -> str:
    """Name the experiment that comes first as published, where another one does when grouped."""
    if not published or not grouped or published[0] is grouped[0]:
        return ""
    first = published[0]
    return f"As published, {first.title} would have come first, with {_accuracy(first, 'published')}."


def change(pairs: list[Pair], contrast: Mapping[str, list[str]]) -> str:
    """Say what the second input or model of a contrast changes against the first, all else equal, grouped."""
    ((part, (first, second)),) = contrast.items()
    changes = [f"{_without(part, b)} {_change(b.against(a, 'grouped'))}" for b, a in contrast_pairs(pairs, contrast)]
    if not changes:
        return ""
    return f"With {second} instead of {first}, same {SHARED[part]}, grouped: {'; '.join(changes)}."


def no_better_than_one_class(grouped: list[Pair], largest_class: float) -> str:
    """Name the experiments that are not clearly better than always predicting the largest class."""
    guessing = [pair for pair in grouped if (pair.score("accuracy_low", "grouped") or 0) <= largest_class]
    if not guessing:
        return ""
    names = _listed(guessing, "grouped")
    return f"Not surely better than always naming the largest class ({score(largest_class)}): {names}."


def why(pairs: list[Pair], tutorial: dict[str, Any] | None, audit: dict[str, Any]) -> list[str]:
    """Explain the tutorial's figure, and report the findings of the audit."""
    found = []
    known = [
        pair
        for pair in rank(pairs, "published")
        if tutorial and pair.wiring == WIRINGS[0] and pair.experiment in tutorial["accuracy"] and pair.inflation
    ]
    if known:
        top = max(known, key=lambda pair: tutorial["accuracy"][pair.experiment])
        found.append(
            f"The tutorial prints {score(tutorial['accuracy'][top.experiment])} for {top.experiment} on its own data. "
            f"Scored its way, the same experiment reaches {_accuracy(top, 'published')} here; on groups that it never "
            f"heard, {_accuracy(top, 'grouped')}. New recordings would get the second number at best."
        )
    if "table" in audit:
        return [*found, *_why_of_table(audit)]
    if shares := audit["protocols"].get("published"):
        found.append(
            f"The audit: training has heard {percent(shares['leaking'])} of the windows that the published split tests "
            f"({percent(shares['overlap'])} share samples with a training window, {percent(shares['duplicate'])} sound "
            f"at another place of it too), and it knows the group of {percent(shares['group'])}."
        )
    if shares := audit["protocols"].get("grouped"):
        found.append(
            f"Of the grouped split's {whole(shares['windows'])} windows it has heard {percent(shares['leaking'])}."
        )
    found += _of_folds(audit)
    if hint := audit["hints"].get("group"):
        found.append(
            "A window gives its group away: the most alike training window that shares no samples with it is of the "
            f"same group for {percent(hint['found'])} of the published test windows "
            f"(by chance {percent(hint['chance'])})."
        )
    if hint := audit["hints"].get("label"):
        found.append(
            "Level, bandwidth and sample rate alone name the class of unheard groups with a balanced accuracy of "
            f"{score(hint['balanced_accuracy'])} (by chance {score(hint['chance'])}): a model may learn these instead."
        )
    return found


def _why_of_table(audit: dict[str, Any]) -> list[str]:
    """Report what can be told of a table of features."""
    found = [
        f"No sound was there to be audited: the dataset is a table of features, {audit['table']}. Only rows with the "
        "same numbers are found; a recording that is in it twice, but cut or encoded otherwise, is not."
    ]
    if shares := audit["protocols"].get("published"):
        found.append(
            f"Training has {percent(shares['duplicate'])} of the rows that the published split tests, by their "
            f"numbers, and it knows the group of {percent(shares['group'])}."
        )
    if shares := audit["protocols"].get("grouped"):
        found.append(
            f"Of the grouped split's {whole(shares['windows'])} rows it has {percent(shares['duplicate'])}, and it "
            f"knows the group of {percent(shares['group'])}."
        )
    return found + _of_folds(audit)


def _of_folds(audit: dict[str, Any]) -> list[str]:
    """Say whether the published folds are used, how they are validated, and what a split lacks."""
    folds = audit.get("published_folds")
    lost = without_window_described(audit.get("without_window", {}))
    validated = elsewhere.described(audit.get("held_out", []))
    told = filter(None, [validated, *starmap(described, audit.get("left_out", {}).items()), lost])
    return ([f"The dataset's {folds}."] if folds else []) + [f"{line[0].upper()}{line[1:]}." for line in told]


def robustness(ladder: list[dict[str, Any]], other: list[dict[str, Any]], alarm: str) -> list[str]:
    """Say how well alarms are found under street noise, and how accurate the models are on other recordings."""
    found = []
    steps = [row for row in ladder if row["snr_db"] == STREET_DB]
    if steps:
        top = max(steps, key=lambda row: row["f1"])
        clean = next(row for row in ladder if row["snr_db"] is None and _name(row) == _name(top))
        found.append(
            f"As loud as the street (0 dB), {_name(top)} does best: it finds {percent(top['recall'])} "
            f"{interval(top['recall_low'], top['recall_high'], percent)} of the {alarm} windows, with "
            f"{top['false_alarms_per_hour']:.0f} false alarms per hour of traffic; without added noise "
            f"{percent(clean['recall'])} and {clean['false_alarms_per_hour']:.0f}."
        )
    for on in dict.fromkeys(row["on"] for row in other):
        rows = sorted((row for row in other if row["on"] == on), key=lambda row: -row["accuracy"])
        first, last = rows[0], rows[-1]
        found.append(
            f"On {on} as it stands, accuracies reach from {score(last['accuracy'])} ({_name(last)}) to "
            f"{score(first['accuracy'])} {interval(first['accuracy_low'], first['accuracy_high'])} ({_name(first)})."
        )
    return found


def events(rows: list[dict[str, Any]], setting: dict[str, Any] | None) -> list[str]:
    """Say what the model with the highest recall finds at its operating point, or by the default rule."""
    if not rows or setting is None:
        return []
    chosen = [row for row in rows if row["point"] == "chosen"] or rows
    top = max(chosen, key=lambda row: (row["recall"], -row["false_alarms_per_hour"]))
    asked = f"Asked for {top['budget']:g} false alarms an hour at most on validation" if "budget" in top else "As it is"
    return [
        f"{asked}, {_name(top)} finds {percent(top['recall'])} "
        f"{interval(top['recall_low'], top['recall_high'], percent)} of {top['events']:.0f} events of "
        f"{setting['alarm']} in {top['hours']:.1f} hours, with {top['false_alarms_per_hour']:.1f} false alarms an hour."
    ]


def swapped(rows: list[dict[str, Any]]) -> list[str]:
    """Say which models still know the classes when their windows have the conditions of another."""
    if not rows:
        return []
    passing = [row for row in rows if row["passes"]]
    failing = sorted((row for row in rows if not row["passes"]), key=lambda row: row["drop"])
    points = f"{100 * rows[0]['max_drop']:g} points"
    if not failing:
        return [f"Under the recording conditions of another class, no accuracy drops by more than {points}."]
    told = ", ".join(f"{_name(row)} ({score(row['as_is'])} to {score(row['accuracy'])})" for row in failing)
    passed = f" {', '.join(map(_name, passing))} {'pass' if len(passing) > 1 else 'passes'}." if passing else ""
    return [
        "Heard under the recording conditions of another class, an accuracy should not drop, surely by no more than "
        f"{points}.{passed} Failing: {told}."
    ]


def _without(part: str, pair: Pair) -> str:
    """Return the title of an experiment without its input, or without its model."""
    return pair.title.replace(pair.experiment, getattr(pair, SHARED[part]), 1)


def _name(row: dict[str, Any]) -> str:
    return f"{row['input']}-{row['model']}"


def _change(difference: Difference | None) -> str:
    if difference is None:
        return "unknown"
    unsure = " (too close to call)" if difference.unsure else ""
    bounds = f" {interval(difference.low, difference.high, signed)}" if difference.low is not None else ""
    return f"{signed(difference.value)}{bounds}{unsure}"


def _listed(pairs: list[Pair], protocol: str) -> str:
    return ", ".join(f"{pair.title} ({score(pair.score('accuracy', protocol))})" for pair in pairs)


def _accuracy(pair: Pair, protocol: str) -> str:
    bounds = interval(pair.score("accuracy_low", protocol), pair.score("accuracy_high", protocol))
    return f"{score(pair.score('accuracy', protocol))} {bounds}".rstrip()
