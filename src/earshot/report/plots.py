"""The report's plots, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any, TypeVar

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from earshot.pages.numbers import NOTHING
from earshot.pages.svg import GREEN, GROUPED, INK, LINE, MUTED, PAGE, PUBLISHED, VIOLET, inline
from earshot.report.scores import Pair
from earshot.report.words import PLAIN

T = TypeVar("T")

MARK = {"published": "o", "grouped": "o", "elsewhere": "D"}
COLOUR = {"elsewhere": GREEN, "published": PUBLISHED, "grouped": GROUPED, "calibrated": INK}
OFFSET = {"published": -0.13, "grouped": 0.13}  # rows: so that intervals which overlap are both seen
INPUT_COLOURS = [MUTED, PUBLISHED, GROUPED, GREEN, VIOLET, INK]  # in the order of what is compared, then again
MODEL_LINES = [  # likewise: line style and marker
    ("-", "o"),
    ((0, (3, 2)), "s"),
    ((0, (1, 1.5)), "^"),
    ((0, (4, 1.5, 1, 1.5)), "D"),
]

# Everything that decides the bytes is set here, nothing comes from the user's matplotlibrc.
STYLE = {
    "svg.hashsalt": "earshot",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib, and wide: the page's own font fits where it does
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.constrained_layout.use": True,
}
WIDE = 7.6  # inches: of the overview, which has several panels and is scrolled on a phone
COSTS = {  # the overview's further panels: what each is called, and how its numbers are written
    "noise": ("recall at\n0 dB street", lambda value: f"{value:.0%}"),
    "false_alarms": ("false alarms\nan hour", lambda value: f"{value:.1f}"),
    "seconds": ("seconds for an\nhour of sound", lambda value: f"{value:.2g}"),
    "megabytes": ("megabytes", lambda value: f"{value:.2g}" if value < 10 else f"{value:.0f}"),
}
LADDER = {"recall": "share of alarms found (recall)", "false_alarms_per_hour": "false alarms an hour"}
WIDTH = 5.0  # inches; at 72 units an inch a phone's width shows the text at about its nominal size


def published_against_grouped(pairs: list[Pair], largest_class: float, prefix: str, label: str) -> str:
    """Draw a row per experiment: the published accuracy as a ring, the grouped one as a disc, with 95 % intervals.

    Parameters
    ----------
    pairs
        The experiments in the order from top to bottom.
    largest_class
        Share of the largest class, marked as what naming it always would score.
    prefix
        Put before every id, so that many plots fit on one page.
    label
        What the plot shows, for those who can't see it.
    """
    with style.context(STYLE, after_reset=True):
        figure = Figure(figsize=(WIDTH, 0.62 + 0.24 * len(pairs)))
        axes = figure.subplots()
        for row, pair in enumerate(pairs):
            _dumbbell(axes, row, pair)
        _mark_guessing(axes, largest_class)
        axes.set_yticks(range(len(pairs)), [pair.title for pair in pairs], color=INK)
        axes.set(xlim=(-0.1, 1.14), ylim=(len(pairs) - 0.5, -0.6), xlabel="sounds named right, of 100")
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
        axes.grid(axis="y", visible=False)
        axes.spines[["left", "bottom"]].set_visible(False)
        return inline(figure, prefix, label)


def overview(rows: list[dict[str, Any]], prefix: str, label: str) -> str:
    """Draw a row per experiment: its accuracies on one axis, and beside them what else decides a choice, as bars.

    What is known of no experiment has no panel.

    Parameters
    ----------
    rows
        See `report.overview.rows`; from top to bottom.
    prefix, label
        As for `published_against_grouped`.
    """
    shown = [name for name in COSTS if any(row[name] is not None for row in rows)]
    with style.context(STYLE, after_reset=True):
        figure = Figure(figsize=(WIDE, 0.95 + 0.3 * len(rows)))
        widths = [3.4, *[1.0] * len(shown)]
        panels = figure.subplots(1, 1 + len(shown), sharey=True, width_ratios=widths, squeeze=False)[0]
        for place, row in enumerate(rows):
            _accuracies(panels[0], place, row)
        for axes, name in zip(panels[1:], shown, strict=True):
            _bars(axes, [row[name] for row in rows], *COSTS[name])
        panels[0].set_yticks(range(len(rows)), [row["title"] for row in rows])
        for text, row in zip(panels[0].get_yticklabels(), rows, strict=True):
            text.set_color(MUTED if row["tutorial"] else INK)
        panels[0].set(ylim=(len(rows) - 0.4, -0.6), title="share of sounds named right (accuracy)")
        panels[0].xaxis.set_major_locator(MaxNLocator(5))
        panels[0].grid(axis="y", visible=False)
        panels[0].spines["left"].set_visible(False)
        return inline(figure, prefix, label)


def _accuracies(axes: Axes, place: int, row: dict[str, Any]) -> None:
    """Draw one experiment's accuracies as marks on a line from the lowest to the highest."""
    known = {name: row[name] for name in MARK if row[name] is not None}
    axes.plot([min(known.values()), max(known.values())], [place, place], color=LINE, linewidth=2, zorder=1)
    for name, value in known.items():
        fill = PAGE if name == "published" else COLOUR[name]
        size = 5 if name == "elsewhere" else 6
        axes.plot(
            value, place, MARK[name], markersize=size, color=COLOUR[name], markerfacecolor=fill, markeredgewidth=1.6
        )


