"""Stage: recordings -> input representations, data/features/DATASET/INPUT/."""

from __future__ import annotations

import click

from earshot import backbones
from earshot.datasets.card import Card
from earshot.datasets.experiments import experiments_on, left_out
from earshot.inputs.extract import extract
from earshot.settings import read_params
from earshot.stages import stage, workers


@stage
@click.argument("names", metavar="[INPUT]...", nargs=-1)
@workers
def main(card: Card, names: tuple[str, ...], workers: int) -> None:
    """Write data/features/DATASET/INPUT/; by default for each INPUT in params.yaml."""
    params = read_params()
    if told := left_out(card, params):
        print(told)
    names = names or tuple(dict.fromkeys(experiment.input for experiment in experiments_on(card, params)))
    backbones.obtain_for(params["features"], names)
    for name in names:
        extract(card, name, params, workers)
