"""Predictions for many files, one after another; an error in one file does not stop the others."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path

from earshot.audio import decode, sources
from earshot.audio.level import Level
from earshot.datasets.manifest import above_full_scale
from earshot.detection.answer import answer
from earshot.detection.detector import Detector
from earshot.detection.formats import Format
from earshot.detection.rule import Rule
from earshot.errors import EarshotError


def predict(
    detector: Detector,
    names: list[str],
    rule: Rule | Mapping[str, Rule],
    labels: list[str],
    output: Format,
    channel: decode.Channel = "mix",
) -> int:
    """Predict all files, and write each result as soon as it is known.

    Parameters
    ----------
    names : files, folders and patterns; `-` is standard input
    rule, labels : of events, see `events.Events`
    output : the writer of the results
    channel : of the recordings

    Returns
    -------
    The number of files without a result; the reasons are printed on standard error
    """

    def report_error(name: str, error: EarshotError) -> int:
        print(f"error: {name}: {error}", file=sys.stderr)
        output.error(name, str(error))
        return 1

    def predict_file(path: Path, name: str) -> int:
        try:
            sources.check(path)
            level = Level(channel)
            blocks = sources.blocks(path, detector.sample_rate, level)
            output.answer(name, answer(detector, blocks, rule, labels, functools.partial(output.window, name)))
        except EarshotError as error:
            return report_error(name, error)
        if level.peak > 1:
            loud[name] = level.peak
        return 0

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
            failed += sum(predict_file(path, sources.shown(path)) for path in paths)
    if loud:
        worst = max(loud, key=loud.__getitem__)
        print(f"warning: {above_full_scale(len(loud), worst, loud[worst])}", file=sys.stderr)
    return failed
