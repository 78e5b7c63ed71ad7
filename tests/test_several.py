"""Trainings by several processes, and trainings that go on after they were killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import pytorch_lightning as pl
import torch
from mlflow import MlflowClient
from torch.utils.data import TensorDataset

from conftest import Project, forget_custom, invoke, new_store, tone, write_audio
from earshot import project as places
from earshot.batches import prepare
from earshot.batches.datamodule import WindowDataModule
from earshot.batches.share import Share
from earshot.cluster import pools
from earshot.cluster.each import each
from earshot.errors import EarshotError
from earshot.settings import compose
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage
from earshot.tracking import store
from earshot.training import experiments, fit, plain, run_cache, runs, several

RATE = 4000
LINE = ["dataset=tunes", "task=genres", "input=summary", "model=ann", "model.training.max_epochs=3"]
LINE += ["mlflow.artifacts=false", "model.training.batch_size=3"]  # of seven windows: the last batch has one
BY_TWO = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
BROKEN = """
import os, signal, torch
from earshot.models.ann import ANN

class Broken(ANN):
    def forward(self, x):
        others = torch.distributed
        if others.is_initialized() and others.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)
"""


@pytest.fixture(scope="module")
def tunes(tmp_path_factory):
    """A project with few windows."""
    root = tmp_path_factory.mktemp("tunes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.setenv("MLFLOW_TRACKING_URI", new_store(root / "mlflow.db"))
        project = Project(root)
        params = project.params(datasets=["tunes"], audio={"sample_rate": RATE})
        summary = params["features"]["summary"] | {"sample_rate": RATE, "n_fft": 512, "hop_length": 256}
        log_mel = params["features"]["log_mel"] | {"n_fft": 512, "hop_length": 500, "n_mels": 16}
        project.params(features=params["features"] | {"summary": summary, "log_mel": log_mel})
        project.card("tunes", task="genres", source={"folder": "."}, layout={"kind": "class_folders"})
        for number in range(12):
            label = "high" if number % 2 else "low"
            path = project.data("raw", "tunes", label, f"{label}.{number}.wav")
            write_audio(path, tone(1500 if number % 2 else 300, 4, RATE, seed=number), RATE)
        for stage in (manifest_stage, fingerprint_stage, split_stage):
            invoke(stage.main, "tunes")
        invoke(features_stage.main, "tunes", "summary", "--workers", "1")
        (root / "custom" / "broken.py").write_text(BROKEN)
        forget_custom()
        model = (root / "conf" / "model" / "ann.yaml").read_text()
        broken = model.replace("earshot.models.ann.ANN", "custom.broken.Broken")
        (root / "conf" / "model" / "broken.yaml").write_text(broken)
        yield project
        forget_custom()


def trained(*overrides: str, callbacks=(), state: Path | None = None) -> fit.Trained:
    cfg = compose([*LINE, *overrides])
    data = prepare.load(cfg)
    parts = [prepare.part(cfg, data, part) for part in ("train", "validation")]
    return fit.fit(cfg, data, *parts, callbacks=callbacks, state=state)


def children() -> list[str]:
    """Return the commands of this process's children that take part in a training."""
    found = [" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]
    return [command for command in found if "earshot.training.other" in command]


@pytest.mark.parametrize("balanced", [False, True])
def test_the_shares_of_all_are_the_batches_of_one(balanced):
    windows = TensorDataset(torch.arange(7))
    windows.labels, windows.multi_label = torch.tensor([0, 0, 0, 0, 1, 1, 1]), False
    windows.__class__ = type("Windows", (TensorDataset,), {"__getitem__": lambda self, index: (index, index)})
    epochs = {}
    for share in (None, *(Share(rank, 3) for rank in range(3))):
        loader = WindowDataModule(windows, windows, 4, 0, balanced, share=share).train_dataloader()
        epochs[share] = [batch for _ in range(2) for batch in loader]
    whole = [x for x, _ in epochs.pop(None)]
    assert [len(x) for x in whole] == [4, 3, 4, 3] and whole[:2] != whole[2:]
    for number, batch in enumerate(whole):
        shares = [epochs[share][number] for share in epochs]
        assert sorted(n for x, _, mine, _ in shares for n in x[:mine]) == sorted(batch)
        assert all(of == len(batch) and len(x) == max(1, mine) for x, _, mine, of in shares)


@pytest.mark.process
def test_two_processes_train_as_one_does_and_write_once(tunes, tmp_path, capfd):
    one = trained()
    cfg = compose([*LINE, *BY_TWO])
    two = runs.train(cfg, prepare.load(cfg), tmp_path / "out")
    said = capfd.readouterr()
    assert not children() and not said.err
    assert [line.split()[1] for line in said.out.splitlines() if line.startswith("  epoch ")] == ["1/3", "2/3", "3/3"]
    for name, value in one.weights.items():
        assert torch.allclose(value, two.weights[name], atol=1e-5), name
    assert two.epochs == [pytest.approx(epoch, abs=1e-4) for epoch in one.epochs]
    client = MlflowClient(store.uri())
    [run] = client.search_runs([client.get_experiment_by_name("genres").experiment_id])
    assert run.info.status == "FINISHED" and len(client.get_metric_history(run.info.run_id, "val_loss")) == 3

    with pools.spread(1, "earshot.training.runs") as pool:  # as the stage has it trained
        list(each(pool, experiments.train_one, [(cfg, tmp_path / "again")], ""))
    again, before = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("again", "out"))
    assert again == before


