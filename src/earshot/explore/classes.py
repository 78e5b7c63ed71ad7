"""Matplotlib figures of a dataset's classes, from tables; drawn in the style of `page.style_context`."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earshot.explore.pictures import DPI
from earshot.pages.svg import GROUPED, INK, PUBLISHED
from earshot.report.plots import WIDTH

ROW = 0.25  # inches for each class
LEGEND_COLUMNS = 4
COLOURS = [f"C{number}" for number in range(10)]  # matplotlib's cycle
MARKERS = "osD^vPX"  # with as many colours as there are, up to 70 classes differ
GOLDEN = 0.618  # its multiples, without their whole parts, spread evenly however many there are


def balance(by_class: pd.DataFrame) -> Figure:
    """Draw a panel of bars for each column, a bar for each row."""
    figure, panels = _rows(by_class.index, panels=by_class.shape[1])
    for axes, (name, values) in zip(panels, by_class.items(), strict=True):
        bars = axes.barh(range(len(values)), values, color=GROUPED, height=0.7)
        axes.bar_label(bars, [f"{value:.1f}".removesuffix(".0") for value in values], padding=3, color=INK)
        axes.set(xlim=(0, 1.25 * values.max()), xticks=[], xlabel=name)
    return figure


def spread(values: pd.Series, labels: pd.Series, unit: str, limits: tuple[float, float]) -> Figure:
    """Draw a dot for each recording and a line at the median, by class; the axis has `limits`."""
    classes = sorted(labels.unique())
    figure, (axes,) = _rows(classes)
    for row, label in enumerate(classes):
        mine = values[labels == label]
        jitter = (np.arange(len(mine)) * GOLDEN % 1 - 0.5) * 0.6
        axes.plot([mine.median()] * 2, [row - 0.4, row + 0.4], color=PUBLISHED, linewidth=1.8)
        axes.plot(mine, row + jitter, "o", color=GROUPED, markersize=4, alpha=0.6, markeredgewidth=0)
    axes.locator_params(axis="x", nbins=6)
    axes.set_yticks(np.arange(1, len(classes)) - 0.5, minor=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(axis="y", which="minor")
    axes.set(xlim=limits, xlabel=unit)
    return figure


def embedding(points: np.ndarray, labels: pd.Series, shares: np.ndarray) -> Figure:
    """Draw a scatter plot, with a colour and a marker for each class.

    Parameters
    ----------
    points : shape (n, 2)
    labels : the class of each point
    shares : of the variance explained by each component, shape (2,)
    """
    classes = sorted(labels.unique())
    figure = Figure(figsize=(WIDTH, 3.2 + 0.2 * math.ceil(len(classes) / LEGEND_COLUMNS)), dpi=DPI)
    axes = figure.subplots()
    for number, label in enumerate(classes):
        look = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        mine = points[(labels == label).to_numpy()]
        axes.scatter(*mine.T, s=14, alpha=0.9, linewidths=0, label=label, rasterized=True, **look)
    first, second = (f"component {number}: {share:.0%} of the variance" for number, share in enumerate(shares, 1))
    axes.set(xlabel=first, ylabel=second)
    figure.legend(loc="outside lower center", ncols=LEGEND_COLUMNS, frameon=False, fontsize=8.5, handletextpad=0.2)
    return figure


def _rows(classes: list[str] | pd.Index, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Return a figure with a row for each class, the first one at the top."""
    figure = Figure(figsize=(WIDTH, 0.7 + ROW * len(classes)), dpi=DPI)
    found = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    found[0].set_yticks(range(len(classes)), classes, color=INK)
    found[0].set_ylim(len(classes) - 0.5, -0.5)
    for axes in found:
        axes.grid(axis="y", visible=False)
    return figure, found
