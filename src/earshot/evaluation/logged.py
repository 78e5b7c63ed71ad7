"""Scores of events, added to the run in MLflow that trained the model."""

from __future__ import annotations

from typing import Any

import pandas as pd

from earshot.metrics import event_rates
from earshot.tracking import logger
from earshot.trained.model_folder import Model

PSDS = ("psds1", "psds2")
NAMES = ["recall", "false_alarms_per_hour", "detections_per_hour", *(f"f1_{name}" for name in event_rates.F1)]


def log_events(trained: Model, task: str, judged: pd.DataFrame, scores: dict[str, Any]) -> None:
    """Log what a model finds in the soundscape of its test part, at its operating point where it has one."""
    rates = event_rates.rates(judged)
    with logger.continued(task, trained.digest) as run:
        run.metrics({f"events_{name}": rates[name] for name in NAMES} | {f"events_{n}": scores[n] for n in PSDS})
