"""A page of pictures and sounds: one HTML file with everything inside, in the report's style."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure

from earshot import files
from earshot.audio import clips
from earshot.pages import html
from earshot.pages.svg import inline
from earshot.report.plots import STYLE

MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, all that MP3 supports


def style_context() -> AbstractContextManager[None]:
    """Return a context in which figures have the report's style."""
    return style.context(STYLE, after_reset=True)


def plots(figures: dict[str, Figure], folder: Path) -> dict[str, Markup]:
    """Write figures, by title, to PNG files in FOLDER; return them by title as inline SVG."""
    return {title: Markup(_plot(figure, folder, title)) for title, figure in figures.items()}


def _plot(figure: Figure, folder: Path, title: str) -> str:
    name = title.lower().replace(" ", "-")
    drawn = inline(figure, name, title)
    with files.replacing(folder / f"{name}.png") as temporary:
        figure.savefig(temporary, format="png")  # as `inline` has laid it out
    return drawn


def mp3_address(samples: np.ndarray, sample_rate: int) -> str:
    """Return a sound, shape (n,), as the data address of an MP3, at its own level and at the next rate of MP3."""
    rate = min((rate for rate in MP3_RATES if rate >= sample_rate), default=MP3_RATES[-1])
    resampled = soxr.resample(samples, sample_rate, rate) if rate != sample_rate else samples
    return clips.mp3(resampled.clip(-1, 1), rate)


def write(path: Path, template: str, **facts: Any) -> Path:
    """Write a page from a template of this package; return its path."""
    files.write_text(path, html.template(Path(__file__).parent / template).render(**facts))
    return path
