"""Hydra's side of `earshot train`: it reads the command line and calls one run, or one job of a sweep.

A module of its own, since importing Hydra takes longer than the other commands do in all.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from earshot import project
from earshot.errors import EarshotError, without_traceback
from earshot.processes import leave_in_order
from earshot.schema import conf
from earshot.settings import check_overrides, compose, run_name
from earshot.tuning import sweep

MOST = 20  # values of a key that are tried before a sweep begins

# torch, Lightning and MLflow take seconds to import: functions below do it, so that `--help` is quick.


def check(line: Sequence[str]) -> None:
    """Check the overrides of a command line before Hydra does, whose messages are long; with -m every value.

    A line with other options, such as --help, is Hydra's alone.

    Raises
    ------
    EarshotError
        Naming the key, its value and what is right.
    """
    given = [item for item in line if item not in ("-m", "--multirun")]
    if any(item.startswith("-") for item in given):
        return
    try:
        parsed = OverridesParser.create().parse_overrides(given)
        swept = {o.key_or_group: list(islice(o.sweep_string_iterator(), MOST)) for o in parsed if o.is_sweep_override()}
    except HydraException as error:
        raise EarshotError(conf.of_composition(error, given)) from None
    plain = [str(o.input_line) for o in parsed if not o.is_sweep_override()]
    first = [f"{key}={values[0]}" for key, values in swept.items() if values]
    compose([*plain, *first])
    for key, values in swept.items():
        others = [f"{name}={found[0]}" for name, found in swept.items() if name != key and found]
        for value in values[1:]:
            compose([*plain, *others, f"{key}={value}"])


def train_one(cfg: DictConfig, out: Path) -> float:
    """Train one run into the folder `out`; return the validation loss."""
    check_overrides(list(HydraConfig.get().overrides.task))
    from earshot.batches import prepare
    from earshot.training import runs

    trained = runs.train(cfg, prepare.load(cfg), out)
    from earshot.metrics import classification

    scores = classification.scores(trained.validation)
    shown = f"validation accuracy {scores['accuracy']:.4f}, loss {scores['loss']:.4f}"
    print(f"{run_name(cfg)}: {shown}, weights in {out}")
    return scores["loss"]


def begin() -> None:
    """Have Hydra read `sys.argv` and call `main`.

    Raises
    ------
    EarshotError
        If it can't make sense of the line.
    OSError
        If it can't write what it keeps of a run.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # it raises errors, where it would print them with a traceback
    try:
        main()
    except HydraException as error:
        raise EarshotError(conf.of_composition(error, sys.argv[1:])) from None
    except ValueError as error:  # of logging, where it can't open its file
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise


@hydra.main(version_base="1.3", config_path=str(project.root() / "conf"), config_name="config")
def main(cfg: DictConfig) -> float:
    """Train one run; return the validation loss, which Hydra's sweepers minimise."""
    signal.signal(signal.SIGTERM, leave_in_order)
    job = HydraConfig.get()
    train = sweep.train_job if job.mode == RunMode.MULTIRUN else train_one
    return without_traceback(train)(cfg, Path(job.runtime.output_dir))  # Hydra would add lines of its own
