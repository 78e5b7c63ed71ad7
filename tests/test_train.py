"""Training: every config runs, one batch is overfitted, results repeat, and MLflow shows how each run ended."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from mlflow import MlflowClient
from omegaconf import OmegaConf
from torch import nn
from torch.nn import functional

from conftest import PROJECT, invoke, started
from earshot import files, models, provenance
from earshot.batches import prepare
from earshot.batches.windows import Windows
from earshot.errors import EarshotError
from earshot.metrics import classification
from earshot.models import layers
from earshot.settings import compose
from earshot.stages import evaluate
from earshot.stages import train as train_stage
from earshot.tracking import logger, outbox, store
from earshot.trained import model_folder, predict
from earshot.training import fit, run_cache, runs

QUICK = ["model.training.max_epochs=2"]
ELSEWHERE = ("linear", "zero_shot", "mn", "probe", "frames", "mel_crnn")  # test_pretrained trains them
EXPERIMENTS = sorted(
    path.stem
    for path in (PROJECT / "conf" / "experiment").glob("*.yaml")
    if path.stem.rpartition("-")[2] not in ELSEWHERE
)


def runs_of(task: str):
    client = MlflowClient(store.uri())
    return client, client.search_runs([client.get_experiment_by_name(task).experiment_id])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_trains_two_epochs(trained_on, tmp_path, name):
    cfg = compose([f"experiment={name}", *QUICK, *(["model.samples_per_step=40"] if "lstm" in name else [])])
    trained = runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    assert [epoch["epoch"] for epoch in trained.epochs] == [1, 2]
    assert all(np.isfinite(list(epoch.values())).all() for epoch in trained.epochs)
    settings, weights = model_folder.read(tmp_path / "out")
    assert settings == json.loads(json.dumps(trained.settings)) and settings["task"] == name.split("-")[0]
    assert all(torch.equal(weights[key], trained.weights[key]) for key in trained.weights)


@pytest.mark.parametrize("wiring", ["as_coded", "as_described"])
@pytest.mark.parametrize("name", ["cnn", "lstm"])
def test_one_batch_is_overfitted(trained_on, tmp_path, name, wiring):
    changed = ["dropout=0.0", "training.max_epochs=60", "training.batch_size=16", f"wiring={wiring}"]
    cfg = compose(
        ["experiment=sirens-log_mel-" + name, "optimizer.lr=0.01", *(f"model.{change}" for change in changed)]
    )
    data = prepare.load(cfg)
    table = prepare.part(cfg, data, "train").table
    by_heart = table[::5][:12].assign(label=list(table["label"][::-5][:12]))  # labels that follow from nothing
    windows = Windows(data.features, by_heart, data.input, data.classes)
    trained = fit.fit(cfg, data, windows, windows)
    assert trained.epochs[-1]["train_accuracy"] == 1.0 and trained.epochs[-1]["train_loss"] < 0.2


def test_the_same_seed_gives_the_same_bytes(trained_on, tmp_path):
    cfg = compose(["experiment=sirens-log_spectrogram-cnn", *QUICK])
    for name in ("a", "b"):
        runs.train(cfg, prepare.load(cfg), tmp_path / name)
    other = compose(["experiment=sirens-log_spectrogram-cnn", "seed=1", *QUICK])
    runs.train(other, prepare.load(other), tmp_path / "c")
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_the_best_epoch_is_kept(trained_on, tmp_path):
    cfg = compose(["experiment=sirens-log_mel-cnn", "optimizer.lr=0.3", "model.training.max_epochs=6"])
    data = prepare.load(cfg)
    windows = {name: prepare.part(cfg, data, name) for name in ("train", "validation")}
    trained = fit.fit(cfg, data, windows["train"], windows["validation"])
    losses = [epoch["val_loss"] for epoch in trained.epochs]
    assert trained.settings["best_epoch"] == int(np.argmin(losses)) + 1
    p = predict.probabilities(
        trained.settings, model_folder.restore(trained.settings, trained.weights), windows["validation"]
    )
    truth = p[np.arange(len(p)), windows["validation"].labels.numpy()]
    assert -np.log(truth).mean() == pytest.approx(min(losses), rel=1e-3, abs=1e-6)


def test_a_run_is_finished_and_says_what_it_was(trained_on, tmp_path):
    cfg = compose(["experiment=sirens-log_mel-cnn", *QUICK])
    data = prepare.load(cfg)
    trained = runs.train(cfg, data, tmp_path / "out")
    client, (run,) = runs_of("sirens")
    assert run.info.status == "FINISHED"
    params = run.data.params
    assert (params["dataset"], params["protocol"], params["seed"]) == ("horns", "grouped", "0")
    assert (params["window.length"], params["window.hop"]) == ("2.0", "1.0")
    assert params["model.dropout"] == "0.3" and params["optimizer.lr"] == "0.001" and params["features.n_mels"] == "16"
    assert {point.step for point in client.get_metric_history(run.info.run_id, "val_loss")} == {1, 2}
    assert run.inputs.dataset_inputs[0].dataset.digest == data.digest[:36]
    assert run.data.tags["mlflow.source.git.commit"] == provenance.commit()
    assert "dvc.stage" not in run.data.tags, "no stage made it"
    scores = classification.scores(trained.validation)
    for name in ("accuracy", "macro_f1", "loss", "calibration_error"):
        assert run.data.metrics[f"best_val_{name}"] == pytest.approx(scores[name])
    best = trained.epochs[int(run.data.metrics["best_epoch"]) - 1]
    assert run.data.metrics["best_val_loss"] == pytest.approx(best["val_loss"], abs=1e-5)
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert artifacts == {"config.yaml", "model_summary.txt", "curves.png", "validation"}
    pictures = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "validation")}
    assert pictures == {"confusion_matrix.png", "reliability.png", "examples.html"}
    page = Path(client.download_artifacts(run.info.run_id, "validation/examples.html")).read_text()
    assert page.count("<audio") >= 2 and "data:audio/mpeg;base64," in page
    summary = Path(client.download_artifacts(run.info.run_id, "model_summary.txt")).read_text()
    assert summary == layers.as_text(trained.settings["layers"])
    assert summary.splitlines()[-1].split() == ["total", f"{trained.settings['parameters']:,}"]


def test_the_summary_of_the_tutorials_cnn_has_the_tutorials_parameters():
    cfg = compose(["experiment=sirens-waveform-cnn", "model.wiring=as_coded"])
    net = models.build(OmegaConf.to_container(cfg.model, resolve=True), False, 32000, 1, 2)
    rows = layers.layers_of(net, (32000, 1))
    assert [(row["kind"], row["output_shape"], row["parameters"]) for row in rows if row["parameters"]] == [
        ("Conv1d", [16, 32000], 192),
        ("Linear", [16], 272),
        ("Linear", [1], 17),
    ]
    assert layers.as_text(rows).splitlines()[-1].split() == ["total", "481"]


def test_a_summary_lists_layers_and_leaves_model_and_random_state_alone():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList([nn.LSTM(3, 4, batch_first=True), nn.LSTM(4, 4, batch_first=True)])
            self.dropout, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(5).eval()
            self.scale = nn.Parameter(torch.ones(4))
            self.unused = nn.Linear(4, 2)

        def forward(self, x):
            for block in self.blocks:
                x = self.dropout(block(x)[0])
            return functional.linear(self.norm(x)[:, -1] * self.scale, self.unused.weight)

    net = Net()
    net.blocks[1].bias_hh_l0.requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    assert [tuple(row.values()) for row in layers.layers_of(net, (5, 3))] == [
        ("blocks.0", "LSTM", [5, 4], 4 * 4 * (3 + 4 + 2)),
        ("dropout", "Dropout", [5, 4], 0),
        ("blocks.1", "LSTM", [5, 4], 4 * 4 * (4 + 4 + 1)),  # a bias that is not trained does not count
        ("dropout", "Dropout", [5, 4], 0),
        ("norm", "BatchNorm1d", [5, 4], 10),
        ("", "Net", [2], 4),
        ("unused", "Linear", None, 10),  # it is never called: only its weights are used
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in (net, net.dropout, net.norm)] == [True, True, False]
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_training_prints_its_model_and_ten_epochs_where_there_is_no_terminal(trained_on, tmp_path, capsys):
    cfg = compose(["experiment=sirens-log_mel-cnn", "model.training.max_epochs=20"])
    trained = runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    said = capsys.readouterr().out
    assert said.startswith(layers.as_text(trained.settings["layers"]))
    lines = [line for line in said.splitlines() if line.startswith("  epoch ")]
    assert [line.split()[1] for line in lines] == [f"{number}/20" for number in range(2, 21, 2)]
    assert lines[0].split()[3] == f"{trained.epochs[1]['train_loss']:.4f}"
    runs.once(cfg, prepare.load(cfg))
    assert "epoch" not in capsys.readouterr().out, "one of many runs prints nothing"


def test_callbacks_see_the_scores_of_each_epoch(trained_on):
    seen = []

    class Watcher(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(pl_module.epoch)

    cfg = compose(["experiment=sirens-log_mel-cnn", *QUICK])
    data = prepare.load(cfg)
    parts = [prepare.part(cfg, data, part) for part in ("train", "validation")]
    trained = fit.fit(cfg, data, *parts, callbacks=[Watcher()])
    assert seen == trained.epochs
    assert [list(epoch) for epoch in trained.epochs] == 2 * [
        ["epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    ]


def test_a_run_that_fails_is_failed(trained_on, tmp_path):
    cfg = compose(["experiment=sirens-log_mel-cnn", "optimizer.lr=-1", *QUICK])
    with pytest.raises(Exception, match="learning rate"):
        runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    _, (run,) = runs_of("sirens")
    assert run.info.status == "FAILED" and not (tmp_path / "out").exists()


def start(*overrides: str, cwd) -> AbstractContextManager[subprocess.Popen]:
    return started("-m", "earshot.cli", "train", "experiment=sirens-log_mel-cnn", *overrides, cwd=cwd, text=True)


@pytest.mark.long
@pytest.mark.process
def test_a_terminated_run_is_failed_and_a_killed_one_is_by_the_next(trained_on, tmp_path):
    for sent, status in ((signal.SIGTERM, "FAILED"), (signal.SIGKILL, "RUNNING")):
        with start("model.training.max_epochs=100000", cwd=trained_on.root) as process:
            # a line is printed every 10 000 epochs: the run is under way once MLflow has its first metric
            deadline = time.monotonic() + 300
            while time.monotonic() < deadline and not has_metrics():
                time.sleep(0.2)
            process.send_signal(sent)
            said, _ = process.communicate(timeout=300)
        assert runs_of("sirens")[1][0].info.status == status, said
    cfg = compose(["experiment=sirens-log_mel-cnn", *QUICK])
    runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    assert sorted(run.info.status for run in runs_of("sirens")[1]) == ["FAILED", "FAILED", "FINISHED"]


@pytest.mark.process
@pytest.mark.parametrize("taken", [".", "train.log", "config.json"])  # the last is earshot's, the others are Hydra's
def test_a_disk_that_does_not_take_a_training_is_told_in_a_line(trained_on, tmp_path, taken):
    out = tmp_path / "out"
    if taken == ".":
        out.write_text("and no folder")
    else:
        (out / taken / "is a folder").mkdir(parents=True)
    with start(
        "model.training.max_epochs=1", f"hydra.run.dir={out}", "mlflow.artifacts=false", cwd=trained_on.root
    ) as run:
        said, _ = run.communicate()
    lines = said.splitlines()
    assert run.returncode == 1 and [line for line in lines if "rror" in line or "HYDRA" in line] == lines[-1:], said
    assert lines[-1].startswith(f"error: {out}")


def has_metrics() -> bool:
    """Whether the latest run of the test's store has logged an epoch."""
    path = store.uri().removeprefix("sqlite:///")
    if not os.path.exists(path):
        return False
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            query = "SELECT COUNT(*) FROM metrics WHERE run_uuid = (SELECT run_uuid FROM runs ORDER BY start_time DESC)"
            return database.execute(query).fetchone()[0] > 0 and bool(
                database.execute("SELECT 1 FROM runs WHERE status = 'RUNNING'").fetchone()
            )
    except sqlite3.OperationalError:
        return False


