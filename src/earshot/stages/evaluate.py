"""Stage: trained models -> predictions of their test parts, which only noise and cross_dataset read besides."""

from __future__ import annotations

from tqdm import tqdm

from earshot import project
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.datasets.card import Card
from earshot.datasets.experiments import experiments_on
from earshot.settings import Experiment, read_params
from earshot.stages import nothing_to_make, stage, workers


def evaluate(dataset: str, experiment: Experiment) -> list[str]:
    """Write the predictions and scores of an experiment's trained models; return a line for each score."""
    from earshot.evaluation import test  # the worker processes' alone: it takes seconds

    return test.evaluate_all(dataset, experiment)


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/predictions/DATASET/INPUT-MODEL.parquet and data/metrics/DATASET/INPUT-MODEL.json."""
    if card.test_only:
        folder, metrics = project.predictions(card.name, "").parent, project.metrics(card.name, "").parent
        nothing_to_make(card, folder, read_by_dvc=(metrics,))
        return
    todo = [(card.name, experiment) for experiment in experiments_on(card, read_params())]
    with pools.spread(workers, "earshot.evaluation.test", "earshot.tracking.imported") as pool:
        for lines in each(pool, evaluate, todo, f"test {card.name}"):
            tqdm.write("\n".join(lines))
