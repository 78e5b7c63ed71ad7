"""Search for better settings of an experiment (Optuna), by its validation windows alone.

Trials are proposed in batches of one size, and their folds are trained side by side: so a study does not depend on
how many processes train it, and one that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from concurrent.futures import Executor
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
import pandas as pd
import yaml
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState
from tqdm import tqdm

from earshot import files, processes, project, provenance
from earshot.batches import prepare
from earshot.errors import EarshotError
from earshot.metrics import classification
from earshot.settings import check_overrides, check_protocol, compose
from earshot.training import run_cache, runs
from earshot.tuning.plan import read_plan

SAMPLER_SEED = 0
FOLDS = "folds"  # a trial's scores, as they are kept with it


class Search:
    """A study of one experiment on one dataset: data/search/DATASET/EXPERIMENT.db, and .csv and .json to read."""

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
        check_overrides(overrides)
        check_protocol(overrides, "grouped")
        self.experiment, self.asked = experiment, overrides
        self.overrides = [f"experiment={experiment}", *overrides, "mlflow.artifacts=false"]
        self.cfg = compose([*self.overrides, f"mlflow.sweep={experiment}"])
        self.plan_name = plan_name or self.cfg.model.network
        self.plan = read_plan(self.plan_name)
        self.data = prepare.shared(self.cfg)
        split = files.read_table(project.split(self.data.card.name, self.cfg.protocol))
        self.folds = sorted(split["fold"].unique().tolist())
        self.defaults = {key: _written(OmegaConf.select(self.cfg, key)) for key in self.plan.space}
        self._check_space()
        place = project.search(self.data.card.name, experiment)
        place.parent.mkdir(parents=True, exist_ok=True)
        self.database, self.csv = place.with_suffix(".db"), place.with_suffix(".csv")
        self.study = self._opened()

    def _check_space(self) -> None:
        for key, values in self.plan.space.items():
            default = self.defaults[key]
            if default is None:
                raise EarshotError(f"the search space has '{key}', which is no setting of {self.experiment}")
            if not values.holds(default):
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
        facts = json.dumps([plan, run_cache.facts(self.cfg, self.data)], sort_keys=True)
        return f"{self.experiment} {hashlib.sha256(facts.encode()).hexdigest()[:8]}"

    def run(self, trials: int, workers: int) -> None:
        """Go on until the study has `trials` trials.

        Raises
        ------
        EarshotError
            If another process is at work on it.
        """
        try:
            with FileLock(self.database.with_suffix(".lock"), timeout=0), processes.pool(workers) as pool:
                for first in range(0, trials, self.plan.batch):
                    self._run_batch(range(first, min(first + self.plan.batch, trials)), pool)
                    files.write_text(self.csv, self.table().to_csv(index=False, lineterminator="\n"))
                    files.write_json(self.csv.with_suffix(".json"), self.summary())
        except Timeout:
            raise EarshotError(f"another process is at work on {self.database}: wait for it, or end it") from None

    def _run_batch(self, numbers: range, pool: Executor) -> None:
        batch = [self._trial(number) for number in numbers]
        for step, fold in enumerate(self.folds):
            alive = [trial for trial in batch if self._frozen(trial).state == TrialState.RUNNING]
            todo = [(self._overrides(trial, fold),) for trial in alive]
            label = f"trials {numbers[0]} to {numbers[-1]}, fold {fold}"
            for trial, scores in zip(alive, processes.each(pool, score_of, todo, label, "run"), strict=True):
                self._take(trial, step, scores)

    def _trial(self, number: int) -> Trial:
        """Return a trial of the study, or propose it; what is proposed follows from the trials before it."""
        self.study.sampler = optuna.samplers.TPESampler(
            seed=SAMPLER_SEED + number, n_startup_trials=self.plan.startup, constant_liar=True
        )
        known = self.study.get_trials(deepcopy=False)
        if number >= len(known) or known[number].state == TrialState.WAITING:
            return self.study.ask(self.plan.distributions())
        trial = Trial(self.study, known[number]._trial_id)
        if known[number].state == TrialState.RUNNING:
            for key, distribution in self.plan.distributions().items():
                trial._suggest(key, distribution)  # as it is, but for a kill while it was proposed
        return trial

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
            f"mlflow.tried='trial {trial.number}'",
        ]

    def _take(self, trial: Trial, step: int, scores: dict[str, Any]) -> None:
        """Note a fold's scores; end the trial after the last one, or where it is hopeless."""
        folds = [*trial.user_attrs.get(FOLDS, [])[:step], scores]
        trial.set_user_attr(FOLDS, folds)
        mean = _mean(folds, self.plan.metric)
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
        tqdm.write(f"  trial {trial.number}: {told}  {' '.join(_shown(*one) for one in trial.params.items())}")

    def table(self) -> pd.DataFrame:
        """Return a row for each trial that has ended: its number, settings, state and mean scores; the best first."""
        rows = [
            {"trial": trial.number, **trial.params, "folds": len(trial.user_attrs[FOLDS]), **_means(trial)}
            for trial in self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        ]
        by = ["folds", self.plan.metric]
        return pd.DataFrame(rows).sort_values(by, ascending=[False, self.plan.metric == "loss"], kind="stable")

    def summary(self) -> dict[str, Any]:
        """Return what came of it, for docs/results.md: the best trial beside the settings as they were."""
        table, metric = self.table(), self.plan.metric
        best, first = table.iloc[0], table[table["trial"] == 0].iloc[0]
        return {
            "command": f"earshot search {self.experiment}{self._arguments()}",
            "commit": provenance.commit(),
            "machine": provenance.machine(),
            "dataset": self.data.card.label,
            "experiment": self.experiment,
            "metric": metric,
            "folds": len(self.folds),
            "trials": len(table),
            "given_up": int((table["folds"] < len(self.folds)).sum()),
            "before": float(first[metric]),
            "best": float(best[metric]),
            "trial": int(best["trial"]),
            "settings": self.study.get_trials(deepcopy=False)[best["trial"]].params,
        }

    def promotion(self, number: int) -> str:
        """Return the line that makes a model of a trial."""
        return f"earshot promote {self.experiment} {number} {self.cfg.model.name}_tuned{self._arguments()}"

    def _arguments(self) -> str:
        plan = [] if self.plan_name == self.cfg.model.network else ["--plan", self.plan_name]
        return "".join(f" {shlex.quote(argument)}" for argument in [*plan, *self.asked])

    def promote(self, number: int, name: str) -> Path:
        """Write the settings of a trial to conf/model/NAME.yaml; return the path.

        Raises
        ------
        EarshotError
            If the trial did not come to its end, or the name is taken or no name for a model.
        """
        path = project.root() / "conf" / "model" / f"{name}.yaml"
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
        files.write_text(path, self._origin(whole, number) + yaml.safe_dump(chosen, sort_keys=False))
        return path

    def _origin(self, trials: dict[int, FrozenTrial], number: int) -> str:
        after, before = (_means(trials[place])[self.plan.metric] for place in (number, 0))
        return (
            "# @package _global_\n"
            f"# Trial {number} of `earshot search {self.experiment}{self._arguments()}`\n"
            f"# on {self.data.card.label}: validation {self.plan.metric} {after:.4f}, and {before:.4f} before\n"
            f"# (mean of {len(self.folds)} folds).\n"
        )


def score_of(overrides: list[str]) -> dict[str, Any]:
    """Train one fold of a trial, unless it is kept; return the scores on the validation windows."""
    cfg: DictConfig = compose(overrides)
    trained = run_cache.read(runs.once(cfg, prepare.shared(cfg)))
    return classification.scores(trained.validation)


def _means(trial: FrozenTrial) -> dict[str, float]:
    folds = trial.user_attrs[FOLDS]
    return {name: round(_mean(folds, name), 6) for name in ("accuracy", "macro_f1", "loss")}


def _mean(folds: list[dict[str, Any]], name: str) -> float:
    """Return the mean of a score; the loss of a training that diverged is None, and counts as infinite."""
    return fmean(math.inf if one[name] is None else one[name] for one in folds)


def _shown(key: str, value: Any) -> str:
    return f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"


def _written(value: Any) -> Any:
    """Return a setting as the space writes it."""
    return str(OmegaConf.to_container(value)) if OmegaConf.is_list(value) else value
