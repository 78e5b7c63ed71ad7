"""docs/results.md: from the files that a run wrote, with what made them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from earshot import files, provenance
from earshot.cli import main
from earshot.pages import numbers
from earshot.report.terminal import print_inflation
from earshot.stages import compare
from test_compare import sirens


@pytest.fixture
def done(tmp_path, monkeypatch):
    """A project with results, and a call that is recorded."""
    sample = sirens(tmp_path, monkeypatch).write()
    compare.main.callback()
    provenance.record("earshot repro", 421.2, 0)
    return sample


def write(*arguments: str) -> str:
    found = CliRunner().invoke(main.main, ["results", *arguments])
    assert found.exit_code == 0, found.output
    return found.output


def test_every_number_comes_from_the_summary(done):
    write()
    text = (done.root / "docs" / "results.md").read_text()
    summary = json.loads((done.root / "data" / "report" / "summary.json").read_text())
    for row in summary["scores"]:
        assert f"{row['accuracy']:.3f} [{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]" in text
    assert text.count("| waveform-cnn | as_coded | 0.770 |") == 1, "the tutorial's figure stands beside ours"
    assert "synthetic_sirens (synthetic)" in text and "## Synthetic recordings" in text
    assert "no noise | 0 dB |" in text and "| log_mel-cnn | other_town |" in text


def test_the_tutorials_results_stand_in_one_table(tmp_path, monkeypatch):
    sample = sirens(tmp_path, monkeypatch)
    sample.datasets = {"sirens_standin": ["a", "b"]}
    sample.write()
    compare.main.callback()
    write()
    text = (sample.root / "docs" / "results.md").read_text()
    assert "## Real recordings" in text and "| sirens-waveform-cnn | 0.770 | sirens_standin | 0." in text


def test_the_audit_prints_how_much_is_inflation(done, capsys):
    print_inflation("synthetic_sirens")
    row = json.loads((done.root / "data" / "report" / "summary.json").read_text())["inflation"][0]
    assert numbers.signed(row["difference"]) in capsys.readouterr().out
    print_inflation("another")
    assert capsys.readouterr().out == ""


def test_command_commit_machine_and_duration_are_told(done):
    write()
    text = (done.root / "docs" / "results.md").read_text()
    (call,) = provenance.recorded(done.root)
    assert f"`earshot repro`: 7 min, ended {call['ended']}, commit {call['commit']}, {provenance.machine()}" in text
    assert "cores of" in call["machine"] and len(call["commit"]) >= 7


def test_a_search_stands_beside_what_it_started_from(done):
    found = {"command": "earshot search x", "commit": "c", "machine": "m", "dataset": "d", "metric": "accuracy"}
    found |= {"trials": 30, "given_up": 12, "before": 0.8226, "best": 0.8764, "settings": {"optimizer.lr": 0.0039323}}
    files.write_json(done.root / "data" / "search" / "d" / "x.json", found)
    write()
    text = (done.root / "docs" / "results.md").read_text()
    row = "| `earshot search x` | d | 30 (12) | accuracy | 0.823 | 0.876 | optimizer.lr=0.003932 |"
    assert row in text and "- `earshot search x`: commit c, m" in text


def test_several_projects_on_one_page(done, tmp_path):
    write(str(done.root))
    assert (done.root / "docs" / "results.md").read_text().count("## Synthetic recordings") == 2


def test_a_project_without_results_is_one_clear_error(done, tmp_path):
    found = CliRunner().invoke(main.main, ["results", str(tmp_path / "nothing")])
    assert found.exit_code == 1 and "summary.json is missing. Run `dvc repro`" in found.output


@pytest.mark.parametrize(
    "edit",
    [
        lambda summary: summary.update(elsewhere=summary.pop("cross_dataset")),
        lambda summary: [row.update(wiring="published") for row in summary["scores"]],
        lambda summary: summary.pop("contrasts"),
    ],
)
def test_results_of_an_earlier_version_are_one_clear_error(done, edit):
    path = done.root / "data" / "report" / "summary.json"
    summary = json.loads(path.read_text())
    edit(summary)
    path.write_text(json.dumps(summary))
    found = CliRunner().invoke(main.main, ["results", str(done.root)])
    assert found.exit_code == 1 and "Traceback" not in found.output
    assert f"{path} was written by an earlier version of earshot. Run `dvc repro`" in found.output.replace("\n", " ")


def test_results_that_are_damaged_are_one_clear_error(done):
    (done.root / "data" / "report" / "summary.json").write_text("{")
    found = CliRunner().invoke(main.main, ["results"])
    assert found.exit_code == 1 and "can't be read" in found.output


def test_contrasts_are_put_into_words(done):
    assert "With log_mel" not in (write(), (done.root / "docs" / "results.md").read_text())[1]
    done.contrasts = [{"input": ["waveform", "log_mel"]}]
    done.write_params()
    compare.main.callback()
    write()
    assert (
        "- With log_mel instead of waveform, same model, grouped: cnn "
        in (done.root / "docs" / "results.md").read_text()
    )


def test_calls_are_kept_in_order(done):
    provenance.record("earshot repro", 3.0, 1)
    assert [call["status"] for call in provenance.recorded(done.root)] == [0, 1]
