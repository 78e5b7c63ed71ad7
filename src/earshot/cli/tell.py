"""What came of a search, of a run that was trained again and of the choice of a champion, told in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earshot.terminal import print_frame

if TYPE_CHECKING:
    from earshot.deploy.champion import Selection
    from earshot.training.reproduce import Reproduction
    from earshot.tuning.study import Search

MOST_ROWS = 10


def search(done: Search) -> None:
    """Print a search's best trials, what the best one gains, and the line that promotes it."""
    table, found = done.table(), done.summary()
    shown = table[:MOST_ROWS]
    print_frame(f"{done.experiment}: validation, best first ({len(shown)} of {len(table)})", shown)
    best = f"trial {found['trial']}, {found['metric']} {found['best']:.4f}"
    print(f"best:      {best}; settings as they are: {found['before']:.4f}")
    print(f"all:       {done.csv}\ndashboard: make dashboard")
    if found["trial"] != 0:
        from earshot.tuning import promote

        print(f"promote:   {promote.command(done, found['trial'])}")


def reproduction(done: Reproduction) -> None:
    """Print what was the same as in the run, and what was not."""
    for name, then, now in done.facts:
        print(f"{name + ':':11}" + (f"the same ({now})" if then == now else f"was {then}, is {now}"))
    for name, logged, equal, largest in done.metrics:
        print(
            f"{name + ':':16}{equal} of {logged} epochs the same" + (f", off by up to {largest:g}" if largest else "")
        )
    print(f"weights:   {'the same to the byte' if done.weights else 'not the same'}")
    print("reproduced: yes, identical" if done.identical else "reproduced: no")


def champion(dataset: str, done: Selection) -> None:
    """Print which setting is the champion of a dataset, and why."""
    shown = done.table.drop(columns="setting")[:MOST_ROWS]
    print_frame(
        f"{dataset}: mean validation accuracy over all folds, grouped ({len(shown)} of {len(done.table)})", shown
    )
    for why, count in done.left_out.items():
        if count:
            print(f"left out:  {count} runs {why}")
    before = "there was none" if done.before is None else f"it was version {done.before}"
    print(
        f"champion:  version {done.version} of model {dataset} ({before if done.moved else 'it stays: none is better'})"
    )
