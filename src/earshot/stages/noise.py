"""Stage: the grouped test parts with street noise, at falling signal-to-noise ratios."""

from __future__ import annotations

import pandas as pd

from earshot import backbones, files, project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets.card import Card
from earshot.evaluation import noise
from earshot.settings import read_params
from earshot.stages import stage, workers


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/noise/DATASET.parquet; empty where params.yaml sets no noise."""
    params = read_params()
    setting, why = noise.setting_for(card, params)
    backbones.obtain_for(params["features"], setting["inputs"] if setting else [])
    todo = noise.jobs(card.name, params, setting["inputs"]) if setting else []
    with pools.spread(workers, "earshot.batches.prepare", "earshot.trained.predict") as pool:
        frames = list(each(pool, noise.score, [(job,) for job in todo], f"noise on {card.label}"))
    found = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=noise.COLUMNS)
    files.write_table(project.noise(card.name), found, {"dataset": card.name, "asked": setting})
    print(f"{card.label}: {why or f'{len(found)} windows scored in noise'}")
