"""A project whose data is so small that a training takes no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import Project, invoke, tone, write_audio
from earshot.stages import audit as audit_stage
from earshot.stages import cross_dataset as cross_dataset_stage
from earshot.stages import evaluate as evaluate_stage
from earshot.stages import events as events_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import noise as noise_stage
from earshot.stages import split as split_stage
from earshot.stages import swapped as swapped_stage
from earshot.stages import train as train_stage

RATE = 4000  # low; the windows stay as they are
FEATURES = {
    "summary": {"sample_rate": RATE, "n_fft": 512, "hop_length": 256},
    "log_spectrogram": {"nperseg": 80, "noverlap": 40},
    "log_mel": {"n_mels": 16, "n_fft": 256, "hop_length": 80},
    "mfcc": {"n_mels": 20, "n_fft": 256, "hop_length": 80},
    "pcen_mel": {"n_mels": 16, "n_fft": 256, "hop_length": 80},
}


def tiny_project(root: Path) -> Project:
    """Make two small datasets of tasks `genres` and `sirens`, with splits and all features; EARSHOT_ROOT is `root`."""
    project = Project(root)
    params = project.params(datasets=["tunes", "horns"], audio={"sample_rate": RATE})
    features_of = params["features"]
    for name, changes in FEATURES.items():
        features_of[name] |= changes
    project.params(features=features_of, split=params["split"] | {"block_seconds": 6.0, "folds": {"default": 3}})
    project.card("tunes", task="genres", source={"folder": "."}, layout={"kind": "class_folders"})
    for number in range(15):
        label = ("high", "low", "middle")[number % 3]
        path = project.data("raw", "tunes", label, f"{label}.{number}.wav")
        write_audio(path, tone({"high": 1500, "low": 200, "middle": 700}[label], 4, RATE, seed=number), RATE)
    layout = {"kind": "long_recordings", "recordings": {"horn": "horn.wav", "other": "other.wav"}}
    project.card("horns", task="sirens", source={"folder": "."}, layout=layout)
    write_audio(project.data("raw", "horns", "horn.wav"), tone(900, 40, RATE), RATE)
    write_audio(project.data("raw", "horns", "other.wav"), tone(300, 44, RATE, seed=1), RATE)
    for dataset in ("tunes", "horns"):
        invoke(manifest_stage.main, dataset)
        invoke(fingerprint_stage.main, dataset)
        invoke(split_stage.main, dataset)
        for name in ("waveform", *FEATURES):
            invoke(features_stage.main, dataset, name, "--workers", "1")
    return project


def log_mel_cnn(project: Project, *datasets: str, epochs: int, **changes: Any) -> None:
    """Set a project to one experiment, a CNN on small log-mel spectrograms; `changes` are of other sections."""
    params = project.params()
    sections = {
        "datasets": list(datasets),
        "audio": {"sample_rate": RATE},
        "experiments": {"over_time": {"inputs": ["log_mel"], "models": ["cnn"]}},
        "features": params["features"] | {"log_mel": params["features"]["log_mel"] | FEATURES["log_mel"]},
        "split": params["split"] | {"folds": {"default": 3}},
    }
    project.params(**sections | changes)
    model = project.root / "conf" / "model" / "cnn.yaml"
    model.write_text(model.read_text().replace("max_epochs: 10", f"max_epochs: {epochs}"))


def through_the_stages(dataset: str) -> None:
    """Run the stages of a dataset, from the manifest on, in the order of dvc.yaml; all but `compare`."""
    for stage in (manifest_stage, fingerprint_stage, split_stage, audit_stage):
        invoke(stage.main, dataset)
    for stage in (
        features_stage,
        train_stage,
        evaluate_stage,
        noise_stage,
        events_stage,
        swapped_stage,
        cross_dataset_stage,
    ):
        invoke(stage.main, dataset, "--workers", "1")
