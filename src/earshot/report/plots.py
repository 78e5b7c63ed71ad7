"""The report's plots, drawn with matplotlib."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from earshot.report.numbers import score
from earshot.report.pairs import Pair
from earshot.report.svg import GROUPED, INK, LINE, MUTED, PAGE, PUBLISHED, inline

COLOUR = {"published": PUBLISHED, "grouped": GROUPED}

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
WIDTH = 5.0  # inches; at 72 units an inch a phone's width shows the text at about its nominal size


def published_against_grouped(pairs: list[Pair], largest_class: float, prefix: str, label: str) -> str:
    """Draw a row per experiment: the published accuracy as a ring, the grouped one as a disc.

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
        figure = Figure(figsize=(WIDTH, 0.85 + 0.34 * len(pairs)))
        axes = figure.subplots()
        for row, pair in enumerate(pairs):
            _dumbbell(axes, row, pair)
        _mark_largest_class(axes, largest_class)
        axes.set_yticks(range(len(pairs)), [pair.title for pair in pairs], color=INK)
        axes.set(xlim=_limits(pairs, largest_class), ylim=(len(pairs) - 0.4, -0.6), xlabel="accuracy")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        return inline(figure, prefix, label)


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
            axes.set_xlabel("epoch")
        panels[0].set_ylabel("loss")
        panels[0].set_ylim(bottom=0)  # last: it ends the scaling to what is drawn
        return inline(figure, prefix, label)


def _dumbbell(axes: Axes, row: int, pair: Pair) -> None:
    points = sorted((pair.score("accuracy", protocol), protocol) for protocol in COLOUR if protocol in pair.scores)
    axes.plot([value for value, _ in points], [row] * len(points), color=LINE, linewidth=3, zorder=1)
    # the figures stand outside: the lower one to the left of its mark, the higher one to the right
    for (value, protocol), side in zip(points, ("right", "left"), strict=False):
        fill = PAGE if protocol == "published" else GROUPED
        axes.plot(value, row, "o", markersize=7, color=COLOUR[protocol], markerfacecolor=fill, markeredgewidth=1.8)
        offset = (-8 if side == "right" else 8, 0)
        axes.annotate(score(value), (value, row), offset, textcoords="offset points", ha=side, va="center")


def _mark_largest_class(axes: Axes, share: float) -> None:
    axes.axvline(share, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
    above = axes.get_xaxis_transform()
    axes.text(share, 1.01, "largest class", color=MUTED, transform=above, fontsize=8.5, ha="center", va="bottom")


def _limits(pairs: list[Pair], largest_class: float) -> tuple[float, float]:
    """Leave room for the figures beside the outermost points."""
    values = [pair.score("accuracy", protocol) for pair in pairs for protocol in pair.scores]
    low, high = min([*values, largest_class]), max(values)
    room = 0.22 * (high - low) + 0.02
    return low - room, high + room


def _losses(axes: Axes, curves: pd.DataFrame, runs: list[dict[str, Any]], colour: str) -> None:
    for run in runs:
        mine = curves[(curves["seed"] == run["seed"]) & (curves["fold"] == run["fold"])].sort_values("epoch")
        axes.plot(mine["epoch"], mine["train_loss"], color=MUTED, linewidth=1.1, linestyle=(0, (3, 2)))
        axes.plot(mine["epoch"], mine["val_loss"], color=colour, linewidth=1.5)
        chosen = mine[mine["epoch"] == run["best_epoch"]]
        axes.plot(chosen["epoch"], chosen["val_loss"], "o", color=colour, markersize=4.5)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))


def _panel_title(protocol: str, runs: int) -> str:
    return protocol if runs == 1 else f"{protocol} ({runs} runs)"
