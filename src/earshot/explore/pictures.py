"""Matplotlib figures of one sound, from arrays; drawn in the style of `page.style_context`.

F: frequencies, T: frames. Seconds are those of the recording.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from earshot.explore.survey import Survey
from earshot.pages.svg import GROUPED, INK, LINE, MUTED, PUBLISHED
from earshot.report.plots import WIDTH

HEIGHT = 2.3  # inches
DPI = 160  # of images inside: about two pixels for each of a screen's
COLUMNS = 800  # longer rows are drawn as the lowest and the highest of neighbouring values
MEL_TICKS = [2**power for power in range(8, 17)]  # Hz
PITCHES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


def new(height: float = HEIGHT) -> tuple[Figure, Axes]:
    """Return an empty figure and its axes."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI)
    return figure, figure.subplots()


def outline(recording: Survey) -> Figure:
    """Draw the outline of the whole recording, with the excerpt highlighted."""
    figure, axes = new()
    axes.axvspan(*recording.span, color=PUBLISHED, alpha=0.35, linewidth=0)
    axes.fill_between(*_columns(*recording.outline), color=GROUPED, linewidth=0.4)
    axes.set(xlim=(0, recording.seconds), xlabel="seconds", ylabel="amplitude")
    return figure


def waveform(recording: Survey) -> Figure:
    """Draw the excerpt's samples."""
    figure, axes = new()
    _draw_samples(axes, recording, GROUPED)
    axes.set(xlim=recording.span, xlabel="seconds", ylabel="amplitude")
    return figure


def crossings(samples: np.ndarray, sample_rate: int, start: float, crossed: np.ndarray) -> Figure:
    """Draw a few samples, with a mark where the sign changes.

    Parameters
    ----------
    samples : shape (n,)
    start : time of the first sample, in seconds
    crossed : whether a sample's sign differs from that of the sample before, shape (n,)
    """
    figure, axes = new()
    milliseconds = np.arange(len(samples)) / sample_rate * 1000
    between = milliseconds[crossed] - 500 / sample_rate
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(milliseconds, samples, "o-", color=GROUPED, markersize=2, linewidth=1)
    axes.plot(between, np.zeros_like(between), "|", color=PUBLISHED, markersize=14, markeredgewidth=1.6)
    axes.set(xlabel=f"milliseconds after second {start:.3f}", ylabel="amplitude")
    return figure


def spectrum(frequency: np.ndarray, amplitude: np.ndarray) -> Figure:
    """Draw the amplitude of each frequency: (F,), (F,)."""
    figure, axes = new()
    hz, _, highest = _columns(frequency, amplitude, amplitude)
    axes.fill_between(hz, highest, color=GROUPED, linewidth=0.6)
    axes.set(xlim=(0, frequency[-1]), xlabel="Hz", ylabel="amplitude")
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=6)
    return figure


def spectrogram(
    recording: Survey, seconds: np.ndarray, frequency: np.ndarray, values: np.ndarray, unit: str, highest: float = 100
) -> Figure:
    """Draw a spectrogram.

    Parameters
    ----------
    seconds : the middle of each frame, shape (T,)
    frequency : in Hz, shape (F,) with F from 2 up
    values : shape (F, T), in `unit`
    highest : the percentile from which on values have the brightest colour
    """
    half = (frequency[1] - frequency[0]) / 2
    rows = (frequency[0] - half, frequency[-1] + half)
    figure, axes = _image(recording, seconds, values, rows, unit, vmax=np.percentile(values, highest))
    axes.set(ylim=(0, frequency[-1]), ylabel="Hz")
    return figure


def mel(recording: Survey, seconds: np.ndarray, frequency: np.ndarray, values: np.ndarray) -> Figure:
    """Draw mel bands, by their middles in Hz, (M,), in dB: (M, T)."""
    figure, axes = _image(recording, seconds, values, (-0.5, len(values) - 0.5), "dB")
    ticks = [hz for hz in MEL_TICKS if hz < frequency[-1]]
    axes.set_yticks(np.interp(ticks, frequency, np.arange(len(frequency))), ticks)
    axes.set_ylabel("Hz, in mel bands")
    return figure


def mfcc(recording: Survey, seconds: np.ndarray, values: np.ndarray) -> Figure:
    """Draw cepstral coefficients: (n, T). The first one is much larger, and is left out of the colour scale."""
    most = max(float(np.percentile(np.abs(values[1:]), 90)), 1)
    rows = (0.5, len(values) + 0.5)
    figure, axes = _image(recording, seconds, values, rows, "", cmap="coolwarm", vmin=-most, vmax=most)
    axes.set_yticks(range(1, len(values) + 1, 2))
    axes.set_ylabel("coefficient")
    return figure


def chroma(recording: Survey, seconds: np.ndarray, values: np.ndarray) -> Figure:
    """Draw pitch classes: (12, T)."""
    figure, axes = _image(recording, seconds, values, (-0.5, len(values) - 0.5), "", vmin=0, vmax=1)
    axes.set_yticks(range(len(PITCHES)), PITCHES, fontsize=7.5)
    axes.set_ylabel("pitch class")
    return figure


def curves(recording: Survey, seconds: np.ndarray, values: dict[str, np.ndarray]) -> Figure:
    """Draw features in Hz, each of shape (T,), as lines over the waveform."""
    figure, behind = new()
    _draw_samples(behind, recording, LINE)
    behind.set(xlim=recording.span, yticks=[], xlabel="seconds")
    axes = behind.twinx()
    axes.yaxis.tick_left()
    axes.yaxis.set_label_position("left")
    for (name, hz), colour in zip(values.items(), (GROUPED, PUBLISHED, INK), strict=False):
        axes.plot(seconds, hz, color=colour, linewidth=0.9, label=name)
    axes.set_ylabel("Hz")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=len(values), frameon=False)
    return figure


def _draw_samples(axes: Axes, recording: Survey, colour: str) -> None:
    seconds = recording.start + np.arange(len(recording.samples)) / recording.sample_rate
    if len(seconds) > 2 * COLUMNS:
        axes.fill_between(*_columns(seconds, recording.samples, recording.samples), color=colour, linewidth=0.4)
    else:
        axes.plot(seconds, recording.samples, color=colour, linewidth=1)


def _columns(place: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce to `COLUMNS` values or fewer: the first place, the lowest and the highest value of neighbours."""
    first = np.arange(0, len(place), -(-len(place) // COLUMNS))
    return place[first], np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)


def _image(
    recording: Survey, seconds: np.ndarray, values: np.ndarray, rows: tuple[float, float], unit: str, **colours: Any
) -> tuple[Figure, Axes]:
    """Draw a matrix over time, its first row at the bottom, with a colour bar."""
    half = (seconds[-1] - seconds[0]) / max(len(seconds) - 1, 1) / 2
    columns = (seconds[0] - half, seconds[-1] + half) if half else recording.span  # one frame is all there is
    figure, axes = new()
    extent = (*columns, *rows)
    image = axes.imshow(values, origin="lower", aspect="auto", extent=extent, **{"cmap": "inferno"} | colours)
    axes.grid(False)
    axes.set(xlim=recording.span, xlabel="seconds")
    scale = figure.colorbar(image, ax=axes, pad=0.02, aspect=25)
    scale.outline.set_visible(False)
    scale.set_label(unit)
    return figure, axes
