"""The links between the report and the dashboard.

The report names no run, so that its bytes do not depend on one. It links to pages of the dashboard that find the runs,
or the windows of a confusion matrix, when they are opened.
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
    query = {"dataset": dataset, "input": input_name, "model": model, "wiring": wiring, "protocol": protocol}
    return f"{ADDRESS}{RUNS}?{urlencode(query)}"


def matrix(dataset: str, input_name: str, model: str, wiring: str, protocol: str) -> str:
    """Return the id of a confusion matrix in the report."""
    return f"matrix-{dataset}-{input_name}-{model}-{wiring}-{protocol}"


def windows(dataset: str, input_name: str, model: str, wiring: str, protocol: str, true: str, predicted: str) -> str:
    """Return the address of the windows in a cell of a confusion matrix."""
    query = {"dataset": dataset, "input": input_name, "model": model, "wiring": wiring, "protocol": protocol}
    return f"{ADDRESS}{WINDOWS}?{urlencode(query | {'true': true, 'predicted': predicted})}"


def note(dataset: str, input_name: str, model: str, wiring: str) -> str:
    """Return a run's description in MLflow, in Markdown: a link to its row in the report."""
    return f"[Its row in the report]({REPORT}#{anchor(dataset, input_name, model, wiring)})"
