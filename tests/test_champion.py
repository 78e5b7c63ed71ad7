"""A run trained again, and the model of a dataset that is served: what is compared, and what moves the alias."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from conftest import invoke
from earshot import files
from earshot.batches import prepare
from earshot.cli import main
from earshot.deploy import champion
from earshot.errors import EarshotError
from earshot.settings import compose
from earshot.tracking import store
from earshot.training import runs
from shared_stores import *  # noqa: F403 (its fixtures)

QUICK = ["experiment=sirens-log_mel-cnn", "model.training.max_epochs=2"]


def trained(*overrides: str):
    cfg = compose([*QUICK, "mlflow.artifacts=false", *overrides])
    return runs.once(cfg, prepare.shared(cfg))


def latest_run() -> str:
    client = MlflowClient(store.uri())
    return client.search_runs([client.get_experiment_by_name("sirens").experiment_id])[0].info.run_id


def test_a_run_is_reproduced(trained_on):
    trained()
    done = CliRunner().invoke(main.main, ["reproduce", latest_run()])
    assert done.exit_code == 0, done.output
    for fact in ("settings", "features", "split", "code", "libraries", "machine", "commit"):
        assert f"{fact}:" in done.output
    assert " was " not in done.output and done.output.count("2 of 2 epochs the same") == 4
    assert "weights:   identical" in done.output and "reproduced: yes, identical" in done.output


def test_a_run_of_another_split_and_other_scores_is_not_reproduced(trained_on):
    trained("seed=5")
    run_id, client = latest_run(), MlflowClient(store.uri())
    client.log_metric(run_id, "val_loss", 9.0, step=2, timestamp=2**42)
    path = trained_on.data("splits", "horns", "grouped.parquet")
    before = path.read_bytes()
    split = files.read_table(path)
    part = split["part"].where(
        split["fold"] != 0, split["part"].replace({"train": "validation", "validation": "train"})
    )
    files.write_table(path, split.assign(part=part), files.read_recipe(path))
    done = CliRunner().invoke(main.main, ["reproduce", run_id])
    path.write_bytes(before)
    assert done.exit_code == 1 and "reproduced: no" in done.output
    (said,) = [line for line in done.output.splitlines() if line.startswith("split:")]
    assert " was " in said and "features:  the same" in done.output


def test_a_run_whose_features_are_gone_is_told_what_to_make(trained_on, monkeypatch):
    trained("seed=6")
    run_id = latest_run()
    path = trained_on.data("features", "horns", "log_mel", "_index.parquet")
    recipe = files.read_recipe(path)
    before = path.read_bytes()
    files.write_table(path, files.read_table(path), recipe | {"n_mels": 8})
    done = CliRunner().invoke(main.main, ["reproduce", run_id])
    path.write_bytes(before)
    assert done.exit_code == 1 and "n_mels = 8, and 16 is asked for" in done.stderr


@pytest.mark.parametrize("run_id", ["nothing", "0" * 32])
def test_no_such_run(trained_on, run_id):
    trained("seed=7")
    done = CliRunner().invoke(main.main, ["reproduce", run_id])
    assert done.exit_code == 1 and f"gives no run {run_id}" in done.stderr and "Traceback" not in done.output


def test_the_best_setting_over_all_folds_is_the_champion(trained_on):
    with pytest.raises(EarshotError, match="no setting that was trained on all folds"):
        champion.select_champion("horns")
    for fold in range(3):
        trained(f"fold={fold}", "optimizer.lr=1.0e-9", "seed=1")
    first = champion.select_champion("horns")
    assert (first.before, first.version, first.moved) == (None, "1", True)
    trained("fold=0", "optimizer.lr=0.01")  # not all folds yet
    begun = champion.select_champion("horns")
    assert not begun.moved and begun.incomplete == ["sirens-log_mel-cnn optimizer.lr=0.01: lacks seed 0 fold 1/2"]
    said = CliRunner().invoke(main.main, ["champion", "horns"]).output
    assert "incomplete: sirens-log_mel-cnn optimizer.lr=0.01: lacks seed 0 fold 1/2" in said
    for fold in (1, 2):
        trained(f"fold={fold}", "optimizer.lr=0.01")
    second = champion.select_champion("horns")
    scores = list(second.table["score"])
    assert scores == sorted(scores, reverse=True) and len(scores) == 2
    assert second.table["differs"].tolist() == ["optimizer.lr=0.01", "optimizer.lr=1e-09"]
    assert (second.before, second.version, second.moved) == ("1", "2", True)
    stays = CliRunner().invoke(main.main, ["champion", "horns"])
    assert stays.exit_code == 0 and "version 2 of model horns (unchanged: no setting scores higher)" in stays.output

    client = MlflowClient(store.uri())
    version = client.get_model_version_by_alias("horns", "champion")
    assert str(version.version) == "2" and "mean of 3 runs over all folds" in version.description
    losses = {fold: _loss(fold) for fold in range(3)}
    assert client.get_run(version.run_id).data.params["fold"] == str(min(losses, key=losses.get))


def test_a_setting_needs_every_fold_and_seed_that_there_is_to_be(trained_on):
    for fold in range(2):
        trained(f"fold={fold}", "seed=3")
    with pytest.raises(EarshotError, match=r"no setting that was .*begun: sirens-log_mel-cnn: lacks seed 3 fold 2"):
        champion.select_champion("horns")
    trained_on.params(seeds=[3, 4])
    trained("fold=2", "seed=3")
    with pytest.raises(EarshotError, match=r"begun: sirens-log_mel-cnn: lacks seed 4 fold 0/1/2"):
        champion.select_champion("horns")
    trained_on.params(seeds=[0])
    assert champion.select_champion("horns").incomplete == []


@pytest.mark.process
def test_of_two_that_select_a_champion_at_once_one_registers_it(trained_on):
    for fold in range(3):
        trained(f"fold={fold}")
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(champion.select_champion, "horns") for _ in range(2)]
    assert sorted(one.result().moved for one in found) == [False, True]
    assert len(MlflowClient(store.uri()).search_model_versions("name = 'horns'")) == 1


def test_a_champion_in_postgres_and_s3_is_had_on_another_machine(shared, runs_elsewhere, bucket_in_s3, tmp_path):
    folders = [trained(f"fold={fold}", "seed=8") for fold in range(3)]
    assert "version 1 of model horns (the first one)" in invoke(main.main, "champion", "horns")
    line = ["predict", "--champion", "horns", str(shared.data("raw", "horns", "horn.wav"))]
    here = invoke(main.main, *line)
    for folder in folders:
        shutil.move(folder, tmp_path)  # another machine has no such folder
    assert invoke(main.main, *line) == here
    assert sum(path.endswith("model.safetensors") for path in bucket_in_s3.find("bucket/mlflow")) == 1


def _loss(fold: int) -> float:
    client = MlflowClient(store.uri())
    found = client.search_runs(
        [client.get_experiment_by_name("sirens").experiment_id],
        f"params.fold = '{fold}' AND params.`optimizer.lr` = '0.01'",
    )
    return found[0].data.metrics["best_val_loss"]