def test_training_goes_on_without_mlflow(trained_on, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(logger, "FIRST_SECONDS", 0.0)
    cfg = compose(["experiment=sirens-log_mel-cnn", *QUICK])
    runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").exists()
    said = capsys.readouterr().err
    assert said.count("warning: MLflow at http://127.0.0.1:1 can't be reached, going on without it") == 1
    assert said.count("`earshot sync` sends it") == 1


def test_training_goes_on_where_neither_mlflow_nor_the_disk_takes_the_run(trained_on, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(outbox, "project", SimpleNamespace(mlflow=lambda *parts: tmp_path.joinpath("a file", *parts)))
    (tmp_path / "a file").write_text("and no folder")
    cfg = compose(["experiment=sirens-log_mel-cnn", *QUICK])
    runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    assert (tmp_path / "out" / "model.safetensors").exists()
    assert "nor could it be kept for `earshot sync`" in capsys.readouterr().err


@pytest.mark.process
def test_features_of_other_numbers_are_refused_without_a_traceback(trained_on):
    with start("features.log_mel.n_mels=32", cwd=trained_on.root) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1 and "Traceback" not in output
    assert "use `dvc exp run -S 'features.log_mel.n_mels=32'`" in output


def test_features_that_were_made_by_other_numbers_are_refused(trained_on):
    cfg = compose(["experiment=sirens-log_mel-cnn", "features.log_mel.n_mels=32"])
    with pytest.raises(EarshotError, match="n_mels = 16, and 32 is asked for.*dvc repro features@horns"):
        prepare.load(cfg)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["task=birds"], "have 0 of task 'birds': say which one with dataset=NAME"),
        (["fold=7"], "fold=7 is not in .*grouped.parquet, which has folds 0 to 2"),
        (["dataset=nightingales"], "no dataset is called 'nightingales'"),
    ],
)
def test_a_wrong_choice_is_named(trained_on, overrides, said):
    cfg = compose(["experiment=sirens-log_mel-cnn", *overrides])
    with pytest.raises(EarshotError, match=said):
        prepare.part(cfg, prepare.load(cfg), "train")


