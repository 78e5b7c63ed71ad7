"""Predictions for many files, one after another or by a cluster; an error in one does not stop the others."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from earshot.audio import decode, sources
from earshot.audio.level import Level
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets.manifest import above_full_scale
from earshot.detection.answer import Answer, answer
from earshot.detection.detector import Detector, Window
from earshot.detection.formats import Format
from earshot.detection.rule import Rule
from earshot.errors import EarshotError, printable


def predict(
    detector: Detector,
    names: list[str],
    rule: Rule | Mapping[str, Rule],
    labels: list[str],
    output: Format,
    channel: decode.Channel = "mix",
    load: functools.partial[Detector] | None = None,
) -> int:
    """Predict all files, and write each result as soon as it is known.

    Parameters
    ----------
    names : files, folders and patterns; `-` is standard input
    rule, labels : of events, see `events.Events`
    output : the writer of the results
    channel : of the recordings
    load : what has loaded the detector, so that a cluster's workers can; without it all is done here

    Returns
    -------
    The number of files without a result; the reasons are printed on standard error
    """

    def report_error(name: str, error: EarshotError) -> int:
        print(printable(f"error: {name}: {error}"), file=sys.stderr)
        output.error(name, str(error))
        return 1

    def predict_file(path: Path, name: str) -> int:
        try:
            found, peak = hear(detector, path, rule, labels, channel, functools.partial(output.window, name))
        except EarshotError as error:
            return report_error(name, error)
        return report(name, found, peak)

    def report(name: str, found: Answer, peak: float) -> int:
        try:
            output.answer(name, found)
        except EarshotError as error:  # a result that the format can't hold
            return report_error(name, error)
        if peak > 1:
            loud[name] = peak
        return 0

    def predict_files(paths: list[Path]) -> int:
        if load is None or len(paths) == 1 or not pools.scheduler():
            return sum(predict_file(path, sources.shown(path)) for path in paths)
        failed = 0
        wanted = type(output).window is not Format.window
        for path, heard in zip(paths, _on_cluster(load, paths, rule, labels, channel, wanted), strict=True):
            name = sources.shown(path)
            if isinstance(heard, EarshotError):
                failed += report_error(name, heard)
                continue
            found, peak, windows = heard
            for window in windows:
                output.window(name, window)
            failed += report(name, found, peak)
        return failed

    failed, loud = 0, {}
    for name in names:
        if name == sources.STDIN:
            with sources.standard_input() as path:
                failed += predict_file(path, name)
            continue
        try:
            paths = sources.recordings(name)
        except EarshotError as error:
            failed += report_error(sources.shown(Path(name)), error)
        else:
            failed += predict_files(paths)
    if loud:
        worst = max(loud, key=loud.__getitem__)
        print(printable(f"warning: {above_full_scale(len(loud), worst, loud[worst])}"), file=sys.stderr)
    return failed


def hear(
    detector: Detector,
    path: Path,
    rule: Rule | Mapping[str, Rule],
    labels: list[str],
    channel: decode.Channel,
    on_window: Callable[[Window], None],
) -> tuple[Answer, float]:
    """Return the result of a model on a file, and the file's peak.

    Raises
    ------
    EarshotError
        If it can't be read, see `sources.blocks`, or heard, see `answer.answer`.
    """
    sources.check(path)
    level = Level(channel)
    blocks = sources.blocks(path, detector.sample_rate, level)
    return answer(detector, blocks, rule, labels, on_window), level.peak


def hear_elsewhere(
    load: functools.partial[Detector],
    path: Path,
    rule: Rule | Mapping[str, Rule],
    labels: list[str],
    channel: decode.Channel,
    wanted: bool,
) -> tuple[Answer, float, list[Window]]:
    """Do `hear` in a cluster's worker; return the windows as well, if they are wanted."""
    windows: list[Window] = []
    take = windows.append if wanted else lambda _: None
    return *hear(_loaded(load.func, load.args), path, rule, labels, channel, take), windows


@functools.lru_cache(maxsize=1)
def _loaded(load: Callable[..., Detector], arguments: tuple) -> Detector:
    return load(*arguments)


def _on_cluster(
    load: functools.partial[Detector], paths: list[Path], rule, labels: list[str], channel, wanted: bool
) -> Iterator[tuple[Answer, float, list[Window]] | EarshotError]:
    todo = [(load, path, rule, labels, channel, wanted) for path in paths]
    with pools.spread(0, load.func.__module__, __name__) as pool:
        yield from each(pool, hear_elsewhere, todo, "predict", "file", paths, lambda error: error)
