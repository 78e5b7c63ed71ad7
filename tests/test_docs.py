"""What the documents say can be done: their commands exist, their cards load, their links lead somewhere."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from conftest import PROJECT
from earshot.cli import main
from earshot.datasets.card import Card
from earshot.settings import check_overrides, compose
from earshot.training import augmenting, options

DOCS = PROJECT / "docs"
DOCUMENTS = [PROJECT / "README.md", *sorted(DOCS.glob("*.md")), DOCS / "tour.ipynb", PROJECT / "data" / "README.md"]
# Commands that tests run: make's targets call earshot and pytest, `dvc repro` is test_pipeline's.
RUN_ELSEWHERE = [
    r"dvc metrics show",
    r"dvc repro --force --single-item (download@\w+|compare)",
    r"dvc exp( (show|apply|remove) .*)?",  # test_experiments, as those below
    r"dvc queue (start|status|logs [\w-]+)",
    r"dvc (params|metrics|plots) diff HEAD .*",
    r"dvc remote (add --default store|modify store endpointurl) \S+",
    r"dvc remote modify --local",  # a mention
    r"dvc (checkout|pull|push|status)",
    r"git (add dvc\.lock|checkout \.|commit .*|status --short)",
    r"mlflow models serve -m models:/\w+@champion --env-manager local",  # test_served
    r"dask (scheduler|worker) --host 127\.0\.0\.1 .*",  # test_cluster
    r"pip install dask-kubernetes",
    r"createdb earshot|export [A-Z_]+=\S+",  # of docs/storage.md, which tests of stores that are shared set
    r"python3 -m venv \.venv && source \.venv/bin/activate|cd my_project",  # test_pythons, as those below
    r"pip install (torch==[\d.]+|--no-deps (--require-hashes -r requirements\.txt|--no-build-isolation --editable \.))",
    r"pip install (--upgrade )?earshot-[\d.]+-py3-none-any\.whl",  # test_own_project
    r"pip install -e '\.\[(cluster|onnx|postgres,s3|s3|tflite)\]'",  # `make install` takes [dev], where it is, too
]


def text(path: Path) -> str:
    """Return what a document says; of a notebook, without its code."""
    if path.suffix != ".ipynb":
        return path.read_text()
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def blocks(language: str) -> list[tuple[Path, str]]:
    fences = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(path, block) for path in DOCUMENTS for block in fences.findall(text(path))]


def commands() -> list[str]:
    lines = [line for _, block in blocks("sh") for line in block.splitlines()]
    lines += [line[2:] for _, block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    inline = [
        code
        for path in DOCUMENTS
        for code in re.findall(r"`((?:make|dvc|earshot|python -m|python) [^`]+)`", text(path))
    ]
    return sorted({" ".join(line.split("#")[0].split()) for line in lines + inline} - {""})


@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_that_works(command):
    command = re.sub(r"^([A-Z_]+=\S+ )+", "", command).rpartition(" | ")[2]
    if command.startswith("make "):
        subprocess.run(["make", "--dry-run", *command.split()[1:]], cwd=PROJECT, check=True, capture_output=True)
    elif command.startswith("earshot train "):
        overrides = [word for word in shlex.split(command)[2:] if word != "-m"]
        check_overrides(overrides)
        parsed = OverridesParser.create().parse_overrides([one for one in overrides if not one.startswith("hydra")])
        for run in BasicSweeper.split_arguments(parsed, max_batch_size=None)[0]:
            cfg = compose(run)
            assert cfg.seed in (0, 1, 2) and options.of(cfg) and augmenting.asked(cfg)
    elif command.startswith("python -m earshot."):
        module, *arguments = command.split()[2:]
        if module == "earshot.stages":
            module, *arguments = f"{module}.{arguments[0]}", *arguments[1:]
        with importlib.import_module(module).main.make_context(module, arguments):
            pass
    elif command.startswith("dvc exp run"):  # which test_experiments does with these options
        for setting in re.findall(r"-S '?([^'\s=]+)=", command):
            file, _, key = setting.rpartition(":")
            assert OmegaConf.select(OmegaConf.load(PROJECT / (file or "params.yaml")), key) is not None, setting
    elif command.startswith("python benchmarks/"):
        assert (PROJECT / command.split()[1]).exists()
    elif command.startswith("python -m tools."):
        assert (PROJECT / "tools" / f"{command.split()[2].removeprefix('tools.')}.py").exists()
    elif command.startswith("earshot "):
        name, *arguments = command.split()[1:]
        assert name in main.main.commands
        if not arguments:
            return  # a mention
        with main.main.commands[name].make_context(name, [*arguments]):
            pass  # its options exist; that they work is for the tests of each
    else:
        assert command == "dvc repro" or any(re.fullmatch(pattern, command) for pattern in RUN_ELSEWHERE), command


def test_the_cards_in_the_documents_load():
    cards = [content for _, block in blocks("yaml") if "citation" in (content := yaml.safe_load(block))]
    assert len(cards) == 7
    for content in cards:
        assert Card(name="mine", **content).holds_recordings


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text(path)):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target


def test_the_settings_the_documents_name_exist():
    everything = " ".join(map(text, DOCUMENTS))
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for section, key in re.findall(r"`(split|manifest|features|audio|noise)\.(\w+)`", everything):
        assert key in params[section]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_files_of_the_project_that_a_document_names_exist(path):
    named = re.findall(r"`((?:src|conf|tests|tools|benchmarks)/[\w./-]+)`", text(path))
    assert not [name for name in named if not (PROJECT / name).exists() and "_tuned" not in name and "my_" not in name]


def test_the_glossary_names_files_that_exist():
    columns = [line.split("|")[-2] for line in text(DOCS / "glossary.md").splitlines() if line.startswith("| ")]
    named = [name for column in columns for name in re.findall(r"`([\w/]+(?:/|\.py))`", column)]
    named = [name for name in named if not name.startswith(("conf/", "data/"))]
    assert len(named) > 30 and not [name for name in named if not (PROJECT / "src" / "earshot" / name).exists()]
