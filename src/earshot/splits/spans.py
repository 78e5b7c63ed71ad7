"""Spans: stretches of recordings that a split keeps whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from earshot.datasets import manifest, union
from earshot.datasets.card import Card, members_of
from earshot.datasets.layouts import ClassFolders, Events, FeatureTable, LongRecordings, Table
from earshot.datasets.tables import numbers, read_table
from earshot.errors import EarshotError
from earshot.settings import window_of
from earshot.splits import events, windows

SPAN = ["recording", "group", "label", "start", "stop"]  # start and stop in seconds
Piece = tuple[float, float]  # start and stop


def whole_recordings(recordings: pd.DataFrame) -> pd.DataFrame:
    """Return one span for each recording (see `manifest.read`): the whole of it, with what it is padded with."""
    return recordings.assign(start=0.0, stop=recordings["seconds"] + recordings.get("padded", 0.0))[
        [*SPAN, "fold"]
    ].reset_index(drop=True)


def labelled(recordings: pd.DataFrame, window: Mapping[str, float]) -> pd.DataFrame:
    """Return the spans that have one label: whole recordings, or where labels are events, their stretches."""
    if manifest.STRETCHES not in recordings:
        return whole_recordings(recordings)
    return events.spans_of(recordings, window)[0]


def holding_windows(recordings: pd.DataFrame, window: Mapping[str, float]) -> pd.DataFrame:
    """Return those of the spans that have one label in which a window fits."""
    spans = labelled(recordings, window)
    if manifest.STRETCHES not in recordings:
        return spans
    fits = [len(windows.starts(start, stop, **window)) > 0 for start, stop in spans[["start", "stop"]].to_numpy()]
    return spans[fits]


def without_window(recordings: pd.DataFrame, window: Mapping[str, float]) -> dict[str, int]:
    """Count the events for which there is no window (see `events.spans_of`), by class."""
    if manifest.STRETCHES not in recordings:
        return {}
    unused = manifest.by_class(events.spans_of(recordings, window)[1])
    return unused["label"].value_counts().sort_index().to_dict()


def windows_of(spans: pd.DataFrame, window: Mapping[str, float]) -> pd.DataFrame:
    """Cut the windows that lie wholly in spans: columns as the spans', with start and seconds, without stop."""
    found = [windows.starts(start, stop, **window) for start, stop in zip(spans["start"], spans["stop"], strict=True)]
    rows = spans.loc[np.repeat(spans.index, [len(starts) for starts in found])].drop(columns="stop")
    return rows.assign(start=np.concatenate([np.empty(0), *found]), seconds=window["length"]).reset_index(drop=True)


def single_windows(spans: pd.DataFrame, length: float, hop: float) -> pd.DataFrame:
    """Cut spans into windows, each a span of its own."""
    return _cut(spans, lambda row: [(s, s + length) for s in windows.starts(row.start, row.stop, length, hop)])


def blocks(spans: pd.DataFrame, seconds: float, guard: float) -> pd.DataFrame:
    """Cut spans into contiguous blocks, each a group of its own, with a gap of `guard` seconds between them."""

    def of(row: Any) -> list[Piece]:
        edges = np.arange(row.start, row.stop, seconds)
        return [(start, min(start + seconds - guard, row.stop)) for start in edges]

    cut = _cut(spans, of)
    return cut.assign(group=cut["recording"] + "#" + cut.groupby("recording").cumcount().astype(str).str.zfill(3))


