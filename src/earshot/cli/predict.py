"""`earshot predict`."""

from __future__ import annotations

from pathlib import Path

import click

from earshot.cli import model_options
from earshot.detection.rule import Rule
from earshot.errors import EarshotError, without_traceback

FORMATS = ["table", "json", "csv", "windows", "audacity"]


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@model_options.with_model
@click.option("--hop", type=click.FloatRange(0.01), help="Seconds from window to window; by default as in training.")
@click.option("--only", "wanted", metavar="CLASS", multiple=True, help="Events of this class; can be given again.")
@click.option("--threshold", default=Rule.threshold, show_default=True, help="Score at which an event begins.")
@click.option("--release", default=Rule.release, show_default=True, help="Score below which it ends.")
@click.option("--min-duration", default=Rule.min_duration, show_default=True, help="Seconds; shorter is no event.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--follow", "follows", is_flag=True, help="FILE is a stream of 16 bit PCM: a pipe, a file that grows, or -."
)
@click.option("--rate", default=16000, show_default=True, type=click.IntRange(1), help="Of the stream, in Hz.")
@click.option("--channels", default=1, show_default=True, type=click.IntRange(1), help="Of the stream.")
@without_traceback
def predict(
    files: tuple[str, ...],
    run: str | None,
    model: Path | None,
    champion: str | None,
    hop: float | None,
    wanted: tuple[str, ...],
    threshold: float,
    release: float,
    min_duration: float,
    form: str,
    follows: bool,
    rate: int,
    channels: int,
) -> None:
    """Tell what a trained model hears in recordings, and when.

    FILE is a recording of any format and length, a folder, a pattern, or - for standard input.

    \b
    Formats:
      table     the mean score of each class, then the events
      json      the same, a line of JSON for each file
      csv       a row for each event
      windows   a row for each window, with all probabilities
      audacity  label track of one file

    Exit code 1: a file has no answer (standard error tells why, the others are answered).
    """
    if follows and len(files) > 1:
        raise click.UsageError("--follow takes one FILE")
    from earshot.detection.detector import Detector

    rule, detector = (
        Rule(threshold, release, min_duration),
        Detector.load(model_options.folder(run, model, champion), hop),
    )
    if unknown := sorted(set(wanted) - set(detector.classes)):
        raise EarshotError(f"--only {unknown[0]}: the model's classes are {', '.join(detector.classes)}")
    asked = list(wanted) or detector.classes
    if follows:
        from earshot.detection.follow import follow, line

        for found in follow(detector, files[0], rate, channels, rule, asked):
            print(line(found, detector.classes, form == "json"), flush=True)
        return
    from earshot.detection import batch, formats

    if batch.predict(detector, list(files), rule, asked, formats.FORMATS[form](detector.classes)):
        raise SystemExit(1)
