"""Stage: the grouped protocol's models of one dataset, tested on the other datasets of its task."""

from __future__ import annotations

import pandas as pd

from earshot import files, project
from earshot.datasets.card import Card
from earshot.evaluation import cross_dataset
from earshot.settings import read_params
from earshot.stages import stage, workers


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/cross_dataset/DATASET.parquet; empty where no other dataset has the same task and classes."""
    params = read_params()
    trained = "grouped" in params["protocols"] and not card.test_only
    on = cross_dataset.others(card.name, params) if trained else []
    frames = cross_dataset.evaluate_all(card, on, params, workers)
    found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=cross_dataset.COLUMNS)
    files.write_table(project.cross_dataset(card.name), found, {"dataset": card.name, "on": on})
    print(f"{card.label}: tested on {', '.join(on) or 'no other dataset'}")
