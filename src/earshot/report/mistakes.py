"""The windows behind a number of a confusion matrix, as a page with their spectrograms and sounds.

The dashboard and `earshot errors` make it on request: the sounds and pictures of all cells of all matrices would be
hundreds of megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from earshot import project
from earshot.audio import clips, spectrum
from earshot.audio.spectrogram_image import spectrogram_image
from earshot.datasets.card import load_card
from earshot.datasets.excerpts import Excerpts
from earshot.datasets.experiments import experiments_on
from earshot.errors import EarshotError
from earshot.files import write_text
from earshot.metrics import classification, labels
from earshot.metrics.surest import surest
from earshot.pages import html
from earshot.report.results import read_cells
from earshot.settings import compared, read_params
from earshot.tracking import links

TEMPLATE = Path(__file__).parent / "mistakes.html.j2"
MOST = 12
FRAME = 512  # samples in a frame of the spectrogram
COLUMNS = 400  # of the spectrogram, or a few more
DARKEST, BRIGHTEST = -30.0, 40.0  # dB; a tone at full level is at about 40


@dataclass(frozen=True)
class MatrixCell:
    """A cell of an experiment's confusion matrix: the windows of class `true` that were predicted as `predicted`.

    Where one of the two is None, it stands for all mistakes in that row or column; where both are, for all mistakes.
    """

    dataset: str
    input: str
    model: str
    wiring: str
    protocol: str
    true: str | None
    predicted: str | None

    @property
    def experiment(self) -> str:
        """INPUT-MODEL."""
        return f"{self.input}-{self.model}"

    @property
    def title(self) -> str:
        """The windows in words, as the heading of their page."""
        if self.true is not None and self.true == self.predicted:
            return f"{self.true}, recognised"
        return f"{self.true or 'any class'}, taken for {self.predicted or 'another'}"

    @property
    def matrix(self) -> str:
        """The id of the matrix in the report."""
        return links.matrix(self.dataset, self.input, self.model, self.wiring, self.protocol)


def write(cell: MatrixCell) -> Path:
    """Write the page of a cell to data/windows/DATASET/; return its path.

    It does not lie in data/report, which is DVC's: another file in it would make `dvc repro` compare again.

    Raises
    ------
    EarshotError
        As `page` does.
    """
    text = page(cell, report="../../report/index.html")
    parts = [cell.experiment, cell.wiring, cell.protocol, cell.true or "any", cell.predicted or "another"]
    path = project.page("windows", cell.dataset, quote("-".join(parts), safe="") + ".html")
    write_text(path, text)
    return path


def page(cell: MatrixCell, report: str) -> str:
    """Return the page of a cell as HTML; it links back to the report at the address `report`.

    Raises
    ------
    EarshotError
        If params.yaml lists no such experiment, it has no such class or window, or a file can't be read.
    """
    predictions = _predictions(cell)
    inside = windows(predictions, cell.true, cell.predicted)
    if inside.empty:
        raise EarshotError(f"{cell.experiment} on {cell.dataset} ({cell.protocol}) has no window: {cell.title}")
    classes, excerpts = classification.classes_of(predictions), Excerpts(cell.dataset)
    return html.template(TEMPLATE).render(
        cell=cell,
        dataset=load_card(cell.dataset).label,
        back=f"{report}#{cell.matrix}",
        count=len(inside),
        windows=[_window(window, classes, excerpts) for window in surest(inside, MOST).to_dict("records")],
        several_seeds=predictions["seed"].nunique() > 1,
        kilohertz=range(clips.SAMPLE_RATE // 2000, -1, -2),
    )


def windows(predictions: pd.DataFrame, true: str | None, predicted: str | None) -> pd.DataFrame:
    """Return the rows of predictions in the cell of `true` and `predicted`, see `MatrixCell`."""
    inside = predictions
    if true is not None:
        inside = inside[_has(inside["label"], true)]
    if predicted is not None:
        inside = inside[_has(inside["predicted"], predicted)]
    return inside[inside["label"] != inside["predicted"]] if None in (true, predicted) else inside


def _has(label: pd.Series, name: str) -> pd.Series:
    """Tell which labels are a class, or of a multi-label dataset hold it."""
    return label.map(lambda text: name in labels.names_of(text)).astype(bool)


def picture(samples: np.ndarray) -> str:
    """Return the log spectrogram of sound at clips.SAMPLE_RATE as the data address of a JPEG.

    Time goes to the right, and frequency up, from 0 to half the sample rate; a colour means the same level in all
    pictures.
    """
    hop = min(max(len(samples) // COLUMNS, 1), FRAME)
    level = spectrum.decibels(np.square(np.concatenate(list(spectrum.centred(samples, FRAME, hop)))))
    return clips.data_address("image/jpeg", spectrogram_image(level, DARKEST, BRIGHTEST, "jpeg"))


def _predictions(cell: MatrixCell) -> pd.DataFrame:
    """Return the predictions that the confusion matrix counts, over all seeds; checks every name in `cell`."""
    settings = compared(read_params())
    _check("dataset", cell.dataset, settings["datasets"])
    _check("experiment", cell.experiment, (each.name for each in experiments_on(load_card(cell.dataset), settings)))
    cells = read_cells(cell.dataset, cell.input, cell.model, settings)
    _check("protocol", cell.protocol, [each.protocol for each in cells])
    _check("wiring", cell.wiring, [each.wiring for each in cells])
    for name in (cell.true, cell.predicted):
        if name is not None:
            _check("class", name, classification.classes_of(cells[0].predictions))
    condition = (cell.wiring, cell.protocol)
    return pd.concat([each.predictions for each in cells if (each.wiring, each.protocol) == condition])


def _check(kind: str, name: str, names: Iterable[str]) -> None:
    known = list(dict.fromkeys(names))
    if name not in known:
        raise EarshotError(f"no {kind} is called '{name}'. There are: {', '.join(known)}")


def _window(window: dict[str, Any], classes: list[str], excerpts: Excerpts) -> dict[str, Any]:
    """Return a window with its probabilities by class, its sound and its picture, where it has sound."""
    probabilities = {name: window[classification.PROBABILITY + name] for name in classes}
    samples = excerpts.read(window["recording"], window["start"], window["seconds"])
    if samples is None:  # features were given
        return {**window, "probabilities": probabilities, "sound": None}
    return {**window, "probabilities": probabilities, "sound": clips.mp3(samples), "picture": picture(samples)}
