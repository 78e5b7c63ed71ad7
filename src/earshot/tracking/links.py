"""The addresses by which the report and the dashboard know each other: always the same, so that the report's bytes are.

The report names no run. It links to places of the dashboard that look its runs up, or put the windows of a confusion
matrix together, when they are opened.
"""

from __future__ import annotations

from urllib.parse import urlencode

PORT = 5000
ADDRESS = f"http://127.0.0.1:{PORT}"
RUNS = "/earshot/runs"
WINDOWS = "/earshot/windows"
REPORT = "/earshot/report/"


def anchor(dataset: str, input_name: str, model: str, wiring: str) -> str:
    """Return the id of an experiment's row in the report."""
    return f"row-{dataset}-{input_name}-{model}-{wiring}"


def runs(dataset: str, input_name: str, model: str, wiring: str, protocol: str) -> str:
    """Return the address of the runs behind a score of the report."""
    asked = {"dataset": dataset, "input": input_name, "model": model, "wiring": wiring, "protocol": protocol}
    return f"{ADDRESS}{RUNS}?{urlencode(asked)}"


def matrix(dataset: str, input_name: str, model: str, wiring: str, protocol: str) -> str:
    """Return the id of a confusion matrix in the report."""
    return f"matrix-{dataset}-{input_name}-{model}-{wiring}-{protocol}"


def windows(dataset: str, input_name: str, model: str, wiring: str, protocol: str, true: str, predicted: str) -> str:
    """Return the address of the windows in a cell of a confusion matrix."""
    asked = {"dataset": dataset, "input": input_name, "model": model, "wiring": wiring, "protocol": protocol}
    return f"{ADDRESS}{WINDOWS}?{urlencode(asked | {'true': true, 'predicted': predicted})}"


def note(dataset: str, input_name: str, model: str, wiring: str) -> str:
    """Return a run's description in MLflow, in Markdown: the way back to its row in the report."""
    return f"[Its row in the report]({REPORT}#{anchor(dataset, input_name, model, wiring)})"
