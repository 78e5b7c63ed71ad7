"""Section "Listening and prediction": explore recordings, and have trained models classify them."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot import project
from earshot.cli import options
from earshot.detection.rule import Rule
from earshot.errors import EarshotError, without_traceback
from earshot.explore import SECONDS
from earshot.web import ports

# of detection/formats.py, whose import takes seconds
FORMATS = ["table", "json", "csv", "windows", "audacity", "raven", "dcase", "audioset"]
LOOPBACK = "127.0.0.1"
if TYPE_CHECKING:
    from earshot.detection.detector import Detector


@click.command(short_help="See and hear a recording or a dataset.")
@click.argument("what", metavar="FILE|DATASET")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder. Default: data/explore/NAME.")
@click.option(
    "--start", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Where in FILE to begin, in seconds."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=SECONDS, show_default=True, help="How much of FILE to show."
)
@click.option("--max-freq", type=click.FloatRange(min=0), help="Highest frequency of FILE's spectra, in Hz.")
@click.option(
    "--workers",
    type=int,
    default=os.cpu_count(),
    help="Number of processes for DATASET. Default: one for each core.",
)
@without_traceback
def explore(what: str, out: Path | None, start: float, seconds: float, max_freq: float | None, workers: int) -> None:
    """Make a page to see and hear a recording, or the classes of a dataset; each picture is a PNG as well."""
    from earshot.datasets.card import dataset_names

    if what in dataset_names():
        from earshot.explore import dataset

        page = dataset.explore(what, out or project.page("explore", what), workers)
    elif Path(what).is_file():
        from earshot.explore import sound

        page = sound.explore(Path(what), out or project.page("explore", Path(what).stem), start, seconds, max_freq)
    else:
        kind = "a folder, not a file" if Path(what).is_dir() else "neither a file nor a dataset"
        raise EarshotError(f"{what} is {kind}. Datasets there are: {', '.join(dataset_names()) or 'none'}")
    print(f"written: {page}")


def _default(name: str) -> str:
    """Say what a model does without an option."""
    return f"Default: the model's operating point, or {getattr(Rule, name):g}."


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@options.with_model
@click.option("--backbone", metavar="NAME", help="Use this network of conf/backbones/ as it is, with nothing trained.")
@click.option(
    "--labels",
    metavar="NAME,NAME",
    multiple=True,
    help="Of the backbone's classes only those with these names, or with them in theirs; =NAME: exactly that.",
)
@click.option(
    "--hop",
    type=click.FloatRange(0.01),
    help="Hop of the windows in seconds. Default: of the operating point, or as in training.",
)
@click.option("--channel", type=click.IntRange(0), help="Take this channel, from 0. Default: the mean of all.")
@click.option("--only", "wanted", metavar="CLASS", multiple=True, help="Only events of this class; can be repeated.")
@click.option("--threshold", type=float, help=f"Score at which an event begins. {_default('threshold')}")
@click.option("--release", type=float, help=f"Score below which it ends. {_default('release')}")
@click.option("--min-duration", type=float, help=f"Shortest event, in seconds. {_default('min_duration')}")
@click.option("--max-gap", type=float, help=f"Events so few seconds apart are one. {_default('max_gap')}")
@click.option("--median", type=float, help=f"Smooth the scores over so many seconds. {_default('median')}")
@click.option("--attack", type=float, help=f"Score down to which its beginning is followed back. {_default('attack')}")
@click.option(
    "--snap", type=float, help=f"Begin at the greatest rise of level so many seconds near. {_default('snap')}"
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "form", flag_value="json", help="Short for --format json.")
@click.option(
    "--follow", "follows", is_flag=True, help="FILE is a stream of 16 bit PCM: a pipe, a file that grows, or -."
)
@click.option("--rate", default=16000, show_default=True, type=click.IntRange(1), help="Sample rate of the stream, Hz.")
@click.option("--channels", default=1, show_default=True, type=click.IntRange(1), help="Channels of the stream.")
@without_traceback
def predict(
    files: tuple[str, ...],
    run: str | None,
    model: Path | None,
    champion: str | None,
    backbone: str | None,
    labels: tuple[str, ...],
    hop: float | None,
    channel: int | None,
    wanted: tuple[str, ...],
    threshold: float | None,
    release: float | None,
    min_duration: float | None,
    max_gap: float | None,
    median: float | None,
    attack: float | None,
    snap: float | None,
    form: str,
    follows: bool,
    rate: int,
    channels: int,
) -> None:
    """Classify recordings and detect events, with a trained model or with a network that others trained.

    Default model: the champion; where there is none, a backbone that knows the 527 classes of AudioSet.

    FILE is a recording of any format and length, a folder, a pattern, or - for standard input.

    \b
    Formats:
      table     the mean score of each class, then the events
      json      the same, a line of JSON for each file
      csv       a row for each event
      windows   a row for each window, with all probabilities
      audacity  label track of one file
      raven     selection table
      dcase     TSV with filename, onset, offset, event_label
      audioset  TSV with segment_id, start_time_seconds, end_time_seconds, label

    The exit code is 1 if a file could not be classified; standard error says why, and the other files are done.
    """
    if follows and len(files) > 1:
        raise click.UsageError("--follow takes one FILE")
    load = _loader(run, model, champion, backbone, labels, hop)
    detector = _loaded(load)
    rules = detector.rules(
        threshold=threshold,
        release=release,
        min_duration=min_duration,
        max_gap=max_gap,
        median=median,
        attack=attack,
        snap=snap,
    )
    if unknown := sorted(set(wanted) - set(detector.classes)):
        raise EarshotError(f"--only {unknown[0]}: the model's classes are {', '.join(detector.classes)}")
    classes = list(wanted) or detector.classes
    if follows:
        from earshot.detection.follow import follow, line

        for found in follow(detector, files[0], rate, channels, rules, classes):
            print(line(found, detector.classes, form == "json"), flush=True)
        return
    from earshot.detection import batch, formats

    output = formats.OUTPUTS[form](detector.classes, detector.sample_rate / 2)
    if batch.predict(detector, list(files), rules, classes, output, "mix" if channel is None else channel, load):
        raise SystemExit(1)


def _loader(
    run: str | None,
    model: Path | None,
    champion: str | None,
    backbone: str | None,
    labels: tuple[str, ...],
    hop: float | None,
) -> functools.partial[Detector]:
    """Return what loads the model that the options name; where they name none and no champion is, a backbone."""
    trained = [value for value in (run, model, champion) if value is not None]
    if trained and (backbone or labels):
        raise click.UsageError("--backbone and --labels are for a network as it is, --run, --model and --champion not")
    from earshot.deploy import find

    if trained or (not (backbone or labels) and find.champions()):
        from earshot.detection.detector import Detector

        return functools.partial(Detector.load, options.model_folder(run, model, champion), hop)
    from earshot.detection import untrained

    if not (backbone or labels):
        print("no champion here yet, so a network that others trained answers:", file=sys.stderr, flush=True)
    return functools.partial(untrained.load, backbone or untrained.DEFAULT, labels, hop)


def _loaded(load: functools.partial[Detector]) -> Detector:
    from earshot.detection import untrained

    with contextlib.redirect_stdout(sys.stderr):  # what is fetched is told there: standard output has the results
        found = load()
        if load.func is untrained.load:
            print("\n".join(untrained.told(found)), flush=True)
    return found


@click.command(short_help="Open a page that classifies recordings.")
@click.option(
    "--model",
    "folders",
    metavar="FOLDER",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Offer the model in this folder; can be repeated.",
)
@click.option(
    "--backbone", metavar="NAME", help="Offer this network of conf/backbones/ as it is, with nothing trained."
)
@click.option("--port", default=ports.SERVE, show_default=True)
@click.option(
    "--host", default=LOOPBACK, show_default=True, help="0.0.0.0 allows other machines; there is no authentication."
)
@click.option("--name", "names", metavar="HOST", multiple=True, help="Host name of this machine for others.")
@click.option("--most-mb", default=50.0, show_default=True, help="Largest upload, in megabytes.")
@without_traceback
def serve(
    folders: tuple[Path, ...], backbone: str | None, port: int, host: str, names: tuple[str, ...], most_mb: float
) -> None:
    """Open a page in the browser where trained models classify a recording: see, hear and compare the results.

    Default models: the champions, one of each experiment of the pipeline, and a backbone with nothing trained.
    """
    models = {str(folder): folder for folder in folders} or ({} if backbone else _trained_models())
    offered = _loaders(models, backbone, by_default=not folders)
    if not offered:
        raise EarshotError("there is no trained model here: `earshot repro` trains some, --model names one")
    ports.check(host, port)
    import uvicorn

    from earshot.web.bounded import Bounded
    from earshot.web.listening import app

    print(f"listening on http://{host}:{port} with {len(offered)} models; stop with Ctrl-C", flush=True)
    served = app(offered, models, round(most_mb * 1e6), [LOOPBACK, "localhost", host, *names])
    # uvicorn's other HTTP parser fails where a refused body continues to arrive
    uvicorn.run(served, http=Bounded, host=host, port=port, log_level="warning", server_header=False)


def _loaders(folders: dict[str, Path], backbone: str | None, by_default: bool) -> dict[str, Callable[[], Detector]]:
    """Return what loads each model: those in folders, and a backbone that is named, or the default one if it is here.

    Raises
    ------
    EarshotError
        If there is no card of the backbone that is named.
    """
    from earshot import backbones
    from earshot.detection import untrained
    from earshot.detection.detector import Detector

    found = {name: functools.partial(Detector.load, folder) for name, folder in folders.items()}
    name = backbone or (untrained.DEFAULT if by_default and untrained.DEFAULT in backbones.backbone_names() else None)
    if name:
        backbones.load_card(name)
        found[f"{name}, untrained on your data"] = functools.partial(untrained.load, name)
    return found


def _trained_models() -> dict[str, Path]:
    """Return the champions, and the first run of each experiment in data/models, a grouped one where there is one."""
    from earshot.deploy import find
    from earshot.tracking import store

    folder = project.models()
    found, away = {}, None
    try:
        found |= {f"champion of {dataset}": find.champion(dataset) for dataset in find.champions()}
    except store.Away as error:
        away = error
    for experiment in sorted(folder.glob("*/*")):
        runs = experiment.glob("*/config.json")
        first = min(runs, key=lambda path: (not path.parent.name.startswith("grouped"), path), default=None)
        if first:
            found[str(first.parent.relative_to(folder))] = first.parent
    if away and not found:
        raise away
    if away:
        print(f"warning: without the champions, since {away}", file=sys.stderr)
    return found


TITLE = "Listening and prediction"
COMMANDS = (explore, predict, serve)
