"""Stage: trained models -> predictions. The only reader of the test part."""

from __future__ import annotations

import os

import click
from tqdm import tqdm

from earshot import processes
from earshot.errors import without_traceback
from earshot.processes import leave_with_parent
from earshot.settings import experiments_of, read_params


def one(dataset: str, input_name: str, model: str) -> list[str]:
    """Write the predictions and scores of an experiment's trained models; return the scores in words."""
    from earshot.evaluation import test  # the workers' alone: it takes seconds

    return test.evaluate_all(dataset, input_name, model)


@click.command()
@click.argument("dataset")
@click.option("--workers", type=int, default=os.cpu_count, help="Processes; by default one per core.")
@without_traceback
def main(dataset: str, workers: int) -> None:
    """Write data/predictions/DATASET/INPUT-MODEL.parquet and data/metrics/DATASET/INPUT-MODEL.json."""
    leave_with_parent()
    todo = [(dataset, *experiment) for experiment in experiments_of(read_params())]
    with processes.pool(workers) as pool:
        for lines in processes.each(pool, one, todo, f"test {dataset}"):
            tqdm.write("\n".join(lines))


if __name__ == "__main__":
    main()
