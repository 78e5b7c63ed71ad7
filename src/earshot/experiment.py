"""Stage: one experiment on one dataset, for every protocol, wiring, seed and fold.

One process for all of them, since importing torch, Lightning and MLflow takes longer than a small training.
Each run is the one that `python -m earshot.train` makes of the same settings.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator

import click
from omegaconf import DictConfig

from earshot import config
from earshot.errors import EarshotError, without_traceback
from earshot.process import leave_with_parent


def compose(overrides: list[str]) -> DictConfig:
    """Return the Hydra config with overrides, as `python -m earshot.train OVERRIDES` sees it."""
    import hydra

    with hydra.initialize_config_dir(str(config.root() / "conf"), version_base="1.3"):
        return hydra.compose("config", overrides)


def runs(dataset: str, task: str, input_name: str, model: str) -> Iterator[DictConfig]:
    """Yield the config of each run of an experiment on a dataset, as params.yaml asks."""
    from earshot import store

    params = config.params()
    given = [f"dataset={dataset}", f"task={task}", f"input={input_name}", f"model={model}"]
    # a model whose code and text agree has no wiring to choose
    wirings = params["wirings"] if "wiring" in compose(given).model else [None]
    for protocol, wiring, seed in itertools.product(params["protocols"], wirings, params["seeds"]):
        split = store.read_table(config.data("splits", dataset, f"{protocol}.parquet"))
        for fold in sorted(split["fold"].unique()):
            chosen = [f"protocol={protocol}", f"seed={seed}", f"fold={fold}"]
            yield compose([*given, *chosen, *([f"model.wiring={wiring}"] if wiring else [])])


@click.command()
@click.argument("dataset")
@click.argument("input_name", metavar="INPUT")
@click.argument("model")
@without_traceback
def main(dataset: str, input_name: str, model: str) -> None:
    """Write data/models/DATASET/INPUT-MODEL/ and data/history/DATASET/INPUT-MODEL.csv."""
    leave_with_parent()
    import pandas as pd

    from earshot import store, train
    from earshot.datasets.card import load_card

    signal.signal(signal.SIGTERM, train.leave_in_order)
    card = load_card(dataset)
    experiment = f"{input_name}-{model}"
    data, epochs = None, []
    for cfg in runs(dataset, card.task, input_name, model):
        data = data or train.load(cfg)
        name = train.run_name(cfg)
        print(f"{card.task}-{experiment} on {card.label}: {name}", flush=True)
        trained = train.train(cfg, data, config.data("models", dataset, experiment, name))
        run = {key: trained.settings[key] for key in ("protocol", "wiring", "seed", "fold")}
        epochs += [run | epoch for epoch in trained.epochs]
    if not epochs:
        raise EarshotError("params.yaml asks for no run: protocols, wirings and seeds each need an entry")
    history = pd.DataFrame(epochs).to_csv(index=False, float_format="%.6f")
    store.write_text(config.data("history", dataset, f"{experiment}.csv"), history)


if __name__ == "__main__":
    main()
