"""docs/extending.md does what it says: an input and a model of the user's own, from features to the comparison."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conftest import PROJECT, Project, forget_custom, invoke, new_store, started
from earshot import inputs
from earshot.batches import prepare
from earshot.deploy.onnx.graph import Graph
from earshot.deploy.package import _code
from earshot.errors import EarshotError
from earshot.settings import compose
from earshot.trained import model_folder
from earshot.training import run_cache
from tiny import FEATURES, RATE, long_recordings

NEW = "band_power-conv_gru"

pytestmark = pytest.mark.process


def files_in_the_document() -> list[tuple[str, str]]:
    """Return the files that the document shows, as (path, content): code after its path, YAML that begins with it."""
    text = (PROJECT / "docs" / "extending.md").read_text()
    code = re.findall(r"^`(custom/\w+\.py)`:\n\n```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return code + re.findall(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def write(project: Project) -> None:
    """Write the document's files into a project; what is for params.yaml is added to it."""
    for name, content in files_in_the_document():
        if name != "params.yaml":
            (project.root / name).write_text(content)
            continue
        (section, added), *more = yaml.safe_load(content).items()
        assert not more
        project.params(**{section: project.params()[section] | added})


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Iterator[Project]:
    """A project that has what the document adds, and has been through the stages with the new ones beside the old."""
    root = tmp_path_factory.mktemp("extended")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(sys, "path", sys.path[:])
        forget_custom()
        made = small_project(root)
        new_store(made.data("mlflow", "mlflow.db"))
        write(made)
        added = made.params()["experiments"]
        assert "band_power" in added["over_time"]["inputs"] and "conv_gru" in added["convolved"]["models"]
        pairs = {"over_time": {"inputs": ["log_mel", "band_power"], "models": ["cnn", "conv_gru"]}}
        made.params(experiments=pairs, protocols=["grouped"], seeds=[0])
        for model in ("cnn", "conv_gru"):
            path = root / "conf" / "model" / f"{model}.yaml"
            path.write_text(re.sub(r"max_epochs: \d+", "max_epochs: 2", path.read_text()))
        stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
        for name in [name for name in stages if name not in ("code", "download")]:
            command = importlib.import_module(f"earshot.stages.{name}").main
            few = ["--workers", "1"] if "workers" in {option.name for option in command.params} else []
            invoke(command, *([] if name == "compare" else ["horns"]), *few)
        yield made
        forget_custom()


def small_project(root: Path) -> Project:
    """Make a project with one small dataset, and nothing computed of it."""
    made = Project(root)
    params = made.params()
    features = params["features"] | {"log_mel": params["features"]["log_mel"] | FEATURES["log_mel"]}
    split = params["split"] | {"block_seconds": 6.0, "folds": {"default": 3}}
    made.params(datasets=["horns"], audio={"sample_rate": RATE}, features=features, split=split)
    long_recordings(made, ".", made.data("raw", "horns"), 40)
    return made


def test_the_new_input_and_model_stand_in_the_comparison(extended):
    rows = json.loads(extended.data("report", "comparison.json").read_text())
    pairs = {(row["input"], row["model"]) for row in rows}
    assert pairs == {(source, model) for source in ("log_mel", "band_power") for model in ("cnn", "conv_gru")}
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    assert extended.data("metrics", "horns", f"{NEW}.json").exists()


@pytest.mark.long
def test_the_line_of_the_document_trains(extended):
    (line,) = re.findall(r"^earshot (train .*)$", (PROJECT / "docs" / "extending.md").read_text(), re.MULTILINE)
    with started(
        "-m", "earshot.cli", *line.split(), cwd=extended.root, env=os.environ | {"EARSHOT_ROOT": str(extended.root)}
    ) as process:
        said, _ = process.communicate()
    assert process.returncode == 0 and b"validation accuracy" in said, said


def test_a_run_depends_on_the_code_of_its_own_classes(extended):
    cfg = compose([f"experiment=sirens-{NEW}"])
    data = prepare.load(cfg)
    assert {"custom.conv_gru", "custom.band_power"} < set(run_cache.modules(cfg, data))
    before, path = run_cache.facts(cfg, data), extended.root / "custom" / "conv_gru.py"
    whole = path.read_text()
    (extended.root / "custom" / "layers.py").write_text("GATES = 3\n")
    path.write_text(whole.replace("import torch\n", "import torch\n\nfrom .layers import GATES\n", 1))
    forget_custom()
    imported = run_cache.facts(cfg, data)
    (extended.root / "custom" / "layers.py").write_text("GATES = 4\n")
    forget_custom()
    changed = run_cache.facts(cfg, data)
    path.write_text(whole)
    (extended.root / "custom" / "layers.py").unlink()
    assert before["code"] != imported["code"] != changed["code"] != before["code"]
    assert before["settings"] == changed["settings"]


def test_a_champion_takes_the_code_along_and_onnx_is_refused(extended):
    (folder, *_) = model_folder.folders(extended.data("models", "horns", NEW))
    settings, weights = model_folder.read(folder)
    assert str(extended.root / "custom") in _code(settings)
    net = model_folder.restore(settings, weights)
    with pytest.raises(EarshotError, match="input BandPower can't be exported to ONNX, only Embedding, LogMel, .* can"):
        Graph(model_folder.input_of(settings), net)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("class Net: pass", "is no torch.nn.Module"),
        ("from nowhere import Net", "can't be imported: No module named 'nowhere'"),
        ("class Net(:", "can't be imported: .*syntax"),
        ("from collections import OrderedDict as Net", "has no class of its own with that name"),
    ],
)
def test_a_model_that_is_none_is_refused_in_a_line(extended, code, said):
    forget_custom()
    (extended.root / "custom" / "broken.py").write_text(code)
    (extended.root / "conf" / "model" / "broken.yaml").write_text("name: broken\n_target_: custom.broken.Net\n")
    with pytest.raises(EarshotError, match=f"conf/model/broken.yaml: _target_ .*{said}"):
        run_cache.modules(compose(["experiment=sirens-log_mel-cnn", "model=broken"]), None)


def test_an_input_that_is_none_is_refused_in_a_line(extended):
    (extended.root / "custom" / "half.py").write_text("class Half:\n    def extract(self, samples): ...\n")
    params = extended.params()
    params["features"]["half"] = {"_target_": "custom.half.Half"}
    with pytest.raises(EarshotError, match="features.half in params.yaml: .*is no input.*lacks standardised, columns"):
        inputs.build("half", params, "sirens", False)