def _bars(axes: Axes, values: list[float | None], title: str, write: Callable[[float], str]) -> None:
    """Draw a number per row with a bar that is as long as the number is large."""
    largest = max(value for value in values if value is not None) or 1.0
    for place, value in enumerate(values):
        axes.barh(place, value or 0, height=0.55, color=LINE)
        text = NOTHING if value is None else write(value)
        axes.annotate(
            text, (value or 0, place), (3, 0), textcoords="offset points", ha="left", va="center", fontsize=8.5
        )
    axes.set(xlim=(0, 1.9 * largest), xticks=[])
    axes.set_title(title, fontsize=8.5, color=INK)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)


def learning_curves(history: dict[str, pd.DataFrame], runs: dict[str, list], prefix: str, label: str) -> str:
    """Draw the losses per epoch, a panel per protocol, a pair of lines per fold and seed.

    Parameters
    ----------
    history
        For each protocol the columns `seed, fold, epoch, train_loss, val_loss`.
    runs
        For each protocol its runs; each one's `best_epoch` is marked.
    prefix, label
        As for `published_against_grouped`.
    """
    with style.context(STYLE, after_reset=True):
        figure = Figure(figsize=(WIDTH, 1.9))
        panels = figure.subplots(1, len(history), sharey=True, squeeze=False)[0]
        for axes, (protocol, curves) in zip(panels, history.items(), strict=True):
            _losses(axes, curves, runs[protocol], COLOUR[protocol])
            axes.set_title(_panel_title(protocol, len(runs[protocol])), color=INK)
            axes.set_xlabel("epoch (once through the data)")
        panels[0].set_ylabel("loss in nats")
        panels[0].set_ylim(bottom=0)  # last: it ends the scaling to what is drawn
        return inline(figure, prefix, label)


def _dumbbell(axes: Axes, row: int, pair: Pair) -> None:
    """Draw one experiment's two accuracies, joined, each with its interval, and its number on the outer side."""
    known = {name: pair.score("accuracy", name) for name in COLOUR if name in pair.scores}
    order = sorted(known, key=lambda name: known[name])
    ends = []
    axes.plot([known[order[0]], known[order[-1]]], [row, row], color=LINE, linewidth=3, zorder=0)
    for name in order:
        place = row if len(order) == 1 else row + OFFSET[name]
        low, high = (pair.score(f"accuracy_{end}", name) for end in ("low", "high"))
        if low is not None:
            axes.plot([low, high], [place, place], color=COLOUR[name], linewidth=1.6, zorder=1)
        fill = PAGE if name == "published" else COLOUR[name]
        axes.plot(known[name], place, "o", markersize=6, color=COLOUR[name], markerfacecolor=fill, markeredgewidth=1.6)
        ends += [value for value in (known[name], low, high) if value is not None]
    for name in order:
        outside, side = (max(ends), 1) if name == order[-1] else (min(ends), -1)
        axes.annotate(
            f"{100 * known[name]:.0f}",
            (outside, row),
            (6 * side, 0),
            textcoords="offset points",
            ha="left" if side == 1 else "right",
            va="center",
            color=COLOUR[name],
            bbox={"facecolor": PAGE, "edgecolor": "none", "pad": 0.5},  # over the lines
        )


