"""The trials of a search in a store of Optuna's that processes and machines share: Postgres, or a journal file.

A process claims the trials that it trains. The claim is a lock which ends with the process, so that no trial waits for
one that was killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from earshot.errors import EarshotError
from earshot.tracking import address, postgres

SCHEMA = "optuna"  # of its tables in Postgres: MLflow has a table of the same name as one of them
FOLDS = "folds"  # the attribute of a trial that holds its scores, one dictionary per fold


def address_of(default: Path) -> str:
    """Return where trials are stored: `OPTUNA_STORAGE`, else the Postgres of the runs, else a journal file.

    Parameters
    ----------
    default : the journal file

    Raises
    ------
    EarshotError
        If `OPTUNA_STORAGE` is an address of anything else.
    """
    found = os.environ.get(address.TRIALS) or (address.uri() if postgres.is_one(address.uri()) else str(default))
    if "://" in found and not postgres.is_one(found):
        told = address.without_passwords(found)
        raise EarshotError(f"{address.TRIALS} is {told}: it must be a Postgres (postgresql://…) or a journal file")
    return found


def scores_of(trial: FrozenTrial) -> list[dict[str, Any]]:
    """Return the scores of a trial, a dictionary for each fold that was trained."""
    return trial.user_attrs.get(FOLDS, [])


class Trials:
    """The trials of one search, by their numbers."""

    def __init__(self, where: str, name: str, direction: str) -> None:
        """Take the address of the store or the path of its file; nothing is made before the first trial.

        Parameters
        ----------
        name : of the search, the same on all machines that work on it
        direction : of Optuna's study
        """
        self._where, self._name, self._direction = where, name, direction
        self._is_file = not postgres.is_one(where)
        self._opened: optuna.Study | None = None

    def read(self) -> list[FrozenTrial]:
        """Return the trials by their numbers; `scores_of` has the scores of one.

        Raises
        ------
        EarshotError
            If the store can't be reached.
        """
        if self._is_file and not Path(self._where).is_file():
            return []
        with self._told():
            return self._study().get_trials(deepcopy=False)

    def add(self, trial: Trial) -> FrozenTrial:
        """Add a trial that was proposed, unless it is there; return what is there."""
        with self._told(), self._locked("trials"):
            if trial.number == len(self._study().get_trials(deepcopy=False)):
                new = create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
                self._study().add_trial(new)
            return self._study().get_trials(deepcopy=False)[trial.number]

    @contextmanager
    def claimed(self, numbers: Sequence[int], most: int) -> Iterator[list[int]]:
        """Claim trials for the time of the block, at most so many; yield those that no other process has claimed."""
        with ExitStack() as stack:
            with self._told():
                mine = self._claim(stack, numbers, most)
            yield mine

    def _claim(self, stack: ExitStack, numbers: Sequence[int], most: int) -> list[int]:
        names = {f"{self._name} {number}": number for number in numbers}
        if not self._is_file:
            return [names[name] for name in stack.enter_context(postgres.some_held(self._where, names, most))]
        mine: list[int] = []
        for name, number in names.items():
            with suppress(Timeout):
                if len(mine) < most:
                    stack.enter_context(self._file_lock(name, timeout=0))
                    mine.append(number)
        return mine

    def put(self, number: int, folds: list[dict[str, Any]]) -> None:
        """Store the scores of a trial that was claimed."""
        with self._told():
            self._trial(number).set_user_attr(FOLDS, folds)

    def end(self, ended: FrozenTrial) -> None:
        """Mark a trial as ended, for Optuna's own tools; nothing changes where it is.

        Parameters
        ----------
        ended : as it ended in this process's study
        """
        with self._told(), self._locked("trials"):
            known, trial = self._study().get_trials(deepcopy=False)[ended.number], self._trial(ended.number)
            for step, mean in ended.intermediate_values.items():
                if step not in known.intermediate_values and not known.state.is_finished():
                    trial.report(mean, step)
            values = ended.values if ended.state == TrialState.COMPLETE else None
            self._study().tell(ended.number, values, ended.state, skip_if_finished=True)

    def _trial(self, number: int) -> Trial:
        return Trial(self._study(), self._study().get_trials(deepcopy=False)[number]._trial_id)

    def _study(self) -> optuna.Study:
        if self._opened is None:
            with self._locked("tables"):
                how = {"direction": self._direction, "load_if_exists": True}
                self._opened = optuna.create_study(storage=self._storage(), study_name=self._name, **how)
        return self._opened

    def _storage(self) -> BaseStorage:
        if self._is_file:
            return JournalStorage(JournalFileBackend(self._where, _Lock(self._file_lock("journal"), Path(self._where))))
        with create_engine(self._where, poolclass=NullPool).begin() as connection:
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        options = {"pool_size": 1, "pool_pre_ping": True, "connect_args": {"options": f"-csearch_path={SCHEMA}"}}
        return RDBStorage(self._where, engine_kwargs=options)

    def _locked(self, what: str) -> AbstractContextManager:
        """Return a lock that all processes share which use the store, on whatever machine."""
        return self._file_lock(what) if self._is_file else postgres.held(self._where, f"earshot: Optuna: {what}")

    def _file_lock(self, what: str, timeout: float = -1) -> FileLock:
        folder = Path(f"{self._where}.locks")
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / what, timeout=timeout)

    @property
    def shown(self) -> str:
        """Where they are, without a password."""
        return address.without_passwords(self._where)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, StorageInternalError, OSError, ModuleNotFoundError) as error:
            raise EarshotError(f"the trials at {self.shown} can't be reached: {address.told(error)}") from None


class _Lock:
    """A lock of a journal file that ends with its process; after a kill, Optuna's own are waited for half a minute."""

    def __init__(self, lock: FileLock, journal: Path) -> None:
        self._lock, self._journal = lock, journal

    def acquire(self) -> bool:
        self._lock.acquire()
        _end_at_a_line(self._journal)
        return True

    def release(self) -> None:
        self._lock.release()


def _end_at_a_line(journal: Path) -> None:
    """Cut off what a full disk has left of a line: the next one would be added to it, and nothing be read any more."""
    with journal.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
