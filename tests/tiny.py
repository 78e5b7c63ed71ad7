"""A project whose data is so small that a training takes no time."""

from __future__ import annotations

from pathlib import Path

from conftest import Project, invoke, tone, write_audio
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import split as split_stage

RATE = 4000  # low; the windows stay as they are
FEATURES = {
    "summary": {"sample_rate": RATE, "n_fft": 512, "hop_length": 256},
    "log_spectrogram": {"nperseg": 80, "noverlap": 40},
    "log_mel": {"n_mels": 16, "n_fft": 256, "hop_length": 80},
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
