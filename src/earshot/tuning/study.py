"""Search for better settings of an experiment (Optuna), by its validation windows alone.

Trials are proposed in batches of one size, and their folds are trained in parallel: so a search does not depend on
how many processes train it. A proposal follows from the scores of the trials before it. So only the scores are stored,
and a search that was killed is repeated from its beginning with them, and then goes on. Several machines, each with its
own folder, share a search by its scores: each trains what no other one does, and waits for the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import shlex
import time
from concurrent.futures import Executor
from statistics import fmean
from typing import Any

import optuna
import pandas as pd
from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, Trial, TrialState
from tqdm import tqdm

from earshot import files, project, provenance
from earshot.batches import prepare
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.errors import EarshotError
from earshot.metrics import classification
from earshot.settings import check_overrides, check_protocol, compose
from earshot.training import run_cache, runs
from earshot.tuning.plan import read_plan
from earshot.tuning.trials import FOLDS, Trials, address_of, scores_of

SAMPLER_SEED = 0
WAIT = 0.5  # seconds until it is looked again for scores that others have stored


class Search:
    """A search for one experiment on one dataset.

    Its results are data/search/DATASET/EXPERIMENT.csv and .json. The scores of its trials are in a store of Optuna's,
    by default the file trials/EXPERIMENT.journal beside them.
    """

    def __init__(self, experiment: str, overrides: list[str], plan_name: str | None = None):
        """Open the search that was begun with the same plan, settings, data and code, or a new one.

        Parameters
        ----------
        experiment : one of conf/experiment/
        overrides : of the settings that all trials share, e.g. dataset=NAME
        plan_name : one of conf/sweep/, by default the `plan` of the experiment's model, or the one of its name

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
        self.plan_name = plan_name or self._models_plan()
        self.plan = read_plan(self.plan_name)
        self.data = prepare.shared(self.cfg)
        split = files.read_table(project.split(self.data.card.name, self.cfg.protocol))
        self.folds = sorted(split["fold"].unique().tolist())
        self.defaults = {key: _written(OmegaConf.select(self.cfg, key)) for key in self.plan.space}
        self._check_space()
        place = project.search(self.data.card.name, experiment)
        self.csv = place.with_suffix(".csv")
        where = address_of(place.parent / "trials" / f"{experiment}.journal")
        name = f"{self.data.card.name} {experiment} {self._identity()}"
        self._store = Trials(where, name, self.plan.direction)
        self._repeat()

    def _check_space(self) -> None:
        where = f"conf/sweep/{self.plan_name}.yaml"
        for key, values in self.plan.space.items():
            default = self.defaults[key]
            if default is None:
                raise EarshotError(f"{where}: the search space has '{key}', which is no setting of {self.experiment}")
            if not values.holds(default):
                raise EarshotError(
                    f"{where}: the search space of '{key}' does not hold the present value {default}: widen it"
                )

    def _identity(self) -> str:
        """Return a name that changes with all that makes trials comparable."""
        plan = self.plan.model_dump(mode="json", exclude={"trials"})
        facts = json.dumps([plan, run_cache.facts(self.cfg, self.data), optuna.__version__], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:16]

    def run(self, trials: int, workers: int) -> None:
        """Go on until the search has `trials` trials.

        Raises
        ------
        EarshotError
            If another process of this folder is at work on it, a training failed, the store of its trials can't be
            reached, or its trials are others than here.
        """
        lock = self.csv.with_suffix(".lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with (
                FileLock(lock, timeout=0),
                pools.for_runs(workers, "earshot.training.runs", "earshot.tracking.imported") as pool,
            ):
                self._repeat(trials, pool)
        except Timeout:
            raise EarshotError(f"another process is at work on {self.csv}: wait for it, or end it") from None

    def _repeat(self, trials: int = 0, pool: Executor | None = None) -> None:
        """Repeat the search with the scores that are stored, and train what lacks them of the first `trials` trials."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=self.plan.startup)
        self.study = optuna.create_study(direction=self.plan.direction, pruner=pruner)
        self.study.enqueue_trial(self.defaults)  # the first trial is what is to be beaten
        self._known = self._store.read()
        self._scores = [[*scores_of(trial)] for trial in self._known]
        known = len(self._known)
        for first in range(0, max(trials, known), self.plan.batch):
            numbers = range(first, min(first + self.plan.batch, max(trials, known)))
            whole = self._run_batch(numbers, trials, pool)
            if pool and (numbers.stop >= known or not whole):
                files.write_text(self.csv, self.table().to_csv(index=False, lineterminator="\n"))
                files.write_json(self.csv.with_suffix(".json"), self.summary())
            if not whole:
                return

    def _run_batch(self, numbers: range, trials: int, pool: Executor | None) -> bool:
        """Run the trials of a batch fold by fold; return False where a score is missing that is not to be trained."""
        alive = [self._propose(number, pool is not None) for number in numbers]
        for step, fold in enumerate(self.folds):
            missing = [trial for trial in alive if len(self._scores[trial.number]) == step and trial.number < trials]
            if missing:
                self._obtain(missing, step, f"trials {numbers[0]} to {numbers[-1]}, fold {fold}", pool)
            for trial in list(alive):
                if len(self._scores[trial.number]) <= step:
                    return False
                if result := self._judge(trial, step):
                    alive.remove(trial)
                    if pool and not self._known[trial.number].state.is_finished():
                        self._store.end(self.study.get_trials(deepcopy=False)[trial.number])
                    if trial in missing:
                        tqdm.write(f"  trial {trial.number}: {result}")
        return True

    def _propose(self, number: int, add: bool) -> Trial:
        """Return the next trial of the study; what is proposed follows from the trials before it."""
        self.study.sampler = optuna.samplers.TPESampler(
            seed=SAMPLER_SEED + number, n_startup_trials=self.plan.startup, constant_liar=True
        )
        trial = self.study.ask(self.plan.distributions())
        if number == len(self._scores):
            self._scores.append([])
            if add:
                self._known.append(self._store.add(trial))
        if number < len(self._known) and self._known[number].params != trial.params:
            raise EarshotError(
                f"trial {number} has other settings at {self._store.shown} than are proposed here. Have the same "
                "versions on all machines"
            )
        return trial

    def _obtain(self, trials: list[Trial], step: int, label: str, pool: Executor) -> None:
        """Train a fold of some trials, but for what other processes train, for which it waits."""
        told = False
        while missing := [trial for trial in trials if len(self._scores[trial.number]) == step]:
            with self._store.claimed([trial.number for trial in missing], max(1, pools.slots(pool))) as mine:
                self._refresh()  # one may have been trained before it was claimed
                if todo := [one for one in missing if one.number in mine and len(self._scores[one.number]) == step]:
                    self._train(todo, self.folds[step], label, pool)
            if not mine:
                if not told:
                    tqdm.write(f"  {label}: waiting for another process")
                told = True
                time.sleep(WAIT)
                self._refresh()

    def _refresh(self) -> None:
        """Take over the scores that others have stored."""
        for mine, trial in zip(self._scores, self._store.read(), strict=False):
            mine.extend(scores_of(trial)[len(mine) :])

    def _train(self, trials: list[Trial], fold: int, label: str, pool: Executor) -> None:
        """Train a fold of some trials, and store the scores as they come."""
        todo = [(self._overrides(trial, fold),) for trial in trials]
        for trial, scores in zip(trials, each(pool, score_of, todo, label, "run"), strict=True):
            self._scores[trial.number].append(scores)
            self._store.put(trial.number, self._scores[trial.number])

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

    def _judge(self, trial: Trial, step: int) -> str | None:
        """Report a fold's scores; end the trial after the last one, or where it is hopeless, and return its result."""
        folds = self._scores[trial.number][: step + 1]
        trial.set_user_attr(FOLDS, folds)
        mean = _mean(folds, self.plan.metric)
        trial.report(mean, step)
        if len(folds) == len(self.folds):
            self.study.tell(trial, mean)
            result = f"{self.plan.metric} {mean:.4f}"
        elif trial.should_prune():
            self.study.tell(trial, state=TrialState.PRUNED)
            result = f"given up after {len(folds)} of {len(self.folds)} folds, {self.plan.metric} {mean:.4f}"
        else:
            return None
        return f"{result}  {' '.join(_shown(*setting) for setting in trial.params.items())}"

    def table(self) -> pd.DataFrame:
        """Return a row for each trial that has ended: its number, settings, state and mean scores; the best first."""
        rows = [
            {"trial": trial.number, **trial.params, "folds": len(trial.user_attrs[FOLDS]), **means(trial)}
            for trial in self.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
        ]
        by = ["folds", self.plan.metric]
        return pd.DataFrame(rows).sort_values(by, ascending=[False, self.plan.metric == "loss"], kind="stable")

    def summary(self) -> dict[str, Any]:
        """Return the result for docs/results.md: the best trial beside the present settings."""
        table, metric = self.table(), self.plan.metric
        best, first = table.iloc[0], table[table["trial"] == 0].iloc[0]
        return {
            "command": f"earshot search {self.experiment}{self.arguments()}",
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
            "settings": self.study.get_trials(deepcopy=False)[int(best["trial"])].params,
        }

    def _models_plan(self) -> str:
        return self.cfg.model.get("plan", self.cfg.model.name)

    def arguments(self) -> str:
        """Return the plan and the overrides as they stand on the command line."""
        plan = [] if self.plan_name == self._models_plan() else ["--plan", self.plan_name]
        return "".join(f" {shlex.quote(argument)}" for argument in [*plan, *self.asked])


def score_of(overrides: list[str]) -> dict[str, Any]:
    """Train one fold of a trial, unless it is kept; return the scores on the validation windows."""
    cfg: DictConfig = compose(overrides)
    trained = run_cache.read(runs.once(cfg, prepare.shared(cfg)))
    return classification.scores(trained.validation)


def means(trial: FrozenTrial) -> dict[str, float]:
    """Return the mean scores of a trial over its folds."""
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
