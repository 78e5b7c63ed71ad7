"""`earshot ...`, for people. The stages themselves are `python -m earshot.stages.NAME`, and DVC runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import click

from earshot import project, provenance
from earshot.cli import model_options
from earshot.cli.predict import predict
from earshot.cli.serve import serve
from earshot.errors import EarshotError, without_traceback
from earshot.explore import SECONDS
from earshot.settings import Experiment, read_params
from earshot.tracking import links

# What a command needs is imported in it, so that each starts at once.

SECTIONS = {
    "From recordings to the comparison": ["datasets", "repro", "report", "results"],
    "Is it true?": ["audit", "evaluate", "errors", "reproduce"],
    "Better models": ["train", "search", "promote", "champion"],
    "Look and listen": ["explore", "predict", "serve"],
    "Take a model elsewhere": ["export"],
    "MLflow": ["dashboard", "sync"],
}


class Sections(click.Group):
    """A group whose help lists the commands by what they are for."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, each with its commands in their order."""
        room = formatter.width - 6 - max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(room)) for name in names])


def _datasets(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a dataset."""
    from earshot.datasets.card import dataset_names

    return [name for name in dataset_names() if name.startswith(incomplete)]


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="earshot")
def main() -> None:
    """Reproducible audio-classification experiments that tell the truth.

    \b
    Exit codes: 0 done, 1 not done (standard error says why), 2 the command itself is wrong.
    Completion: eval "$(_EARSHOT_COMPLETE=bash_source earshot)"; zsh_source and fish_source for others.
    """


main.add_command(predict)
main.add_command(serve)


@main.command()
@click.argument("targets", nargs=-1)
@without_traceback
def repro(targets: tuple[str, ...]) -> None:
    """Run what has changed (`dvc repro`), then show the comparison.

    TARGETS are stages, e.g. features@synthetic_sirens; by default all of them.
    """
    from earshot.datasets.card import load_card

    for name in read_params()["datasets"]:
        load_card(name)  # what is wrong with a card is said here, before DVC stumbles over it
    before = _compared()
    # the stages are to run in this environment, whether or not it has been activated
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    command = [sys.executable, "-m", "dvc", "repro", *targets]
    began = time.monotonic()
    done = subprocess.run(command, cwd=project.root(), env=os.environ | {"PATH": path}, check=False)
    if done.returncode or _compared() != before:
        told = os.environ.get("EARSHOT_COMMAND") or " ".join(["earshot repro", *targets])
        provenance.record(told, time.monotonic() - began, done.returncode)
    if done.returncode:
        raise SystemExit(done.returncode)
    if not targets and _compared() == before:  # otherwise the last stage has just shown it
        print("Nothing has changed since the last comparison:")
        _summary()


def _compared() -> float | None:
    """Return when the comparison was made, or None."""
    path = project.report("comparison.json")
    return path.stat().st_mtime if path.exists() else None


@main.command()
@click.option("--json", "as_json", is_flag=True, help="All scores, differences and tests, for a program.")
@without_traceback
def report(as_json: bool) -> None:
    """Show the comparison of the last run, and where its report is."""
    if as_json:
        from earshot.report.summary import read_summary

        print(json.dumps(read_summary(), ensure_ascii=False))
    else:
        _summary()


def _summary() -> None:
    from earshot.report.terminal import print_summary

    print_summary()


@main.command(short_help="Write docs/results.md from all results.")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1)
@without_traceback
def results(folders: tuple[Path, ...]) -> None:
    """Write docs/results.md from the results in this project and in FOLDERS, e.g. build/real."""
    from earshot.files import write_text
    from earshot.report.results_page import render

    path = project.root() / "docs" / "results.md"
    write_text(path, render([project.root(), *folders]))
    print(f"written: {path}")


@main.command(short_help="Test models on another dataset.")
@click.option("--on", "other", required=True, metavar="DATASET", help="What to test on, as it stands.")
@click.option("--of", "dataset", metavar="DATASET", help="Whose models; by default those of the same task.")
@click.option("--workers", type=int, default=os.cpu_count, help="Processes; by default one per core.")
@without_traceback
def evaluate(other: str, dataset: str | None, workers: int) -> None:
    """Test the grouped protocol's models on another dataset of their task.

    What that dataset lacks (download, manifest, features) is made first.
    """
    from earshot.evaluation import cross_dataset
    from earshot.report.terminal import print_cross_dataset

    params = read_params()
    for name in [dataset] if dataset else cross_dataset.same_task(other, params):
        print_cross_dataset(name, cross_dataset.evaluate_prepared(name, other, params, workers))


@main.command(short_help="See and hear what an experiment got wrong.")
@click.argument("dataset", shell_complete=_datasets)
@click.argument("experiment", metavar="INPUT-MODEL")
@click.option("--true", metavar="CLASS", help="Windows of this class; by default of any.")
@click.option("--predicted", metavar="CLASS", help="Windows taken for this class; by default for any other.")
@click.option("--protocol", default="grouped", show_default=True)
@click.option("--wiring", default="as_coded", show_default=True)
@without_traceback
def errors(dataset: str, experiment: str, **which: str | None) -> None:
    """Write a page of the windows that an experiment was surest of and wrong about, to be seen and heard.

    With both classes given they are those of one cell of the report's confusion matrix.
    """
    from earshot.report import mistakes

    named = Experiment.parse(experiment)
    print(f"written: {mistakes.write(mistakes.Asked(dataset, named.input, named.model, **which))}")


@main.command(short_help="Find in the sound what test and training share.")
@click.argument("names", metavar="[DATASET]...", nargs=-1, shell_complete=_datasets)
@without_traceback
def audit(names: tuple[str, ...]) -> None:
    """Tell what the test parts share with the training parts, and fail where a grouped split leaks.

    By default of every dataset in params.yaml. What it finds stands in the report too, beside the scores.
    """
    from earshot.datasets.card import load_card
    from earshot.leaks import audit
    from earshot.report.terminal import print_inflation

    for name in names or read_params()["datasets"]:
        card = load_card(name)
        found = audit.audit(card)
        print(audit.summary_lines(card, found))
        print_inflation(name)
        audit.check(card, found)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For a program.")
@without_traceback
def datasets(as_json: bool) -> None:
    """List the datasets there is a card for."""
    from rich.console import Console
    from rich.table import Table

    from earshot.datasets.card import dataset_names, load_card

    cards = [load_card(name) for name in dataset_names()]
    rows = [{"dataset": card.name, "task": card.task, "title": card.title, "licence": card.licence} for card in cards]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = Table("dataset", "task", "what it is", "licence", box=None)
    for row in rows:
        table.add_row(*(value or "-" for value in row.values()))
    Console().print(table)


@main.command(short_help="See and hear a sound, or a dataset.")
@click.argument("what", metavar="FILE|DATASET")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder; by default data/explore/NAME.")
@click.option(
    "--start", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Where in FILE to begin, in seconds."
)
@click.option(
    "--seconds", type=click.FloatRange(min=0), default=SECONDS, show_default=True, help="How much of FILE to show."
)
@click.option("--max-freq", type=click.FloatRange(min=0), help="Hz; spectra of FILE end there.")
@click.option("--workers", type=int, default=os.cpu_count(), help="Processes for DATASET; by default one per core.")
@without_traceback
def explore(what: str, out: Path | None, start: float, seconds: float, max_freq: float | None, workers: int) -> None:
    """See and hear a sound, or a dataset's classes: one page, and a PNG for each picture."""
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


@main.command(
    short_help="Train one model, or with -m several.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},  # they are Hydra's
)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
def train(overrides: tuple[str, ...]) -> None:
    """Train a model as conf/ says, with OVERRIDES such as experiment=sirens-log_spectrogram-cnn seed=1.

    With -m each of several values is a training: -m model=cnn,lstm seed=0,1,2. --help lists all settings.
    """
    from earshot.cli.train import main

    sys.argv = ["earshot train", *overrides]
    main()


@main.command(short_help="Search for better settings of an experiment.")
@click.argument("experiment")
@click.argument("overrides", nargs=-1)
@click.option("--plan", metavar="NAME", help="One of conf/sweep/; by default that of the experiment's model.")
@click.option(
    "--trials", type=click.IntRange(min=1), help="In all, with those of earlier calls; by default the plan's."
)
@click.option("--workers", type=int, default=os.cpu_count, help="Processes; by default one per core.")
@without_traceback
def search(experiment: str, overrides: tuple[str, ...], plan: str | None, trials: int | None, workers: int) -> None:
    """Search for better settings of EXPERIMENT (one of conf/experiment/) by its validation windows.

    OVERRIDES are settings that all trials share, e.g. dataset=sirens or model.training.max_epochs=5. A search that was
    ended goes on where it was.
    """
    from earshot.cli import tell
    from earshot.tuning.study import Search

    begun = Search(experiment, list(overrides), plan)
    begun.run(trials or begun.plan.trials, workers)
    tell.search(begun)


@main.command(short_help="Make a model of a search's best trial.")
@click.argument("experiment")
@click.argument("trial", type=int)
@click.argument("name")
@click.argument("overrides", nargs=-1)
@click.option("--plan", metavar="NAME", help="As it was searched by.")
@without_traceback
def promote(experiment: str, trial: int, name: str, overrides: tuple[str, ...], plan: str | None) -> None:
    """Write the settings of a search's TRIAL to conf/model/NAME.yaml; `earshot search` prints the line."""
    from earshot.tuning.study import Search

    path = Search(experiment, list(overrides), plan).promote(trial, name)
    print(f"written: {path}\ntrain it: add {name} to the models in params.yaml, then `earshot repro`")


@main.command(short_help="Train a run again: does the same come of it?")
@click.argument("run_id")
@without_traceback
def reproduce(run_id: str) -> None:
    """Train a run of MLflow again, and tell whether the same came of it: exit code 1 if not.

    First it says what is not as it was: commit, settings, features, split, code, libraries, machine.
    """
    from earshot.cli import tell
    from earshot.training.reproduce import reproduce

    done = reproduce(run_id)
    tell.reproduction(done)
    if not done.identical:
        raise SystemExit(1)


@main.command(short_help="Register the best model of a dataset.")
@click.argument("dataset", shell_complete=_datasets)
@click.option("--json", "as_json", is_flag=True, help="Version, whether it moved, and the settings, for a program.")
@without_traceback
def champion(dataset: str, as_json: bool) -> None:
    """Register the model with the best validation score of the grouped protocol as DATASET's champion.

    The alias moves only if a setting is better than the present champion; why is shown.
    """
    from earshot.cli import tell
    from earshot.deploy.champion import crown

    crowned = crown(dataset)
    if as_json:
        facts = {"dataset": dataset, "version": crowned.version, "before": crowned.before, "moved": crowned.moved}
        settings = crowned.table.drop(columns="setting").to_dict("records")
        print(json.dumps(facts | {"settings": settings}, ensure_ascii=False))
    else:
        tell.crowning(dataset, crowned)


@main.command(short_help="Write a trained model to an ONNX file.")
@click.argument("file", metavar="FILE.onnx", type=click.Path(path_type=Path))
@model_options.with_model
@without_traceback
def export(file: Path, run: str | None, model: Path | None, champion: str | None) -> None:
    """Write a trained model, with all that comes before it, to an ONNX file: samples in, probabilities out."""
    from earshot.deploy.onnx.export import export

    export(model_options.folder(run, model, champion), file)
    print(f"written: {file}")


@main.command(short_help="Send MLflow what it could not take.")
@without_traceback
def sync() -> None:
    """Send to MLflow the runs that it could not take when they were trained."""
    from earshot.tracking import outbox, store

    waiting = len(outbox.unsent())
    if not waiting:
        print("nothing is kept to be sent")
        return
    try:
        outbox.sync(lambda record: print(f"sent: {record.name or 'more of a run'} ({record.experiment})"))
    except Exception as error:  # whatever the store or the network raises
        left = len(outbox.unsent())
        raise EarshotError(f"MLflow at {store.uri()} took {waiting - left} of {waiting}: {error}") from None


@main.command(short_help="Open the MLflow dashboard, with the report.")
@click.option("--port", default=links.PORT, show_default=True, help="On this machine (127.0.0.1) alone.")
@without_traceback
def dashboard(port: int) -> None:
    """Open the MLflow dashboard of all runs, with the report beside it."""
    from earshot.web import dashboard

    dashboard.start(port)


if __name__ == "__main__":
    main()
