"""Many files, one after another: what is wrong with one does not keep the others from being answered."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from earshot.audio import sources
from earshot.detection.answer import answer
from earshot.detection.detector import Detector
from earshot.detection.formats import Format
from earshot.detection.rule import Rule
from earshot.errors import EarshotError


def predict(detector: Detector, names: list[str], rule: Rule, wanted: list[str], form: Format) -> int:
    """Answer all files that are named, and write what is heard as soon as it is known.

    Parameters
    ----------
    names : files, folders and patterns; `-` is standard input

    Returns
    -------
    How many have no answer; why is told on standard error
    """

    def told(name: str, error: EarshotError) -> int:
        print(f"error: {name}: {error}", file=sys.stderr)
        form.error(name, str(error))
        return 1

    def one(path: Path, name: str) -> int:
        try:
            sources.check(path)
            found = sources.blocks(path, detector.sample_rate)
            form.answer(name, answer(detector, found, rule, wanted, functools.partial(form.window, name)))
        except EarshotError as error:
            return told(name, error)
        return 0

    failed = 0
    for name in names:
        if name == sources.STDIN:
            with sources.standard_input() as path:
                failed += one(path, name)
            continue
        try:
            paths = sources.recordings(name)
        except EarshotError as error:
            failed += told(sources.shown(Path(name)), error)
        else:
            failed += sum(one(path, sources.shown(path)) for path in paths)
    return failed
