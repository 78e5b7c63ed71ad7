"""Section "Training and tuning": train models, search for settings, and choose a champion."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from earshot.cli import options
from earshot.errors import without_traceback

if TYPE_CHECKING:
    from earshot.deploy.champion import Selection
    from earshot.tuning.study import Search

MAX_ROWS = 10  # of a table; all of them are in a file or in MLflow


@click.command(
    short_help="Train one model, or several with -m.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},  # they are Hydra's
)
@click.argument("overrides", nargs=-1, type=click.UNPROCESSED)
@without_traceback
def train(overrides: tuple[str, ...]) -> None:
    """Train a model with the settings in conf/, changed by OVERRIDES such as experiment=sirens-log_mel-cnn seed=1.

    With -m, one run is trained for each combination of values: -m model=cnn,lstm seed=0,1,2. --help lists all settings.
    """
    from earshot.settings import read_params

    read_params()  # outside a project the reason is reported here, rather than by Hydra
    from earshot.cli import hydra_train

    hydra_train.check(overrides)
    sys.argv = ["earshot train", *overrides]
    hydra_train.begin()


@click.command(short_help="Search for better settings of an experiment.")
@click.argument("experiment")
@click.argument("overrides", nargs=-1)
@click.option("--plan", metavar="NAME", help="A file of conf/sweep/. Default: that of the experiment's model.")
@click.option(
    "--trials", type=click.IntRange(min=1), help="Total number of trials, earlier ones included. Default: the plan's."
)
@options.workers
@without_traceback
def search(experiment: str, overrides: tuple[str, ...], plan: str | None, trials: int | None, workers: int) -> None:
    """Search for better settings of EXPERIMENT (a file of conf/experiment/), scored on the validation windows.

    OVERRIDES are settings that all trials share, e.g. dataset=sirens or model.training.max_epochs=5. A search that was
    interrupted is resumed.
    """
    from earshot.tuning.study import Search

    begun = Search(experiment, list(overrides), plan)
    begun.run(trials or begun.plan.trials, workers)
    _print_search(begun)


def _print_search(done: Search) -> None:
    """Print the best trials of a search, what the best one gains, and the line that promotes it."""
    from earshot.terminal import print_frame

    table, found = done.table(), done.summary()
    shown = table[:MAX_ROWS]
    print_frame(f"{done.experiment}: validation, best first ({len(shown)} of {len(table)})", shown)
    best = f"trial {found['trial']}, {found['metric']} {found['best']:.4f}"
    print(f"best:      {best}; with the present settings: {found['before']:.4f}")
    print(f"all:       {done.csv}\ndashboard: earshot dashboard")
    if found["trial"] != 0:
        from earshot.tuning import promote

        print(f"promote:   {promote.command(done, found['trial'])}")


@click.command(short_help="Save the settings of a search's trial as a model.")
@click.argument("experiment")
@click.argument("trial", type=int)
@click.argument("name")
@click.argument("overrides", nargs=-1)
@click.option("--plan", metavar="NAME", help="The plan of the search.")
@without_traceback
def promote(experiment: str, trial: int, name: str, overrides: tuple[str, ...], plan: str | None) -> None:
    """Write the settings of TRIAL to conf/model/NAME.yaml. `earshot search` prints the line for its best trial."""
    from earshot.tuning import promote
    from earshot.tuning.study import Search

    path = promote.promote(Search(experiment, list(overrides), plan), trial, name)
    print(f"written: {path}\nto train it: add {name} to the models in params.yaml, then run `earshot repro`")


@click.command(short_help="Register the best model of a dataset.")
@click.argument("dataset", shell_complete=options.complete_dataset)
@click.option("--json", "as_json", is_flag=True, help="Print the version, whether it is new, and the settings as JSON.")
@without_traceback
def champion(dataset: str, as_json: bool) -> None:
    """Register the model with the best validation score of the grouped protocol as the champion of DATASET.

    The alias moves only if a setting scores higher than the present champion. The scores are shown.
    """
    from earshot.deploy.champion import select_champion

    selection = select_champion(dataset)
    if as_json:
        facts = {"dataset": dataset, "version": selection.version, "before": selection.before, "moved": selection.moved}
        facts["incomplete"] = selection.incomplete
        settings = selection.table.drop(columns="setting").to_dict("records")
        print(json.dumps(facts | {"settings": settings}, ensure_ascii=False))
    else:
        _print_champion(dataset, selection)


def _print_champion(dataset: str, done: Selection) -> None:
    """Print which setting is the champion of a dataset, and the scores that decided it."""
    from earshot.terminal import print_frame

    shown = done.table.drop(columns="setting")[:MAX_ROWS]
    print_frame(
        f"{dataset}: mean validation accuracy over all folds, grouped ({len(shown)} of {len(done.table)})", shown
    )
    for why, count in done.left_out.items():
        if count:
            print(f"left out:  {count} runs {why}")
    for setting in done.incomplete[:MAX_ROWS]:
        print(f"incomplete: {setting}")
    if len(done.incomplete) > MAX_ROWS:
        print(f"incomplete: {len(done.incomplete) - MAX_ROWS} more")
    before = "the first one" if done.before is None else f"before: version {done.before}"
    change = before if done.moved else "unchanged: no setting scores higher"
    print(f"champion:  version {done.version} of model {dataset} ({change})")


TITLE = "Training and tuning"
COMMANDS = (train, search, promote, champion)
