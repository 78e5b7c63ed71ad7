"""Stage: train the experiments on one dataset, for each protocol, wiring, seed and fold.

Each run is identical to that of `earshot train` with the same settings.
"""

from __future__ import annotations

import pandas as pd

from earshot import files, project
from earshot.datasets.card import Card
from earshot.datasets.experiments import experiments_on, left_out
from earshot.errors import EarshotError
from earshot.settings import read_params
from earshot.stages import nothing_to_make, stage, workers
from earshot.training.experiments import configs_of, train_all


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/models/DATASET/INPUT-MODEL/ and data/history/DATASET/INPUT-MODEL.csv of all experiments."""
    if card.test_only:
        nothing_to_make(card, project.models(card.name), read_by_dvc=(project.history(card.name, "").parent,))
        return
    params = read_params()
    compared = experiments_on(card, params)
    if told := left_out(card, params):
        print(told)
    configs = [cfg for experiment in compared for cfg in configs_of(card.name, card.task, experiment)]
    if not configs:
        raise EarshotError("params.yaml asks for no run: experiments, protocols, wirings and seeds each need an entry")
    print(f"{len(compared)} experiments on {card.label}: {len(configs)} runs", flush=True)
    for experiment, epochs in train_all(configs, project.models(card.name), workers, card.name).items():
        history = pd.DataFrame(epochs).to_csv(index=False, float_format="%.6f")
        files.write_text(project.history(card.name, experiment), history)
