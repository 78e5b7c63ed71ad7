"""Search for better settings of an experiment (Optuna), by its validation windows alone.

Trials are proposed in batches of one size, and their folds are trained side by side: so a study does not depend on
how many processes train it, and one that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from concurrent.futures import Executor
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import optuna
import pandas as pd
import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError
from tqdm import tqdm

from earshot import config, kept, metrics, parallel, prepared, runs, store, sweep
from earshot.errors import EarshotError
from earshot.experiment import compose

SAMPLER_SEED = 0
FOLDS = "folds"  # a trial's scores, as they are kept with it


class Range(BaseModel, extra="forbid"):
    """Numbers from `low` to `high`, both included: whole ones where both are whole; `log`: by their logarithm."""

    low: int | float
    high: int | float
    log: bool = False

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        return (IntDistribution if whole else FloatDistribution)(self.low, self.high, log=self.log)


class Choices(BaseModel, extra="forbid"):
    """Some values; a list is written as text."""

    choices: list[int | float | str]

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        return CategoricalDistribution(self.choices)


class Plan(BaseModel):
    """A file of conf/sweep/: what is tried, and by what it is judged."""

    model_config = ConfigDict(extra="forbid")
    trials: PositiveInt
    batch: PositiveInt
    startup: PositiveInt
    metric: Literal["accuracy", "macro_f1", "loss"]
    space: dict[str, Range | Choices]

    @property
    def direction(self) -> str:
        """Whether more is better."""
        return "minimize" if self.metric == "loss" else "maximize"

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the space as Optuna knows it."""
        return {key: values.distribution() for key, values in self.space.items()}


def read_plan(name: str) -> Plan:
    """Read conf/sweep/NAME.yaml.

    Raises
    ------
    EarshotError
        If there is none, or it is not valid.
    """
    path = config.root() / "conf" / "sweep" / f"{name}.yaml"
    try:
        return Plan(**yaml.safe_load(path.read_text("utf-8")))
    except FileNotFoundError:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise EarshotError(f"{path} is missing. Plans there are: {known}") from None
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise EarshotError(f"{path}: {error}") from None