def _mark_guessing(axes: Axes, share: float) -> None:
    axes.axvline(share, color=MUTED, linewidth=1, linestyle=(0, (1, 2)), zorder=0)
    above = axes.get_xaxis_transform()
    axes.text(
        share, 1.0, f"guessing: {100 * share:.0f}", color=MUTED, transform=above, fontsize=8.5, ha="center", va="bottom"
    )


def _losses(axes: Axes, curves: pd.DataFrame, runs: list[dict[str, Any]], colour: str) -> None:
    for run in runs:
        mine = curves[(curves["seed"] == run["seed"]) & (curves["fold"] == run["fold"])].sort_values("epoch")
        axes.plot(mine["epoch"], mine["train_loss"], color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        axes.plot(mine["epoch"], mine["val_loss"], color=colour, linewidth=1.5)
        chosen = mine[mine["epoch"] == run["best_epoch"]]
        axes.plot(chosen["epoch"], chosen["val_loss"], "o", color=colour, markersize=4.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def noise_ladder(rows: list[dict[str, Any]], prefix: str, label: str) -> str:
    """Draw recall and false alarms per hour over the signal-to-noise ratio, a line per experiment.

    Inputs differ in colour, models in line style and marker.

    Parameters
    ----------
    rows
        See `report.robustness.noise_ladder`; the step without noise stands at the left.
    prefix, label
        As for `published_against_grouped`.
    """
    steps = sorted({row["snr_db"] for row in rows if row["snr_db"] is not None}, reverse=True)
    place = {step: number for number, step in enumerate([None, *steps])}
    experiments = list(dict.fromkeys((row["input"], row["model"]) for row in rows))
    colours, lines = (
        _cycled(INPUT_COLOURS, [i for i, _ in experiments]),
        _cycled(MODEL_LINES, [m for _, m in experiments]),
    )
    with style.context(STYLE, after_reset=True):
        figure = Figure(figsize=(WIDTH, max(3.3, 2.7 + 0.1 * len(experiments))))
        panels = figure.subplots(1, 2)
        for axes, (metric, title) in zip(panels, LADDER.items(), strict=True):
            for input_name, model in experiments:
                mine = [row for row in rows if (row["input"], row["model"]) == (input_name, model)]
                line, marker = lines[model]
                axes.plot(
                    [place[row["snr_db"]] for row in mine],
                    [row[metric] for row in mine],
                    color=colours[input_name],
                    linestyle=line,
                    marker=marker,
                    markersize=3.5,
                    linewidth=1.4,
                    label=f"{input_name}-{model}",
                )
            axes.set_xticks(range(len(place)), ["clean", *(f"{step:g}" for step in steps)])
            axes.set_title(title, color=INK)
            axes.set_xlabel("alarm over street (SNR), dB")
        panels[0].set_ylim(0, 1.02)
        panels[1].set_ylim(bottom=0)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        return inline(figure, prefix, label)


def _cycled(values: list[T], names: list[str]) -> dict[str, T]:
    """Assign the values to the names in the order in which these come first; values repeat where they run out."""
    return dict(zip(dict.fromkeys(names), cycle(values), strict=False))


def reliability(bins: dict[str, pd.DataFrame], prefix: str, label: str) -> str:
    """Draw the accuracy of predictions over their probability, a line per protocol, and one after calibration.

    Parameters
    ----------
    bins
        For each protocol, and for `calibrated` where there is a calibration, the table that
        `metrics.classification.reliability` returns.
    prefix, label
        As for `published_against_grouped`.
    """
    with style.context(STYLE, after_reset=True):
        figure = Figure(figsize=(2.5, 2.4))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        for protocol, rows in bins.items():
            axes.plot(rows["confidence"], rows["accuracy"], "o-", color=COLOUR[protocol], markersize=3.5, linewidth=1.4)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="probability it gives", ylabel="share that is right")
        return inline(figure, prefix, label)


def _panel_title(protocol: str, runs: int) -> str:
    return PLAIN[protocol] if runs == 1 else f"{PLAIN[protocol]}, {runs} runs"
