"""Stage: the grouped test parts, each window under the recording conditions of another class."""

from __future__ import annotations

import pandas as pd

from earshot import backbones, files, project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets.card import Card
from earshot.evaluation import swapped
from earshot.settings import read_params
from earshot.stages import stage, workers


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/swapped/DATASET.parquet; empty where nothing is swapped."""
    params = read_params()
    why_not = swapped.why_not(card, params)
    todo = [] if why_not else swapped.jobs(card, params)
    backbones.obtain_for(params["features"], [job.input for job in todo])
    found = _scored(todo, workers, card.label) if todo else pd.DataFrame(columns=swapped.COLUMNS)
    files.write_table(project.swapped(card.name), found, {"dataset": card.name, **params["swapped"]})
    print(f"{card.label}: {why_not or f'{len(found)} windows scored under swapped conditions'}")


def _scored(todo: list[swapped.Job], workers: int, label: str) -> pd.DataFrame:
    with pools.spread(workers, "earshot.batches.prepare", "earshot.trained.predict") as pool:
        frames = list(each(pool, swapped.score, [(job,) for job in todo], f"swapped on {label}"))
    return pd.concat(frames, ignore_index=True)