class Search:
    """A study of one experiment on one dataset: data/search/DATASET/EXPERIMENT.db, and .csv to read."""

    def __init__(self, experiment: str, overrides: list[str], plan_name: str | None = None):
        """Open the study that was begun with the same plan, settings, data and code, or a new one.

        Parameters
        ----------
        experiment : one of conf/experiment/
        overrides : of the settings that all trials share, e.g. dataset=NAME
        plan_name : one of conf/sweep/, by default that of the experiment's model

        Raises
        ------
        EarshotError
            If an override changes what is made before training, or the space does not hold the present settings.
        """
        sweep.check(overrides)
        sweep.check_protocol(overrides, "grouped")
        self.experiment, self.asked = experiment, overrides
        self.overrides = [f"experiment={experiment}", *overrides, "mlflow.artifacts=false"]
        self.cfg = compose([*self.overrides, f"mlflow.sweep={experiment}"])
        self.plan = read_plan(plan_name or self.cfg.model.name)
        self.data = prepared.shared(self.cfg)
        split = store.read_table(config.data("splits", self.data.card.name, f"{self.cfg.protocol}.parquet"))
        self.folds = sorted(split["fold"].unique().tolist())
        self.defaults = {key: _written(OmegaConf.select(self.cfg, key)) for key in self.plan.space}
        self._check_space()
        place = config.data("search", self.data.card.name, experiment)
        place.parent.mkdir(parents=True, exist_ok=True)
        self.database, self.csv = place.with_suffix(".db"), place.with_suffix(".csv")
        self.study = self._opened()

    def _check_space(self) -> None:
        for key, distribution in self.plan.distributions().items():
            default = self.defaults[key]
            if default is None:
                raise EarshotError(f"the search space has '{key}', which is no setting of {self.experiment}")
            if not distribution._contains(distribution.to_internal_repr(default)):
                raise EarshotError(f"the search space of '{key}' does not hold the present value {default}: widen it")

    def _opened(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            storage=f"sqlite:///{self.database}",
            study_name=self._identity(),
            direction=self.plan.direction,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=self.plan.startup),
            load_if_exists=True,
        )
        if not study.trials:
            study.enqueue_trial(self.defaults)  # the first trial is what is to be beaten
        return study

    def _identity(self) -> str:
        """Return a name that changes with all that makes trials comparable."""
        plan = self.plan.model_dump(mode="json", exclude={"trials"})
        facts = json.dumps([plan, kept.facts(self.cfg, self.data)], sort_keys=True)
        return f"{self.experiment} {hashlib.sha256(facts.encode()).hexdigest()[:8]}"

    def run(self, trials: int, workers: int) -> None:
        """Go on until the study has `trials` trials.

        Raises
        ------
        EarshotError
            If another process is at work on it.
        """
        try:
            with FileLock(self.database.with_suffix(".lock"), timeout=0), parallel.pool(workers) as pool:
                for first in range(0, trials, self.plan.batch):
                    self._run_batch(range(first, min(first + self.plan.batch, trials)), pool)
                    store.write_text(self.csv, self.table().to_csv(index=False, lineterminator="\n"))
        except Timeout:
            raise EarshotError(f"another process is at work on {self.database}: wait for it, or end it") from None

    def _run_batch(self, numbers: range, pool: Executor) -> None:
        batch = [self._trial(number) for number in numbers]
        for step, fold in enumerate(self.folds):
            alive = [trial for trial in batch if self._frozen(trial).state == TrialState.RUNNING]
            todo = [(self._overrides(trial, fold),) for trial in alive]
            label = f"trials {numbers[0]} to {numbers[-1]}, fold {fold}"
            for trial, scores in zip(alive, parallel.each(pool, score_of, todo, label, "run"), strict=True):
                self._take(trial, step, scores)

    def _trial(self, number: int) -> Trial:
        """Return a trial of the study, or propose it; what is proposed follows from the trials before it."""
        known = self.study.get_trials(deepcopy=False)
        waiting = TrialState.WAITING
        if number < len(known) and known[number].state != waiting:
            return Trial(self.study, known[number]._trial_id)
        self.study.sampler = optuna.samplers.TPESampler(
            seed=SAMPLER_SEED + number, n_startup_trials=self.plan.startup, constant_liar=True
        )
        return self.study.ask(self.plan.distributions())

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[trial.number]

    def _overrides(self, trial: Trial, fold: int) -> list[str]:
        chosen = [f"{key}={value}" for key, value in trial.params.items()]
        return [
            *self.overrides,
            *chosen,
            f"fold={fold}",
            f"mlflow.sweep={self.experiment}",
            f"mlflow.trial={trial.number}",
        ]

    def _take(self, trial: Trial, step: int, scores: dict[str, Any]) -> None:
        """Note a fold's scores; end the trial after the last one, or where it is hopeless."""
        folds = [*trial.user_attrs.get(FOLDS, [])[:step], scores]
        trial.set_user_attr(FOLDS, folds)
        mean = fmean(one[self.plan.metric] for one in folds)
        if step not in self._frozen(trial).intermediate_values:
            trial.report(mean, step)
        if len(folds) == len(self.folds):
            self.study.tell(trial, mean)
            told = f"{self.plan.metric} {mean:.4f}"
        elif trial.should_prune():
            self.study.tell(trial, state=TrialState.PRUNED)
            told = f"given up after {len(folds)} of {len(self.folds)} folds, {self.plan.metric} {mean:.4f}"
        else:
            return
        tqdm.write(f"  trial {trial.number}: {told}  {' '.join(f'{k}={v}' for k, v in trial.params.items())}")

    def table(self) -> pd.DataFrame:
        """Return a row for each trial that has ended: its number, settings, state and mean scores; the best first."""
        rows = [
            {"trial": trial.number, **trial.params, "folds": len(trial.user_attrs[FOLDS]), **_means(trial)}
            for trial in self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        ]
        by = ["folds", self.plan.metric]
        return pd.DataFrame(rows).sort_values(by, ascending=[False, self.plan.metric == "loss"], kind="stable")

    def promotion(self, number: int) -> str:
        """Return the line that makes a model of a trial."""
        shared = " ".join(shlex.quote(one) for one in self.asked)
        return f"earshot promote {self.experiment} {number} {self.cfg.model.name}_tuned {shared}".strip()

    def _command(self) -> str:
        return " ".join(["earshot search", self.experiment, *map(shlex.quote, self.asked)])

    def promote(self, number: int, name: str) -> Path:
        """Write the settings of a trial to conf/model/NAME.yaml; return the path.

        Raises
        ------
        EarshotError
            If the trial did not come to its end, or the name is taken or no name for a model.
        """
        path = config.root() / "conf" / "model" / f"{name}.yaml"
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise EarshotError(f"'{name}' can't name a model: use small letters, digits and _")
        if path.exists():
            raise EarshotError(f"{path} is there already: choose another name, or remove it")
        whole = {trial.number: trial for trial in self.study.get_trials(states=(TrialState.COMPLETE,))}
        if number not in whole:
            raise EarshotError(f"trial {number} is none of the whole trials of this search: {sorted(whole)}")
        cfg = compose([*self.overrides, *(f"{key}={value}" for key, value in whole[number].params.items())])
        groups = ["model", *sorted({key.split(".")[0] for key in self.plan.space} - {"model"})]
        chosen = {group: OmegaConf.to_container(cfg[group]) for group in groups}
        chosen["model"]["name"] = name
        store.write_text(path, self._origin(whole, number) + yaml.safe_dump(chosen, sort_keys=False))
        return path

    def _origin(self, trials: dict[int, FrozenTrial], number: int) -> str:
        means = {place: _means(trials[place])[self.plan.metric] for place in (number, 0)}
        return (
            f"# @package _global_\n# Trial {number} of `{self._command()}` on {self.data.card.label}: validation\n"
            f"# {self.plan.metric} {means[number]:.4f} (mean of {len(self.folds)} folds), {means[0]:.4f} before.\n"
        )


def score_of(overrides: list[str]) -> dict[str, Any]:
    """Train one fold of a trial, unless it is kept; return the scores on the validation windows."""
    cfg: DictConfig = compose(overrides)
    trained = kept.read(runs.once(cfg, prepared.shared(cfg)))
    return metrics.scores(trained.validation)


def _means(trial: FrozenTrial) -> dict[str, float]:
    folds = trial.user_attrs[FOLDS]
    return {name: round(fmean(one[name] for one in folds), 6) for name in ("accuracy", "macro_f1", "loss")}


def _written(value: Any) -> Any:
    """Return a setting as the space writes it."""
    return str(OmegaConf.to_container(value)) if OmegaConf.is_list(value) else value
