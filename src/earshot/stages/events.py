"""Stage: how well events are found in soundscapes that are mixed from the grouped test parts."""

from __future__ import annotations

import pandas as pd

from earshot import backbones, files, project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.evaluation import events
from earshot.settings import read_params
from earshot.soundscapes.asked import why_not
from earshot.stages import stage, workers


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/events/DATASET/events.parquet and scores.parquet; empty where params.yaml asks for no events."""
    params = read_params()
    setting = params["events"].get(card.task) if "grouped" in params["protocols"] else None
    why = why_not(card, setting, manifest.read(card.name))
    backbones.obtain_for(params["features"], [] if why else setting["inputs"])
    split = None if why else files.read_table(project.split(card.name, "grouped"))
    todo = [] if why else events.jobs(card, params, sorted(map(int, split["fold"].unique())))
    with pools.spread(workers, "earshot.soundscapes.of_part") as pool:
        both = list(each(pool, events.score, todo, f"events of {card.label}"))
    names = (events.JUDGED, events.PSDS_COLUMNS)
    tables = [pd.concat([pair[n] for pair in both]) if both else pd.DataFrame(columns=names[n]) for n in range(2)]
    told = {"dataset": card.name, "asked": None if why else setting}
    for path, table in zip((project.events(card.name), project.event_scores(card.name)), tables, strict=True):
        files.write_table(path, table.reset_index(drop=True), told)
    print(f"{card.label}: {why or f'{len(tables[1])} models heard soundscapes of their test parts'}")
