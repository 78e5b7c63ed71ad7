"""What a machine does in a test of several: apart from the test, whose imports would take each of them seconds."""

from __future__ import annotations

import os

from earshot.tracking import logger

RUNS, STEPS = 25, 3


def log_runs(environment: dict[str, str], first: int, start) -> None:
    """Log some runs, as a training does, from a machine with a project of its own."""
    os.environ.clear()
    os.environ.update(environment)
    start.wait()
    for number in range(first, first + RUNS):
        logger.LIVE_SECONDS = 2.0 if number % 10 else 0.0  # some write at every step, as slow trainings do
        with logger.run("task", f"run {number}", {"number": str(number)}) as run:
            run.params({"seed": number, "lr": 0.1})
            for step in range(1, STEPS + 1):
                run.metrics({"train_loss": number + 1 / step, "val_loss": number - 1 / step}, step)
            if number % 5 == 0:
                run.text(f"seed: {number}", "config.yaml")