@pytest.mark.long
@pytest.mark.process
def test_the_stage_makes_the_runs_of_the_command(trained_on, tmp_path):
    trained_on.params(
        protocols=["published", "grouped"],
        seeds=[0, 1],
        wirings=["as_coded", "as_described"],
        experiments={"over_time": {"inputs": ["log_mel"], "models": ["cnn"]}},
    )
    model = trained_on.root / "conf" / "model" / "cnn.yaml"
    model.write_text(model.read_text().replace("max_epochs: 10", "max_epochs: 2"))
    invoke(train_stage.main, "horns")
    made = sorted(path.name for path in trained_on.data("models", "horns", "log_mel-cnn").iterdir())
    assert len(made) == 2 * 2 * (1 + 3) and made[0] == "grouped-as_coded-seed0-fold0"
    history = pd.read_csv(trained_on.data("history", "horns", "log_mel-cnn.csv"))
    assert len(history) == 2 * len(made)

    overrides = ["protocol=grouped", "fold=2", "seed=1", "model.wiring=as_described"]
    with start(*overrides, f"hydra.run.dir={tmp_path}", cwd=trained_on.root) as process:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    stage = trained_on.data("models", "horns", "log_mel-cnn", "grouped-as_described-seed1-fold2", "model.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == stage.read_bytes()

    invoke(evaluate.main, "horns")
    predictions = files.read_table(trained_on.data("predictions", "horns", "log_mel-cnn.parquet"))
    recipe = files.read_recipe(trained_on.data("predictions", "horns", "log_mel-cnn.parquet"))
    assert len(recipe["runs"]) == len(made)
    for key, rows in predictions[predictions["protocol"] == "grouped"].groupby(["wiring", "seed"]):
        assert not rows.duplicated(["recording", "start"]).any(), key
    told = json.loads(trained_on.data("metrics", "horns", "log_mel-cnn.json").read_text())
    chosen = predictions[(predictions["protocol"] == "published") & (predictions["wiring"] == "as_described")]
    by_seed = [classification.scores(rows)["accuracy"] for _, rows in chosen.groupby("seed")]
    assert told["published"]["as_described"]["accuracy"] == pytest.approx(np.mean(by_seed), abs=1e-6)
    tested = [run for run in runs_of("sirens")[1] if "test_accuracy" in run.data.metrics]
    assert len(tested) == len(made)


def test_a_run_is_trained_once_and_again_where_anything_changed(trained_on, monkeypatch):
    experiments = {"summarised": {"inputs": ["summary"], "models": ["ann"]}}
    trained_on.params(protocols=["published"], seeds=[7], wirings=["as_coded"], experiments=experiments)
    model = trained_on.root / "conf" / "model" / "ann.yaml"
    before = model.read_text()
    model.write_text(before.replace("max_epochs: 100", "max_epochs: 2"))

    def logged() -> int:
        invoke(train_stage.main, "tunes", "--workers", "1")
        return len(runs_of("genres")[1])

    folder = trained_on.data("models", "tunes", "summary-ann", "published-as_coded-seed7-fold0")
    assert logged() == 1
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    assert logged() == 1, "it is kept"
    assert (folder / "model.safetensors").read_bytes() == weights
    trained_on.params(seeds=[7, 8])
    assert logged() == 2, "one more seed costs one more run"
    model.write_text(before.replace("max_epochs: 100", "max_epochs: 3"))
    assert logged() == 4, "another setting trains all again"
    model.write_text(before)


def test_of_two_that_train_a_run_at_once_one_logs_it(trained_on, monkeypatch):
    cfg = compose(["experiment=sirens-summary-ann", *QUICK])
    data, first = prepare.load(cfg), fit.fit
    folders = []

    def meanwhile(*arguments):
        """Train and log the run as another process does, after this one has found that it is not there."""
        monkeypatch.setattr(fit, "fit", first)
        folders.append(runs.once(cfg, data))
        return first(*arguments)

    monkeypatch.setattr(fit, "fit", meanwhile)
    folder = runs.once(cfg, data)
    assert folders == [folder] and run_cache.is_whole(folder)
    _, [run] = runs_of("sirens")
    assert run.info.status == "FINISHED" and run.data.tags[store.WEIGHTS_TAG] == model_folder.digest(folder)
    runs.train(cfg, data, folder)
    assert len(runs_of("sirens")[1]) == 2, "who asks for one run by its name gets it"


def test_what_decides_a_runs_weights_is_in_its_key(trained_on):
    cfg = compose(["dataset=tunes", "task=genres", "input=summary", "model=ann", "protocol=published"])
    data = prepare.load(cfg)
    known = run_cache.folder(cfg, data)
    assert known == run_cache.folder(cfg, data)
    for key, value in {"seed": 1, "optimizer.lr": 0.5, "model.training.batch_size": 16, "trainer.threads": 2}.items():
        changed = cfg.copy()
        OmegaConf.update(changed, key, value)
        assert run_cache.folder(changed, data) != known, key
    assert run_cache.folder(cfg, dataclasses.replace(data, digest="other")) != known


def test_the_code_of_the_key_is_all_that_training_imports(trained_on):
    cfg = compose(["experiment=sirens-log_mel-cnn"])
    used = provenance.closure(*run_cache.modules(cfg, prepare.load(cfg)))
    names = {path.relative_to(PROJECT / "src" / "earshot").as_posix() for path in used}
    decisive = {"models/cnn.py", "batches/windows.py", "splits/spans.py", "training/classifier.py", "inputs/log_mel.py"}
    assert decisive <= names
    assert not {name.partition("/")[0] for name in names} & {"cli", "report", "stages", "web"}
