"""`earshot explore DATASET`: a page of a dataset's classes, and a spectrogram of every recording."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from earshot import files, project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import manifest, place
from earshot.datasets.card import Card, channel_of, load_card
from earshot.errors import EarshotError
from earshot.explore import SECONDS, classes, page, tracks
from earshot.explore.survey import survey

EXAMPLE_SECONDS = 10.0  # at the beginning of a class's example
LEAST = 1.0  # seconds that a picture shows where an event is at the end of its recording
SPECTROGRAMS = "spectrograms"


def explore(dataset: str, folder: Path, workers: int) -> Path:
    """Write FOLDER/index.html, a PNG for each picture, and spectrograms/CLASS/NAME.png; return the page's path.

    Parameters
    ----------
    dataset : needs a card and a manifest; the embedding is left out where there are no summary features
    folder : created where it is missing
    workers : number of processes; the result does not depend on it

    Raises
    ------
    EarshotError
        If there is no manifest, or a recording can't be read.
    """
    card = load_card(dataset)
    table = _manifest(card)
    read = manifest.of_status(table)
    place.verify(card, read["path"])
    recordings = manifest.by_event_class(read.assign(whole=read["seconds"]))
    recordings["start"] = recordings["start"].clip(upper=(recordings["whole"] - LEAST).clip(lower=0))
    recordings["file"] = [place.folder(card) / path for path in recordings["path"]]
    recordings["channel"] = recordings["path"].map(channel_of(card)).astype(object)
    recordings["picture"] = _picture_names(recordings)
    recordings["level"] = _draw_tracks(recordings, folder, card, workers)
    with page.style_context():
        plots = page.plots(_figures(dataset, recordings), folder)
    return page.write(
        folder / "index.html",
        "dataset.html.j2",
        name=card.name,
        card=card,
        counts=_counts(dataset, table),
        plots=plots,
        spectrograms=SPECTROGRAMS,
        examples=[_example(label, mine, folder) for label, mine in manifest.by_class(recordings).groupby("label")],
    )


def _counts(dataset: str, table: pd.DataFrame) -> dict[str, Any]:
    """Return the counts of the manifest, as the stage wrote them where it did."""
    path = project.manifest_counts(dataset)
    return files.read_json(path) if path.exists() else manifest.counts(table)


def _manifest(card: Card) -> pd.DataFrame:
    path = project.manifest(card.name)
    if not card.holds_recordings:
        raise EarshotError(f"{card.name} holds no recordings ({card.title}): explore the dataset that needs it")
    if not card.has_sound:
        raise EarshotError(f"{card.name} is a table of features ({card.layout.file}): there is no sound to look at")
    if not path.exists():
        raise EarshotError(
            f"{path} is missing. Add {card.name} to datasets in params.yaml where it is not there, and run "
            f"`dvc repro manifest@{card.name}`"
        )
    return files.read_table(path)


def _picture_names(recordings: pd.DataFrame) -> pd.Series:
    """Return CLASS/NAME.png for each recording; those that differ in their suffix alone keep it in NAME."""
    pairs = zip(recordings["label"], recordings["recording"], strict=True)
    names = pd.Series([f"{label}/{recording.removeprefix(f'{label}/')}" for label, recording in pairs])
    bare = names.str.replace(r"\.\w+$", "", regex=True)
    return bare.mask(bare.duplicated(keep=False), names) + ".png"


def _draw_tracks(recordings: pd.DataFrame, folder: Path, card: Card, workers: int) -> list[float]:
    """Write the spectrogram of each recording, from the first event of its class on; return their levels in dBFS."""
    todo = [
        (row.file, folder / SPECTROGRAMS / row.picture, row.start, row.channel)
        for row in recordings[["file", "picture", "start", "channel"]].itertuples()
    ]
    with pools.spread(workers) as pool:
        return list(each(pool, tracks.draw, todo, f"spectrograms of {card.label}", "file"))


def _figures(dataset: str, recordings: pd.DataFrame) -> dict[str, Figure]:
    """Draw the pictures of the classes, by title."""
    recordings = manifest.by_class(recordings)
    labels, seconds, level = recordings["label"], recordings["seconds"], recordings["level"]
    sizes = {"recordings": recordings["recording"].groupby(labels).nunique(), "minutes": seconds.groupby(labels).sum()}
    figures = {
        "Class balance": classes.balance(pd.DataFrame(sizes).assign(minutes=lambda table: table["minutes"] / 60)),
        "Duration": classes.spread(seconds, labels, "seconds", (0, 1.05 * seconds.max())),
        "Loudness": classes.spread(level, labels, "RMS in dBFS", (level.min() - 2, level.max() + 2)),
    }
    features = project.features(dataset, "summary")
    if features.exists() and len(_of_one_class(recordings)):
        rows = files.read_table(features).merge(_of_one_class(recordings), on="recording")
        points, shares = embed(rows.drop(columns=["recording", "window", "label"]).to_numpy())
        figures["Embedding"] = classes.embedding(points, rows["label"], shares)
    return figures


def _of_one_class(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return recording and label of the recordings with one class: of the others a window's class isn't looked up."""
    return recordings.loc[~recordings["recording"].duplicated(keep=False), ["recording", "label"]]


def embed(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the two principal components of standardised features, and the share of the variance of each.

    (N, F) -> (N, 2), (2,)
    """
    components = PCA(n_components=2, svd_solver="full")
    points = components.fit_transform(StandardScaler().fit_transform(features))
    return points, components.explained_variance_ratio_


def _example(label: str, mine: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Return a class with the spectrogram and the sound of its first recording."""
    first = mine.iloc[0]
    found = survey(first["file"], first["start"], EXAMPLE_SECONDS, first["channel"])
    picture = (folder / SPECTROGRAMS / first["picture"]).read_bytes()
    return {
        "label": label,
        "recordings": len(mine),
        "seconds": float(mine["seconds"].sum()),
        "level": float(mine["level"].median()),
        "recording": first["recording"],
        "picture": "data:image/png;base64," + base64.b64encode(picture).decode(),
        "from": first["start"],
        "to": min(first["start"] + SECONDS, first["whole"]),
        "highest": found.sample_rate // 2,
        "sound": page.mp3_address(found.samples, found.sample_rate),
    }
