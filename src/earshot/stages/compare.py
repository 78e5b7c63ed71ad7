"""Stage: the comparison of all experiments, as a table, a file and a report.

It reads the outputs of the other stages and never MLflow.
"""

from __future__ import annotations

from earshot import files, project
from earshot.datasets.card import trained_on
from earshot.errors import EarshotError
from earshot.report import comparison
from earshot.report.page import render
from earshot.report.results import read_results
from earshot.report.summary import summarise
from earshot.report.terminal import print_summary
from earshot.settings import compared, read_params
from earshot.stages import stage


@stage
def main() -> None:
    """Compare the experiments in params.yaml: write data/report/ and print the summary."""
    settings = compared(read_params())
    datasets = [read_results(dataset, settings) for dataset in trained_on(settings["datasets"])]
    if not datasets:
        raise EarshotError(
            "datasets in params.yaml are for testing alone (test_only in their cards): add one to train on"
        )
    rows, summary = comparison.rows(datasets), summarise(datasets, settings["contrasts"])
    files.write_json(project.report("comparison.json"), rows)
    comparison.write_csv(project.report("comparison.csv"), rows)
    files.write_json(project.report("summary.json"), summary)
    files.write_text(project.report("index.html"), render(datasets, summary))
    print_summary()
