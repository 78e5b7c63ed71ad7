"""Section "Pipeline": list the datasets, run the stages that have changed, and show the results."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click

from earshot import project
from earshot.errors import EarshotError, printable, without_traceback

BEGINS = re.compile(r"[:;.] ")  # where the first statement of a text ends


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@without_traceback
def datasets(as_json: bool) -> None:
    """List the datasets that have a card; --json has titles and licences in full."""
    from rich.console import Console
    from rich.table import Table

    from earshot.datasets.card import dataset_names, load_card, misnamed

    for path in misnamed():
        print(printable(f"{path} is not read: a card's suffix is .yaml"), file=sys.stderr)
    cards, faults = [], []
    for name in dataset_names():
        try:
            cards.append(load_card(name))
        except EarshotError as error:  # the others are listed all the same
            faults.append(error)
    rows = [{"dataset": card.name, "task": card.task, "title": card.title, "licence": card.licence} for card in cards]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
    else:
        table = Table("dataset", "task", "title", "licence", box=None)
        for row in rows:
            short = row | {key: BEGINS.split(row[key])[0] for key in ("title", "licence")}
            table.add_row(*(value or "-" for value in short.values()))
        Console().print(table)
    if faults:
        raise EarshotError("\n".join(map(str, faults)))


@click.command(short_help="Run the stages that have changed.")
@click.option("-v", "--verbose", is_flag=True, help="Show all that DVC and the stages say, as they say it.")
@click.argument("targets", nargs=-1)
@without_traceback
def repro(targets: tuple[str, ...], verbose: bool) -> None:
    """Run the stages that have changed (`dvc repro`), then show the comparison.

    TARGETS are stages, e.g. features@synthetic_sirens. Default: all stages.

    In a terminal a live view shows the stage that runs, elsewhere each stage is a line; data/repro.log has the rest.
    """
    from earshot import processes, provenance, stages
    from earshot.cluster import warm
    from earshot.doctor import beforehand
    from earshot.live import watch

    beforehand.check()  # a mistake is reported here, rather than by DVC or hours later
    beforehand.check_repository()
    before = _compared_at()
    # the stages are to run in this environment, whether or not it has been activated
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    command = [sys.executable, "-m", "dvc", "repro", *targets]
    environment = os.environ | {"PATH": path}
    signal.signal(signal.SIGTERM, processes.leave_in_order)  # and so do DVC and its stage
    began = time.monotonic()
    copied = [sys.executable, "-m", "earshot.stages", stages.SERVE]
    new = not (project.root() / "dvc.lock").exists()
    with warm.started(copied, project.root(), environment, at_once=new) as environment:
        if verbose:
            status = subprocess.run(command, cwd=project.root(), env=environment, check=False).returncode
        else:
            status = watch.run(command, targets, environment)
    changed = _compared_at() != before
    if status or changed:
        called = os.environ.get("EARSHOT_COMMAND") or " ".join(["earshot repro", *targets])
        provenance.record(called, time.monotonic() - began, status)
    if status:
        raise SystemExit(status)
    if not targets and not changed:
        print("Nothing has changed since the last comparison:")
        _print_summary()
    elif changed and not verbose:  # else the last stage has just shown it
        _print_summary()


@click.command(
    short_help="Start a cluster, and run a command on it.", context_settings={"allow_interspersed_args": False}
)
@click.option("--workers", type=click.IntRange(1), help="Number of workers. Default: as conf/cluster/NAME.yaml says.")
@click.argument("name", metavar="NAME")
@click.argument("command", metavar="[COMMAND]...", nargs=-1, type=click.UNPROCESSED)
@without_traceback
def cluster(workers: int | None, name: str, command: tuple[str, ...]) -> None:
    """Start the cluster of conf/cluster/NAME.yaml, run COMMAND on it, and end it.

    \b
    For example: earshot cluster --workers 4 dask earshot repro
    Without COMMAND it runs until Ctrl-C, and says what to type in another terminal.
    """
    from earshot import processes
    from earshot.cluster import pools, start

    signal.signal(signal.SIGTERM, processes.leave_in_order)
    with start.started(name, workers) as address, processes.told_of_interrupt() as interrupted:
        if not command:
            print("stop it with Ctrl-C; in another terminal type this, then other commands:")
            print(f"export {pools.CLUSTER}={address}", flush=True)
            while not interrupted.wait(1):
                pass
            return
        try:
            running = subprocess.Popen(command, env=os.environ | {pools.CLUSTER: address})
        except OSError as error:
            raise EarshotError(f"{command[0]}: {error.strerror}") from None
        try:
            status = running.wait()  # it gets Ctrl-C as well, and ends in order
        finally:
            running.terminate()
    raise SystemExit(status if status >= 0 else 128 - status)


def _compared_at() -> float | None:
    """Return when the comparison was made, or None."""
    path = project.report("comparison.json")
    return path.stat().st_mtime if path.exists() else None


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print all scores, differences and tests as JSON.")
@without_traceback
def report(as_json: bool) -> None:
    """Show the latest comparison and the path of its report."""
    if as_json:
        from earshot.report.scores import read_summary

        print(json.dumps(read_summary(), ensure_ascii=False))
    else:
        _print_summary()


def _print_summary() -> None:
    from earshot.report.terminal import print_summary

    print_summary()


@click.command(short_help="Write docs/results.md from all results.")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1)
@without_traceback
def results(folders: tuple[Path, ...]) -> None:
    """Write docs/results.md from the results of this project and of the projects in FOLDERS, e.g. build/real."""
    from earshot.files import write_text
    from earshot.report.results_page import render

    path = project.root() / "docs" / "results.md"
    write_text(path, render([project.root(), *folders]))
    print(f"written: {path}")


TITLE = "Pipeline"
COMMANDS = (datasets, repro, cluster, report, results)