def sources(spans: pd.DataFrame, segments: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Replace each recording by the stretches it was assembled from (`segments`, by recording); a source is a group."""

    def of(row: Any) -> list[Piece]:
        runs = segments[row.recording]
        return list(zip(runs["start"], runs["stop"], strict=True))

    cut = _cut(spans, of)
    return cut.assign(group=np.concatenate([segments[recording]["source"] for recording in spans["recording"]]))


def grouped_by(cut: pd.DataFrame, spans: pd.DataFrame) -> pd.DataFrame:
    """Assign each row the group of the span that contains its middle, or of the last span before it.

    Parameters
    ----------
    cut : columns `SPAN`
    spans : columns `SPAN`; of the same recordings, each from its beginning
    """
    middles = cut.assign(middle=(cut["start"] + cut["stop"]) / 2, row=np.arange(len(cut))).drop(columns="group")
    found = pd.merge_asof(
        middles.sort_values("middle"),
        spans[["recording", "group", "start"]].rename(columns={"start": "middle"}).sort_values("middle"),
        on="middle",
        by="recording",
    )
    return found.sort_values("row")[SPAN].reset_index(drop=True)


def _cut(spans: pd.DataFrame, of: Callable[[Any], Iterable[Piece]]) -> pd.DataFrame:
    """Replace each span by the (start, stop) pairs that `of(row)` gives."""
    pieces = [(row.recording, row.group, row.label, *piece) for row in spans.itertuples() for piece in of(row)]
    return pd.DataFrame(pieces, columns=SPAN)


def read_segments(path: Path, sample_rate: int) -> pd.DataFrame:
    """Read a table of segments and join neighbours of one source.

    Parameters
    ----------
    path : CSV with columns start_sample, end_sample (exclusive) and source
    sample_rate : of the recording, in Hz

    Returns
    -------
    Columns source, start, stop (seconds)

    Raises
    ------
    EarshotError
        If it is missing, a column is, or a row is no segment; it names the line.
    """
    edges = ["start_sample", "end_sample"]
    table = read_table(path, [*edges, "source"], "layout.segments in the dataset's card")
    table = table.assign(**{edge: numbers(path, table, edge) for edge in edges})
    wrong = (table["end_sample"] <= table["start_sample"]) | (table["start_sample"] < 0) | table["source"].isna()
    if wrong.any():
        raise EarshotError(f"{path}, line {wrong.idxmax()}: a segment has a source, and ends after it starts")
    run = (table["source"] != table["source"].shift()).cumsum()
    joined = table.groupby(run).agg(
        source=("source", "first"), start=("start_sample", "min"), stop=("end_sample", "max")
    )
    return joined.assign(start=joined["start"] / sample_rate, stop=joined["stop"] / sample_rate).reset_index(drop=True)


def grouped_spans(card: Card, recordings: pd.DataFrame, params: dict, folder: Path) -> pd.DataFrame:
    """Return the spans that must stay whole: recordings, events, sources, or blocks of a long recording."""
    if card.union:
        return pd.concat(
            [_member_spans(name, member, recordings, params, folder) for name, member in members_of(card).items()],
            ignore_index=True,
        )
    spans = labelled(recordings, window_of(params["windows"], card.task))
    if not isinstance(card.layout, LongRecordings):
        return spans[spans["group"].notna()].reset_index(drop=True)
    rates = recordings.set_index("recording")["sample_rate"]
    tables = {
        recording: read_segments(folder / card.layout.segments[label], int(rates[recording]))
        for label, recording in card.layout.recordings.items()
        if recording in rates and label in card.layout.segments
    }
    known = spans["recording"].isin(tables.keys())
    cut = [sources(spans[known], tables)] if known.any() else []
    return pd.concat(
        [*cut, *([] if known.all() else [_guarded_blocks(card, spans[~known], params)])], ignore_index=True
    )


def _member_spans(name: str, member: Card, recordings: pd.DataFrame, params: dict, folder: Path) -> pd.DataFrame:
    spans = grouped_spans(member, union.of_member(recordings, name), params, folder / name)
    return spans.assign(recording=f"{name}/" + spans["recording"], group=f"{name}/" + spans["group"])[SPAN]


def _guarded_blocks(card: Card, spans: pd.DataFrame, params: dict) -> pd.DataFrame:
    length = window_of(params["windows"], card.task)["length"]
    if params["split"]["guard_seconds"] < length:
        raise EarshotError(
            f"split.guard_seconds ({params['split']['guard_seconds']:g}) in params.yaml is shorter than a window "
            f"({length:g} s): neighbouring blocks would share the samples of a window"
        )
    return blocks(spans, params["split"]["block_seconds"], params["split"]["guard_seconds"])


def train_only(card: Card) -> list[str]:
    """Return the classes that the card excludes from the test parts of the grouped protocol."""
    layout = card.layout
    groups = layout.groups if isinstance(layout, ClassFolders | Events | FeatureTable | Table) else None
    return (layout.train_only if isinstance(layout, Table) else []) + (groups.train_only if groups else [])


SHARED = 0.4  # seconds of a stretch that join a span to it; below `heard.HEARD`, so that the audit flags nothing


def united(spans: pd.DataFrame, duplicates: pd.DataFrame) -> pd.DataFrame:
    """Unite the groups of spans that share a stretch of sound, under the name of the first.

    Parameters
    ----------
    spans : columns recording, group, start and stop
    duplicates : see `leaks.duplicates.STRETCH`
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names = pd.Index(spans["group"].unique())
    links = [(0, 0)]
    shared = set(duplicates["recording_a"]) | set(duplicates["recording_b"])
    by_recording = dict(list(spans[spans["recording"].isin(shared)].groupby("recording")))
    for row in duplicates.itertuples():
        a = _groups_at(by_recording.get(row.recording_a), row.start_a, row.start_a + row.seconds)
        b = _groups_at(by_recording.get(row.recording_b), row.start_b, row.start_b + row.seconds)
        links += [(one, two) for one in names.get_indexer(a) for two in names.get_indexer(b)]
    rows, columns = zip(*links, strict=True)
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    first = pd.Series(names).groupby(component).transform("first")
    return spans.assign(group=spans["group"].map(dict(zip(names, first, strict=True))))


def _groups_at(spans: pd.DataFrame | None, start: float, stop: float) -> np.ndarray:
    """Return the groups of the spans of a recording that contain a part of a stretch; None has no spans."""
    if spans is None:
        return np.empty(0, object)
    shared = spans["stop"].clip(upper=stop) - spans["start"].clip(lower=start)
    return spans.loc[shared >= SHARED, "group"].unique()
