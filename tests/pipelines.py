"""A whole project of its own, under git and DVC, for tests that run the pipeline."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import yaml

from conftest import BIN, PROJECT, Project, new_store
from tiny import FEATURES, RATE, TWO, class_folders, long_recordings


class Pipeline(Project):
    """A small project under git and DVC, with its own recordings.

    Parameters
    ----------
    datasets : `tunes` (short recordings, to be summarised), `horns` (long ones, over time) or both
    """

    def __init__(self, root: Path, datasets: tuple[str, ...] = ("tunes", "horns")):
        super().__init__(root)
        shutil.copytree(PROJECT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        (root / "data").mkdir()
        shutil.copy(PROJECT / "data" / ".gitignore", root / "data")
        self.environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
            "EARSHOT_ROOT": str(root),
            "DVC_NO_ANALYTICS": "1",
        }
        for name in ("MLFLOW_TRACKING_URI", "PYTHONDONTWRITEBYTECODE"):
            self.environment.pop(name, None)
        new_store(self.data("mlflow", "mlflow.db"))
        self.run("git", "init", "-q")
        self.run("dvc", "init", "-q")
        features = self.params()["features"]
        for name in ("summary", "log_mel"):
            features[name] |= FEATURES[name]
        self.params(
            datasets=list(datasets),
            audio={"sample_rate": RATE},
            features=features,
            experiments={
                "over_time": {"inputs": ["log_mel"] if "horns" in datasets else [], "models": ["cnn"]},
                "summarised": {"inputs": ["summary"] if "tunes" in datasets else [], "models": ["ann"]},
            },
            split=self.params()["split"] | {"block_seconds": 8.0, "folds": {"default": 3}},
            noise={},  # params.yaml's is of classes that the horns don't have
        )
        for model in ("ann", "cnn"):
            path = root / "conf" / "model" / f"{model}.yaml"
            settings = yaml.safe_load(path.read_text())
            settings["training"]["max_epochs"] = 3
            path.write_text(yaml.safe_dump(settings))
        self.recordings = root / "recordings"
        self.card(
            "tunes",
            task="genres",
            source={"folder": "recordings/tunes"},
            layout={"kind": "class_folders"},
        )
        class_folders(self.recordings / "tunes", TWO, 14)
        (self.recordings / "tunes" / "high" / "torn.wav").write_bytes(b"RIFF")
        long_recordings(self, "recordings/horns", self.recordings / "horns", 50)

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=3000,  # of no account but to a test that hangs
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *arguments: str) -> str:
        return self.run("dvc", "repro", *arguments)

    def commit(self) -> None:
        """Commit all that belongs to git: code, settings and dvc.lock."""
        (self.root / ".gitignore").write_text("__pycache__/\n/recordings/\n/dvc_plots/\n")
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=tester", "-c", "user.email=tester@localhost", "commit", "-qm", "all of it")

    def start(self, *targets: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["dvc", "repro", *targets], cwd=self.root, env=self.environment, stdout=subprocess.DEVNULL
        )

    def forget(self) -> None:
        """Remove all that stages have made and kept, in DVC's cache, too, but for MLflow's runs."""
        made = [path for path in self.data().iterdir() if path.name not in ("mlflow", ".gitignore")]
        for folder in (*made, self.root / ".dvc" / "cache"):
            shutil.rmtree(folder, ignore_errors=True)
        (self.root / "dvc.lock").unlink(missing_ok=True)

    @property
    def lock(self) -> bytes:
        return (self.root / "dvc.lock").read_bytes()
