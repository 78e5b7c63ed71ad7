"""Sweeps and searches: what they refuse, that they go on after a kill, and that the test part stays unread."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
import zlib
from contextlib import AbstractContextManager
from types import SimpleNamespace

import optuna
import pandas as pd
import psutil
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient
from omegaconf import OmegaConf

import machines
from conftest import left_running, new_store, started
from earshot import files, processes
from earshot.batches import prepare
from earshot.cli import main
from earshot.errors import EarshotError
from earshot.settings import check_overrides, check_protocol, compose
from earshot.tracking import logger, store
from earshot.trained import model_folder
from earshot.training import run_cache, runs
from earshot.tuning import promote, study
from earshot.tuning.study import Search
from earshot.tuning.trials import Trials, scores_of
from shared_stores import *  # noqa: F403 (its fixtures)

SUMMARY = "genres-summary-ann"


def logged(**tags: str) -> list:
    client = MlflowClient(store.uri())
    experiment_id = client.get_experiment_by_name("genres").experiment_id
    asked = " AND ".join(f"tags.`earshot.{key}` = '{value}'" for key, value in tags.items())
    return client.search_runs([experiment_id], asked, max_results=1000)


def start(root, *arguments: str) -> AbstractContextManager[subprocess.Popen]:
    return started("-m", *arguments, cwd=root, env=os.environ | {"EARSHOT_ROOT": str(root)}, text=True)


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("features.log_mel.n_mels=32", "use `dvc exp run -S 'features.log_mel.n_mels=32'`"),
        (
            "audio.sample_rate=8000,16000",
            "`dvc exp run --queue -S 'audio.sample_rate=8000,16000'`, then `dvc queue",
        ),
        ("split.test_share=0.3", "use `dvc exp run -S 'split.test_share=0.3'`"),
        ("seeds=[0,1]", r"use seed=0,1 \(several: with -m\)"),
        ("wirings=[as_described]", "use model.wiring=as_described"),
        ("experiments=x", "use experiment=NAME"),
    ],
)
def test_a_key_that_training_does_not_read_is_refused_with_the_line_to_use(trained_on, override, instead):
    with pytest.raises(EarshotError, match=instead):
        check_overrides(["optimizer.lr=0.1", override])


@pytest.mark.parametrize("override", ["protocol=published", "protocol=grouped,published"])
def test_a_sweep_that_would_choose_by_the_test_is_refused(override):
    with pytest.raises(EarshotError, match="a sweep would choose by the test. Use protocol=grouped"):
        check_protocol([override], "grouped")
    check_protocol(["protocol=grouped", "seed=0,1"], "grouped")


@pytest.mark.process
def test_a_refused_line_trains_nothing_and_shows_no_traceback(trained_on):
    line = ["earshot.cli", "train", "-m", f"experiment={SUMMARY}", "seed=0,1", "features.summary.n_mfcc=13,20"]
    with start(trained_on.root, *line) as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("error: 'features.summary.n_mfcc' decides what is made before")


@pytest.mark.long
@pytest.mark.process
def test_a_sweep_that_is_killed_goes_on_where_it_was(trained_on):
    line = ["earshot.cli", "train", "-m", f"experiment={SUMMARY}", "model.training.max_epochs=40", "seed=range(10)"]
    with start(trained_on.root, *line) as process:
        for told in process.stdout:
            if "seed=1: validation accuracy" in told or "seed=2: validation accuracy" in told:
                break
        children = psutil.Process(process.pid).children(recursive=True)
    assert not left_running(children, 120), "the workers end with the sweep"
    whole = [run for run in logged(protocol="grouped") if run.info.status == "FINISHED"]
    assert 1 <= len(whole) < 10
    for run in whole:
        assert len(MlflowClient(store.uri()).get_metric_history(run.info.run_id, "val_loss")) == 40

    with start(trained_on.root, *line) as again:
        said, _ = again.communicate(timeout=300)
    assert again.returncode == 0 and "validation, best first (10 of 10)" in said, said
    assert said.count("(kept)") >= len(whole)
    found = logged(sweep=" ".join(line[3:]))
    finished = [run for run in found if run.info.status == "FINISHED"]
    assert sorted(int(run.data.params["seed"]) for run in finished) == list(range(10)), "each once"
    assert {run.info.status for run in found} <= {"FINISHED", "FAILED"}
    names = {run.info.run_name for run in finished}
    assert "model.training.max_epochs=40 seed=3 summary-ann grouped-as_coded-seed3-fold0 tunes" in names
    (table,) = trained_on.root.glob("outputs/sweeps/*/runs.csv")
    assert sorted(pd.read_csv(table)["seed"]) == list(range(10))


@pytest.mark.long
def test_a_run_that_fails_does_not_end_the_others(trained_on):
    line = ["earshot.cli", "train", "-m", f"experiment={SUMMARY}", "model.training.max_epochs=2", "fold=0,7"]
    with start(trained_on.root, *line) as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "Traceback" not in said
    assert "fold=7 is not in" in said and "validation, best first (1 of 1)" in said
    assert "error: 1 of 2 runs failed, see above" in said


def test_a_kept_run_is_logged_for_each_sweep_once(trained_on):
    for name in ("first", "second", "second"):
        cfg = compose([f"experiment={SUMMARY}", "model.training.max_epochs=3", f"mlflow.sweep={name}"])
        runs.once(cfg, prepare.shared(cfg))
    (first,), (second,) = logged(sweep="first"), logged(sweep="second")
    assert first.data.metrics == second.data.metrics and first.data.params == second.data.params
    client = MlflowClient(store.uri())
    for run in (first, second):
        assert run.info.status == "FINISHED"
        assert [point.step for point in client.get_metric_history(run.info.run_id, "val_loss")] == [1, 2, 3]
        artifacts = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
        assert artifacts == {"config.yaml", "curves.png", "model_summary.txt", "validation"}


def test_the_scores_of_the_test_are_never_added_to_a_sweeps_run(trained_on):
    cfg = compose([f"experiment={SUMMARY}", "model.training.max_epochs=3", "seed=8"])
    folders = {runs.once(compose_with(cfg, name), prepare.shared(cfg)) for name in (None, "mine")}
    assert len(folders) == 1, "the same weights"
    with logger.continued("genres", model_folder.digest(folders.pop())) as run:
        run.metrics({"test_accuracy": 0.5})
    (mine,) = logged(sweep="mine")
    (own,) = [run for run in logged() if "earshot.sweep" not in run.data.tags]
    assert "test_accuracy" not in mine.data.metrics and own.data.metrics["test_accuracy"] == 0.5


def test_a_kept_run_is_logged_for_each_experiment_of_dvc_too(trained_on, monkeypatch):
    cfg = compose([f"experiment={SUMMARY}", "model.training.max_epochs=3", "seed=9"])
    for name in ("one", "one", "two"):
        monkeypatch.setenv("DVC_EXP_NAME", name)
        folder = runs.once(cfg, prepare.shared(cfg))
    with logger.continued("genres", model_folder.digest(folder)) as run:
        run.metrics({"test_accuracy": 0.5})
    found = {run.data.tags["dvc.exp"]: run.data.metrics.get("test_accuracy") for run in logged()}
    assert found == {"one": None, "two": 0.5} and len(logged()) == 2


def compose_with(cfg, name):
    return OmegaConf.merge(cfg, {"mlflow": {"sweep": name}})


PLAN = {
    "trials": 6,
    "batch": 2,
    "startup": 2,
    "metric": "loss",
    "space": {
        "optimizer.lr": {"choices": [0.001, 0.01, 1.0e-9]},
        "model.hidden": {"choices": ["[8]", "[256, 128, 64]"]},
        "model.training.max_epochs": {"low": 2, "high": 6},
    },
}
SEARCH = ["earshot.cli", "search", SUMMARY, "--plan", "quick", "model.training.max_epochs=4"]


def plan(root, **changes) -> None:
    (root / "conf" / "sweep" / "quick.yaml").write_text(yaml.safe_dump(PLAN | changes))


def test_a_line_of_the_journal_that_a_full_disk_has_cut_short_spoils_no_other(tmp_path):
    journal = tmp_path / "trials.journal"
    trial = optuna.create_study().ask({"lr": optuna.distributions.FloatDistribution(0.1, 1)})
    Trials(str(journal), "search", "minimize").add(trial)
    with journal.open("ab") as file:
        file.write(b'{"op_code":8,"worker_id":"')
    Trials(str(journal), "search", "minimize").put(0, [{"loss": 1.0}])
    again = Trials(str(journal), "search", "minimize")
    again.put(0, [{"loss": 1.0}, {"loss": 2.0}])
    [found] = again.read()
    assert scores_of(found) == [{"loss": 1.0}, {"loss": 2.0}]


@pytest.fixture(scope="module")
def searched(shared) -> str:
    """Search in one go, in two processes; return the table of trials."""
    plan(shared.root)
    with start(shared.root, *SEARCH, "--workers", "2") as process:
        said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said, shared.data("search", "tunes", f"{SUMMARY}.csv").read_text()


@pytest.mark.process
def test_a_search_tries_the_present_settings_first_and_gives_up_what_is_hopeless(shared, searched):
    said, _ = searched
    found = pd.read_csv(shared.data("search", "tunes", f"{SUMMARY}.csv")).set_index("trial")
    assert sorted(found.index) == list(range(6))
    assert found.loc[0, ["optimizer.lr", "model.hidden"]].tolist() == [0.001, "[256, 128, 64]"]
    assert found.loc[0, "model.training.max_epochs"] == 4 and found.loc[0, "folds"] == 3
    whole = found[found["folds"] == 3]
    assert list(whole["loss"]) == sorted(whole["loss"]), "the best first"
    if len(whole) < 6:
        assert "given up after" in said
    best = found.index[0]
    summary = json.loads(shared.data("search", "tunes", f"{SUMMARY}.json").read_text())
    assert (summary["trial"], summary["trials"], summary["folds"]) == (best, 6, 3)
    assert (summary["best"], summary["before"]) == (found.loc[best, "loss"], found.loc[0, "loss"])
    assert (
        f"promote:   earshot promote {SUMMARY} {best} ann_tuned --plan quick model.training.max_epochs=4" in said
        or best == 0
    )


@pytest.mark.long
@pytest.mark.process
def test_a_search_is_the_same_when_it_was_killed_and_for_any_number_of_processes(shared, searched, tmp_path):
    root = tmp_path / "copy"
    shutil.copytree(shared.root, root, ignore=shutil.ignore_patterns("search", "cache", "mlflow", "outputs"))
    new_store(root / "data" / "mlflow" / "mlflow.db")
    with start(root, *SEARCH, "--workers", "1") as process:
        for told in process.stdout:
            if "trial 1:" in told or "trial 2:" in told:
                break
        process.kill()
    with start(root, *SEARCH, "--workers", "1") as again:
        said, _ = again.communicate(timeout=300)
    assert again.returncode == 0, said
    assert (root / "data" / "search" / "tunes" / f"{SUMMARY}.csv").read_text() == searched[1]


def test_a_search_is_the_same_wherever_it_is_interrupted_and_over_how_many_calls(trained_on, monkeypatch):
    plan(trained_on.root, batch=3)
    asked, left = (SUMMARY, ["model.training.max_epochs=4"], "quick"), 0

    def each(pool, work, todo, label, unit):
        nonlocal left
        for (overrides,) in todo:
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            score = zlib.crc32(" ".join(overrides).encode()) % 1000 / 1000
            yield {"accuracy": score, "macro_f1": score, "loss": 1 - score}

    monkeypatch.setattr(study, "each", each)

    def searched_in(*calls: tuple[int, int]) -> tuple[str, list[str]]:
        nonlocal left
        trained_on.data("search", "tunes", "trials", f"{SUMMARY}.journal").unlink(missing_ok=True)
        for trials, trainings in calls:
            left = trainings
            search = Search(*asked)
            with contextlib.suppress(KeyboardInterrupt):
                search.run(trials, 1)
        return search.csv.read_text(), [trial.state.name for trial in Search(*asked).study.get_trials()]

    whole, states = searched_in((12, 1000))
    assert len(states) == 12 and "PRUNED" in states and "COMPLETE" in states
    assert searched_in(*[(12, 5)] * 8) == (whole, states)
    assert searched_in((4, 1000), (7, 5), (12, 1000)) == (whole, states)
    assert searched_in((12, 1000), (2, 0)) == (whole, states), "fewer trials than there are take none away"


def test_a_search_among_numbers_alone_ends_with_a_summary(trained_on, monkeypatch):
    plan(trained_on.root, space={"optimizer.lr": {"low": 0.0001, "high": 0.01, "log": True}})
    scores = {"accuracy": 0.5, "macro_f1": 0.5, "loss": 1.0}
    monkeypatch.setattr(study, "each", lambda pool, work, todo, label, unit: [scores] * len(todo))
    search = Search(SUMMARY, [], "quick")
    search.run(2, 1)
    assert list(search.summary()["settings"]) == ["optimizer.lr"]


class Machines:
    """Two machines with a project folder each, copies of one project, that search together."""

    def __init__(self, project, folder, *names: str):
        self.roots = [folder / name for name in names]
        for root in self.roots:
            shutil.copytree(project.root, root, ignore=shutil.ignore_patterns("search", "cache", "mlflow", "outputs"))
        self.context = multiprocessing.get_context("forkserver")
        self.heard, self.said = self.context.Pipe(duplex=False)

    def start(self, trainings: int = 1000, workers: int = 1) -> None:
        """Start the machines; they may begin so many trainings, the first of them with so many workers at once."""
        self.allowed = self.context.Semaphore(trainings)  # it ends with its last name here
        self.begin = self.context.Barrier(workers)
        asked = (SUMMARY, ["model.training.max_epochs=4"], "quick")
        self.processes = []
        for root in self.roots:
            arguments = (os.environ | {"EARSHOT_ROOT": str(root)}, asked, 50, self.said, self.allowed, self.begin)
            self.processes.append(self.context.Process(target=machines.search, args=arguments))
            self.processes[-1].start()

    def end(self) -> None:
        for process in self.processes:
            process.join()
            assert process.exitcode == 0

    def kill(self) -> None:
        children = [each for one in self.processes for each in psutil.Process(one.pid).children()]
        # forks of the fork server's; Python's resource tracker and programs such as git have lines of their own
        workers = [each for each in children if "multiprocessing.forkserver" in " ".join(each.cmdline())]
        assert len(workers) == 4
        for process in self.processes:
            process.kill()
            process.join()
        assert not left_running(workers, 120)

    def asked(self) -> tuple[int, int]:
        """Return which trial and fold a worker begins with next."""
        return tuple(json.loads(self.heard.recv_bytes()))

    def tables(self) -> list[str]:
        return [(root / "data" / "search" / "tunes" / f"{SUMMARY}.csv").read_text() for root in self.roots]


@pytest.fixture(scope="module")
def searched_alone(shared, tmp_path_factory) -> str:
    """Have one machine search; return its table of trials."""
    plan(shared.root, batch=4, startup=20)
    alone = Machines(shared, tmp_path_factory.mktemp("alone"), "alone")
    alone.start()
    alone.end()
    return alone.tables()[0]


@pytest.mark.skipif(not processes.FORKS, reason="workers that start afresh don't have the scores that are made up here")
@pytest.mark.process
@pytest.mark.parametrize("store", [pytest.param("postgres", marks=pytest.mark.long), "journal"])
def test_two_machines_search_together_and_go_on_after_a_kill(
    store, searched_alone, trained_on, tmp_path, monkeypatch, request
):
    plan(trained_on.root, batch=4, startup=20)
    if store == "postgres":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("database"))
    else:
        monkeypatch.setenv("OPTUNA_STORAGE", str(tmp_path / "shared" / "trials.journal"))
    together = Machines(trained_on, tmp_path, "one", "other")
    together.start(60, workers=4)
    begun = [together.asked() for _ in range(60)]
    together.kill()
    trials = Search(SUMMARY, ["model.training.max_epochs=4"], "quick")._store.read()
    kept = {(trial.number, fold) for trial in trials for fold in range(len(trial.user_attrs.get("folds", [])))}
    assert 60 - 4 <= len(kept) <= 60 and kept <= set(begun)
    together.start()
    together.end()
    assert together.tables() == [searched_alone] * 2, "as one machine finds them alone"
    again = []
    while together.heard.poll():
        again.append(together.asked())
    assert len(again) == len(set(again)) and not kept.intersection(again), "nothing that was kept is trained anew"
    trials = Search(SUMMARY, ["model.training.max_epochs=4"], "quick")._store.read()
    whole = [(trial.number, fold) for trial in trials for fold in range(len(trial.user_attrs["folds"]))]
    assert [trial.number for trial in trials] == list(range(50)) and set(whole) == kept.union(again)
    assert {trial.state.name for trial in trials} == {"COMPLETE", "PRUNED"}


def test_nothing_of_a_search_reads_the_test_part(trained_on):
    path = trained_on.data("splits", "tunes", "grouped.parquet")
    kept_split = path.read_bytes()
    split = files.read_table(path)
    files.write_table(path, split[split["part"] != "test"], files.read_recipe(path))
    plan(trained_on.root, trials=2, startup=1)  # another plan is another study
    done = CliRunner().invoke(main.main, [*SEARCH[1:], "--workers", "1"])
    path.write_bytes(kept_split)
    assert done.exit_code == 0, done.output


@pytest.mark.process
def test_a_promoted_model_takes_along_what_all_trials_had_changed(project):
    cfg = compose(["experiment=sirens-log_mel-cnn", "augmentation=spectrogram", "model.dropout=0.1"])
    search = SimpleNamespace(experiment="sirens-log_mel-cnn", plan=SimpleNamespace(space={"optimizer.lr": None}))
    assert promote._groups(search, cfg) == ["model", "augmentation", "optimizer"]


def test_a_trial_is_promoted_to_a_model_that_trains_the_same(trained_on, searched):
    best = int(pd.read_csv(trained_on.data("search", "tunes", f"{SUMMARY}.csv"))["trial"].iloc[0])
    asked = ["promote", SUMMARY, str(best), "ann_tuned", "--plan", "quick", "model.training.max_epochs=4"]
    done = CliRunner().invoke(main.main, asked)
    assert done.exit_code == 0, done.output
    text = (trained_on.root / "conf" / "model" / "ann_tuned.yaml").read_text()
    assert f"# Trial {best} of `earshot search {SUMMARY} --plan quick model.training.max_epochs=4`\n# on tunes" in text
    cfg = compose(["dataset=tunes", "task=genres", "input=summary", "model=ann_tuned"])
    assert (
        cfg.model.name == "ann_tuned" and cfg.model.plan == "ann" and cfg.model["_target_"] == "earshot.models.ann.ANN"
    )
    search = Search(SUMMARY, ["model.training.max_epochs=4"], "quick")
    trial = search.study.get_trials()[best]
    assert cfg.optimizer.lr == trial.params["optimizer.lr"]
    assert cfg.model.training.max_epochs == trial.params["model.training.max_epochs"]
    trained = run_cache.read(runs.once(cfg, prepare.load(cfg)))
    assert (trained.validation["label"] == trained.validation["predicted"]).mean() == pytest.approx(
        trial.user_attrs["folds"][0]["accuracy"]
    )
    for asked, said in [
        ((SUMMARY, str(best), "ann_tuned"), "is there already"),
        ((SUMMARY, "77", "other"), "trial 77 is none of the whole trials"),
        ((SUMMARY, str(best), "no-name"), "can't name a model"),
    ]:
        refused = CliRunner().invoke(main.main, ["promote", *asked, "--plan", "quick", "model.training.max_epochs=4"])
        assert refused.exit_code == 1 and said in refused.stderr
    (trained_on.root / "conf" / "model" / "ann_tuned.yaml").unlink()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": {"model.hiden": {"choices": [1]}}}, "'model.hiden', which is no setting"),
        ({"space": {"optimizer.lr": {"low": 0.1, "high": 0.2}}}, "does not hold the present value 0.001"),
        ({"space": {"model.hidden": {"choices": ["[1]"]}}}, "does not hold the present value"),
        ({"metric": "auc"}, "quick.yaml: .*metric"),
        ({"space": {"optimizer.lr": {"low": 0.1, "up": 0.2}}}, "quick.yaml"),
        ({"batch": 0}, "quick.yaml: .*batch"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(trained_on, changes, said):
    plan(trained_on.root, **changes)
    with pytest.raises(EarshotError, match=f"(?s){said}"):
        Search(SUMMARY, [], "quick")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ((SUMMARY, ["seeds=[1]"], None), "use seed=1"),
        ((SUMMARY, [], "nothing"), "nothing.yaml is missing. Plans there are: ann, cnn, crnn, lstm"),
        (("genres-summary-gru", [], None), "genres-summary-gru"),
        ((SUMMARY, ["protocol=published"], None), "a sweep would choose by the test"),
    ],
)
def test_a_search_for_nothing_is_refused(trained_on, asked, said):
    with pytest.raises(EarshotError, match=said):
        Search(*asked)


def test_the_plans_of_the_project_fit_its_models(trained_on):
    for model in ("ann", "cnn", "lstm"):
        source = "summary" if model == "ann" else "log_mel"
        search = Search(f"sirens-{source}-{model}", [])
        assert search.study.get_trials()[0].system_attrs["fixed_params"] == search.defaults


@pytest.mark.process
def test_two_searches_at_once_are_refused(trained_on, searched):
    from filelock import FileLock

    plan(trained_on.root)
    search = Search(SUMMARY, ["model.training.max_epochs=4"], "quick")
    with (
        FileLock(search.csv.with_suffix(".lock")),
        pytest.raises(EarshotError, match="another process is at work on"),
    ):
        search.run(2, 1)
