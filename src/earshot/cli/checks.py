"""Section "Checks": look for leaks, test on other datasets, inspect errors, and retrain runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from earshot.cli import options
from earshot.errors import EarshotError, printable, without_traceback

if TYPE_CHECKING:
    from earshot.training.reproduce import Reproduction


@click.command(short_help="Find sound that the test and training parts share.")
@click.argument("names", metavar="[DATASET]...", nargs=-1, shell_complete=options.complete_dataset)
@without_traceback
def audit(names: tuple[str, ...]) -> None:
    """Show what the test parts share with the training parts; fail if a grouped split leaks.

    Default: every dataset in params.yaml. The findings are in the report too, beside the scores.
    """
    from earshot.datasets.card import load_card
    from earshot.leaks import audit
    from earshot.report.terminal import print_inflation
    from earshot.settings import read_params

    for name in names or read_params()["datasets"]:
        card = load_card(name)
        if card.test_only:
            print(f"{card.label}: not split, it is for testing alone")
            continue
        found = audit.audit(card)
        print(audit.describe(card, found))
        print_inflation(name)
        audit.check(card, found)


@click.command(short_help="Test models on another dataset.")
@click.option("--on", "other", required=True, metavar="DATASET", help="The dataset to test on; all of it is used.")
@click.option("--of", "dataset", metavar="DATASET", help="The dataset of the models. Default: all of the same task.")
@options.workers
@without_traceback
def evaluate(other: str, dataset: str | None, workers: int) -> None:
    """Test the models of the grouped protocol on another dataset of the same task.

    Stages that the other dataset still needs (download, manifest, features) are run first.
    """
    from earshot.evaluation import cross_dataset
    from earshot.report.terminal import print_cross_dataset
    from earshot.settings import read_params

    params = read_params()
    for name in [dataset] if dataset else cross_dataset.same_task(other, params):
        print_cross_dataset(name, cross_dataset.evaluate_prepared(name, other, params, workers))


@click.command(short_help="Measure the compute that an hour of sound takes.")
@click.argument("names", metavar="[DATASET]...", nargs=-1, shell_complete=options.complete_dataset)
@without_traceback
def cost(names: tuple[str, ...]) -> None:
    """Measure how many seconds each model takes for an hour of sound, on one core of this machine.

    Default: every dataset in params.yaml. The numbers are kept in data/cost.json, and the report shows them once it is
    made again: `dvc repro --force --single-item compare`.
    """
    from earshot.evaluation import cost
    from earshot.settings import read_params

    params = read_params()
    for card in cost.measurable(list(names or params["datasets"])):
        for experiment, seconds in cost.measure(card, params).items():
            print(f"{card.label} {experiment}: {seconds:g} s for an hour of sound")
    print("to have them in the report: dvc repro --force --single-item compare")


@click.command(short_help="See and hear what an experiment got wrong.")
@click.argument("dataset", shell_complete=options.complete_dataset)
@click.argument("experiment", metavar="INPUT-MODEL")
@click.option("--true", metavar="CLASS", help="Only windows of this class.")
@click.option("--predicted", metavar="CLASS", help="Only windows that were predicted as this class.")
@click.option("--protocol", default="grouped", show_default=True)
@click.option("--wiring", default="as_coded", show_default=True)
@without_traceback
def errors(dataset: str, experiment: str, **which: str | None) -> None:
    """Write a page with the most confident errors of an experiment, to be seen and heard.

    With both classes given, the page shows the windows in that cell of the report's confusion matrix.
    """
    from earshot.report import mistakes
    from earshot.settings import Experiment

    named = Experiment.parse(experiment)
    print(f"written: {mistakes.write(mistakes.MatrixCell(dataset, named.input, named.model, **which))}")


@click.command(short_help="Retrain a run and check that it is identical.")
@click.argument("run_id")
@without_traceback
def reproduce(run_id: str) -> None:
    """Retrain an MLflow run and check that the result is identical. The exit code is 1 if it is not.

    What has changed since the run is listed first: commit, settings, features, split, code, libraries, machine.
    """
    from earshot.training.reproduce import reproduce

    done = reproduce(run_id)
    _print_reproduction(done)
    if not done.identical:
        raise SystemExit(1)


def _print_reproduction(done: Reproduction) -> None:
    """Print what is the same as in the run, and what is not."""
    for name, then, now in done.facts:
        print(f"{name + ':':11}" + (f"the same ({now})" if then == now else f"was {then}, is {now}"))
    for name, logged, equal, largest in done.metrics:
        difference = f", largest difference {largest:g}" if largest else ""
        print(f"{name + ':':16}{equal} of {logged} epochs the same{difference}")
    print(f"weights:   {'identical' if done.weights else 'different'}")
    print("reproduced: yes, identical" if done.identical else "reproduced: no")


@click.command(short_help="Check that what is kept is as it was written.")
@click.option("--remove", is_flag=True, help="Remove what is not, so that it is made anew, and what was left over.")
@without_traceback
def verify(remove: bool) -> None:
    """Read what data/cache/ keeps, what dvc.lock lists and what DVC's cache holds, and compare it with its checksums.

    Temporary files of processes that were killed are listed too.

    The exit code is 1 if something is damaged. A file that dvc.lock lists may also be newer, where a stage was run
    without DVC.
    """
    from earshot.verify import everything

    n, found = everything.damaged()
    for path in found:
        print(f"damaged: {path}")
    for path in (left := everything.left_over()):
        print(f"left over from a process that is gone: {path}")
    if remove:
        everything.remove([*found, *left])
    if not found:
        print(f"{n} files are as they were written")
    elif remove:
        print(f"removed: {len(found)} of {n} files. Type `dvc repro`, which makes them anew")
    else:
        print(f"{len(found)} of {n} files have changed since they were written. Type `earshot verify --remove`")
        raise SystemExit(1)


@click.command(short_help="Say what is wrong with this machine or project.")
@without_traceback
def doctor() -> None:
    """Look at Python, programs, disk, ports, settings, DVC and MLflow, and say what mends each fault.

    The exit code is 1 if commands will fail; a warning alone is no failure.
    """
    from itertools import chain

    from earshot.doctor import in_project, machine
    from earshot.doctor.finding import ERROR

    failed = 0
    for finding in chain(machine.examine(), in_project.examine()):
        failed += finding.level == ERROR
        mend = f"\n{'':9}-> {finding.mend}" if finding.mend else ""
        print(printable(f"{finding.level:8} {finding.about}: {finding.said}{mend}"), flush=True)
    if failed:
        raise EarshotError(f"{failed} of these will stop commands: do what stands behind ->")


TITLE = "Checks"
COMMANDS = (doctor, audit, evaluate, cost, errors, reproduce, verify)