@pytest.mark.process
def test_what_kills_one_process_ends_all_with_a_line(tunes):
    with pytest.raises(EarshotError, match=r"^process 2 of 2 of the training was killed \(SIGKILL\). Is there"):
        trained("model=broken", *BY_TWO)
    assert not children() and not torch.distributed.is_initialized()


class Interrupt(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        assert children()
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.process
def test_ctrl_c_ends_all_processes(tunes, heeds_ctrl_c):
    with pytest.raises(SystemExit):
        trained(*BY_TWO, "model.training.max_epochs=100000", callbacks=[Interrupt()])
    assert not children()


@pytest.mark.process
def test_what_another_process_says_ends_all(tunes):
    with pytest.raises(EarshotError, match="the windows are not those of the config"):
        cfg = compose([*LINE, *BY_TWO])
        data = prepare.load(cfg)
        fit.fit(cfg, data, *[prepare.part(cfg, data, "validation")] * 2)
    assert not children()


@pytest.mark.process
def test_devices_that_are_not_there_are_told(tunes):
    with pytest.raises(EarshotError, match=r"^trainer.accelerator is gpu and trainer.devices \[0, 1\]: .*gpu"):
        several.count(compose([*LINE, "trainer.accelerator=gpu", "trainer.devices=[0,1]"]))
    assert several.count(compose([*LINE, "trainer.accelerator=cpu", "trainer.devices=3"])) == 3
    with pytest.raises(EarshotError, match="trainer.strategy is fsdp, and must be auto or ddp"):
        compose([*LINE, "trainer.strategy=fsdp"])


EVERY = ["model.training.schedule=one_cycle", "model.training.averaging=ema", "model.training.sampling=balanced"]
EVERY += ["augmentation.mixup={p: 1.0, alpha: 0.2}", "optimizer=adamw", "model.training.checkpoint=best"]
KILLED = """
import os, signal, sys
from pathlib import Path
from earshot.batches import prepare
from earshot.settings import compose
from earshot.training import callbacks, runs, unfinished

class Killed(callbacks.PrintEpochs):
    def on_train_epoch_end(self, trainer, pl_module):
        if pl_module.epoch["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

unfinished.SECONDS, runs.PrintEpochs = 0.0, Killed
cfg = compose(sys.argv[2:])
runs.train(cfg, prepare.load(cfg), Path(sys.argv[1]))
"""


@pytest.mark.process
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(tunes, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_store(tmp_path / "mlflow.db"))
    line = [*LINE, *EVERY]
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "out", *line], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    [kept] = places.cache("unfinished").iterdir()
    cfg = compose(line)
    data = prepare.load(cfg)
    result = runs.train(cfg, data, tmp_path / "out")
    assert kept.stem == run_cache.folder(cfg, data).name and not kept.exists()
    whole = trained(*EVERY)
    assert fit.digest(result) == fit.digest(whole) and result.epochs == whole.epochs
    assert result.settings == whole.settings
    said = capsys.readouterr().out
    assert "  goes on after epoch 2/3\n  epoch 3/3" in said and "epoch 1/3" not in said
    client = MlflowClient(store.uri())
    found = client.search_runs([client.get_experiment_by_name("genres").experiment_id])
    [finished] = [run for run in found if run.info.status == "FINISHED"]
    assert len(client.get_metric_history(finished.info.run_id, "val_loss")) == 3


