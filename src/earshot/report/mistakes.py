"""The windows behind a number of a confusion matrix, as a page on which they are seen and heard.

It is made when it is asked for, by the dashboard or by `earshot errors`: the sounds and pictures of all cells of all
matrices would be hundreds of megabytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib import image

from earshot import project
from earshot.audio import clips, spectrum
from earshot.datasets import manifest
from earshot.datasets.card import load_card
from earshot.errors import EarshotError
from earshot.files import write_text
from earshot.metrics import classification
from earshot.metrics.surest import surest
from earshot.pages import html
from earshot.report.results import read_cells
from earshot.settings import compared, experiments_of, read_params
from earshot.tracking import links

TEMPLATE = Path(__file__).parent / "mistakes.html.j2"
MOST = 12
FRAME = 512  # samples that a column of a spectrogram sees
COLUMNS = 400  # or a few more
DARKEST, BRIGHTEST = -30.0, 40.0  # dB; a tone at full level is at about 40


@dataclass(frozen=True)
class Asked:
    """A cell of an experiment's confusion matrix: the windows of class `true` that were named `predicted`.

    Where one of the two is None, all mistakes in that row or column are asked for; where both are, all mistakes.
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
    def what(self) -> str:
        """The windows in words."""
        if self.true is not None and self.true == self.predicted:
            return f"{self.true}, recognised"
        return f"{self.true or 'any class'}, taken for {self.predicted or 'another'}"

    @property
    def matrix(self) -> str:
        """The id of the matrix in the report."""
        return links.matrix(self.dataset, self.input, self.model, self.wiring, self.protocol)


def write(asked: Asked) -> Path:
    """Write the page of what is asked for to data/windows/DATASET/; return its path.

    It does not lie in data/report, which is DVC's: another file in it would make `dvc repro` compare again.

    Raises
    ------
    EarshotError
        As `page` does.
    """
    text = page(asked, report="../../report/index.html")
    which = [asked.experiment, asked.wiring, asked.protocol, asked.true or "any", asked.predicted or "another"]
    path = project.page("windows", asked.dataset, quote("-".join(which), safe="") + ".html")
    write_text(path, text)
    return path


def page(asked: Asked, report: str) -> str:
    """Return the page of what is asked for; its way back leads to the report at the address `report`.

    Raises
    ------
    EarshotError
        If params.yaml lists no such experiment, it has no such class or window, or a file can't be read.
    """
    predictions = _predictions(asked)
    inside = windows(predictions, asked.true, asked.predicted)
    if inside.empty:
        raise EarshotError(f"{asked.experiment} on {asked.dataset} ({asked.protocol}) has no window: {asked.what}")
    classes, paths = classification.classes_of(predictions), manifest.paths(asked.dataset)
    return html.template(TEMPLATE).render(
        asked=asked,
        dataset=load_card(asked.dataset).label,
        back=f"{report}#{asked.matrix}",
        count=len(inside),
        windows=[_shown(window, classes, paths) for window in surest(inside, MOST).to_dict("records")],
        several_seeds=predictions["seed"].nunique() > 1,
        kilohertz=range(clips.SAMPLE_RATE // 2000, -1, -2),
    )


def windows(predictions: pd.DataFrame, true: str | None, predicted: str | None) -> pd.DataFrame:
    """Return the rows of predictions that are meant by `true` and `predicted`, see `Asked`."""
    inside = predictions
    if true is not None:
        inside = inside[inside["label"] == true]
    if predicted is not None:
        inside = inside[inside["predicted"] == predicted]
    return inside[inside["label"] != inside["predicted"]] if None in (true, predicted) else inside


def picture(samples: np.ndarray) -> str:
    """Return the log spectrogram of sound at examples.SAMPLE_RATE as the data address of a JPEG.

    Time goes to the right, and frequency up, from 0 to half the sample rate; a colour is the same level in all of them.
    """
    hop = min(max(len(samples) // COLUMNS, 1), FRAME)
    level = spectrum.decibels(np.square(np.concatenate(list(spectrum.centred(samples, FRAME, hop)))))
    buffer = io.BytesIO()
    image.imsave(buffer, level.T[::-1], cmap="inferno", vmin=DARKEST, vmax=BRIGHTEST, format="jpg")
    return clips.data_address("image/jpeg", buffer.getvalue())


def _predictions(asked: Asked) -> pd.DataFrame:
    """Return the predictions that the confusion matrix counts, of all seeds; every name is one that there is."""
    settings = compared(read_params())
    _check("dataset", asked.dataset, settings["datasets"])
    _check("experiment", asked.experiment, (experiment.name for experiment in experiments_of(settings)))
    cells = read_cells(asked.dataset, asked.input, asked.model, settings)
    _check("protocol", asked.protocol, [cell.protocol for cell in cells])
    _check("wiring", asked.wiring, [cell.wiring for cell in cells])
    for name in (asked.true, asked.predicted):
        if name is not None:
            _check("class", name, classification.classes_of(cells[0].predictions))
    what = (asked.wiring, asked.protocol)
    return pd.concat([cell.predictions for cell in cells if (cell.wiring, cell.protocol) == what])


def _check(kind: str, name: str, there: Iterable[str]) -> None:
    known = list(dict.fromkeys(there))
    if name not in known:
        raise EarshotError(f"no {kind} is called '{name}'. There are: {', '.join(known)}")


def _shown(window: dict[str, Any], classes: list[str], paths: dict[str, Path]) -> dict[str, Any]:
    """Return a window with its probabilities by class, its sound and its picture."""
    path = paths[window["recording"]]
    try:
        samples = clips.excerpt(path, window["start"], window["seconds"])
    except ValueError as error:
        raise EarshotError(f"{path} can't be read ({error}). Run `dvc repro`") from None
    probabilities = {name: window[classification.PROBABILITY + name] for name in classes}
    return {**window, "probabilities": probabilities, "sound": clips.mp3(samples), "picture": picture(samples)}