class Ended(Exception):
    pass


class EndAfter(pl.Callback):
    def __init__(self, epoch: int):
        self.epoch = epoch

    def on_train_epoch_end(self, trainer, pl_module):
        if pl_module.epoch["epoch"] == self.epoch:
            raise Ended


@pytest.mark.long
@pytest.mark.process
def test_a_network_of_pictures_that_was_killed_goes_on_to_the_same_bytes(tunes, tmp_path, monkeypatch):
    monkeypatch.setattr("earshot.training.unfinished.SECONDS", 0.0)
    invoke(features_stage.main, "tunes", "log_mel", "--workers", "1")
    small = ["model.channels=[4,6]", "model.halvings=2", "model.training.max_epochs=3", "model.training.batch_size=3"]
    cfg = compose(["dataset=tunes", "task=genres", "input=log_mel", "model=crnn", *small])
    data = prepare.load(cfg)
    parts = [prepare.part(cfg, data, part) for part in ("train", "validation")]
    with pytest.raises(Ended):
        fit.fit(cfg, data, *parts, callbacks=[EndAfter(2)], state=tmp_path / "state")
    result = fit.fit(cfg, data, *parts, state=tmp_path / "state")
    assert len(result.epochs) == 3 and fit.digest(result) == fit.digest(fit.fit(cfg, data, *parts))


@pytest.mark.process
@pytest.mark.parametrize(("line", "epoch"), [(["model.training.max_epochs=2"], 2), (["optimizer.lr=0.0"], 3)])
def test_one_that_was_killed_after_its_last_epoch_is_not_trained_longer(tunes, tmp_path, monkeypatch, line, epoch):
    monkeypatch.setattr("earshot.training.unfinished.SECONDS", 0.0)
    stopping = ["model.training.max_epochs=9", "model.training.early_stopping=2", "model.training.checkpoint=best"]
    line = [*stopping, *line]
    with pytest.raises(Ended):
        trained(*line, callbacks=[EndAfter(epoch)], state=tmp_path / "state")
    result = trained(*line, state=tmp_path / "state")
    assert len(result.epochs) == epoch and fit.digest(result) == fit.digest(trained(*line))


@pytest.mark.process
def test_a_short_training_keeps_nothing(tunes, tmp_path):
    trained(state=tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_what_is_kept_is_no_pickle_and_comes_back(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    value = {
        "numbers": {0: shared, 1: shared.T, "half": torch.ones(2, dtype=torch.bfloat16)},
        "pairs": [(0.1, 0.999), (float("inf"), None)],
        "nothing": {},
        "text": "dict",
    }
    plain.write(tmp_path / "a.safetensors", value)
    raw = (tmp_path / "a.safetensors").read_bytes()
    assert json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    back = plain.read(tmp_path / "a.safetensors")
    for key, tensor in value["numbers"].items():
        assert torch.equal(back["numbers"].pop(key), tensor)
    assert back == value | {"numbers": {}} and isinstance(back["pairs"][0], tuple)
    (tmp_path / "a.safetensors").write_bytes(raw[:40])
    with pytest.raises(EarshotError, match="a.safetensors can't be read .*: delete it"):
        plain.read(tmp_path / "a.safetensors")
