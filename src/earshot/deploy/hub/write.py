"""Writing a folder for a model hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jinja2
import yaml

from earshot import project
from earshot.datasets.card import Card, load_card
from earshot.deploy import backbone
from earshot.deploy.onnx.export import export
from earshot.errors import EarshotError
from earshot.files import copy, temporary_name, write_text
from earshot.report.scores import read_summary
from earshot.trained import model_folder

HERE = Path(__file__).parent


def write(folder: Path, to: Path) -> None:
    """Write a trained model, its card and a script that runs it.

    Parameters
    ----------
    folder : of the trained model, with config.json and model.safetensors
    to : a folder that is not there yet

    Raises
    ------
    EarshotError
        If the first holds no model, the second is there, or what writes ONNX is not installed.
    """
    if to.exists():
        raise EarshotError(f"{to} is there already: remove it, or name another folder")
    settings, _ = model_folder.read(folder)
    made = temporary_name(to)
    try:
        export(folder, made / "model.onnx")
        for name in model_folder.FILES:
            copy(folder / name, made / name)
        backbone.carry_along(settings, made)
        copy(HERE / "predict.py", made / "predict.py")
        write_text(made / "README.md", card(settings))
        made.rename(to)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def card(settings: dict[str, Any]) -> str:
    """Return the README.md of a model, whose config.json holds `settings`: metadata for hubs, then words."""
    dataset, scores = _dataset(settings["dataset"]), _scores(settings)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters["score"] = _shown
    return environment.get_template("README.md.j2").render(
        metadata=yaml.safe_dump(_metadata(settings, dataset, scores), sort_keys=False, allow_unicode=True),
        name=_name(settings),
        settings=settings,
        sample_rate=model_folder.input_of(settings).sample_rate,
        dataset=dataset,
        scores=scores,
        warnings=_warnings(settings["dataset"]),
        backbone=backbone.card_of(settings),
    )


def _shown(row: dict[str, Any], name: str) -> str:
    """Return a score of a row with its interval, where it has one."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _name(settings: dict[str, Any]) -> str:
    return f"{settings['dataset']}-{settings['input']['input']}-{settings['model']['name']}"


def _dataset(name: str) -> Card | None:
    """Return the card of what a model was trained on; None where the model came here without it."""
    try:
        return load_card(name)
    except EarshotError:
        return None


def _scores(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of the comparison for the experiment that a model is of, `tested` each; none without one."""
    experiment = {
        "dataset": settings["dataset"],
        "input": settings["input"]["input"],
        "model": settings["model"]["name"],
        "wiring": settings.get("wiring"),
    }
    try:
        summary = read_summary()
    except EarshotError:
        return []
    rows = [{**row, "tested": row["protocol"], "elsewhere": False} for row in summary["scores"]]
    rows += [{**row, "tested": f"on {', '.join(row['on'])}", "elsewhere": True} for row in summary["elsewhere"]]
    return [row for row in rows if experiment.items() <= row.items()]


def _warnings(dataset: str) -> list[str]:
    path = project.manifest_counts(dataset)
    return json.loads(path.read_text("utf-8"))["warnings"] if path.exists() else []


def _metadata(settings: dict[str, Any], dataset: Card | None, scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what hubs read: https://huggingface.co/docs/hub/model-cards."""
    task, name = "audio-classification", dataset.title if dataset else settings["dataset"]
    results = [
        {
            "task": {"type": task},
            "dataset": {"name": name, "type": settings["dataset"], "split": row["tested"]},
            "metrics": [
                {"type": "accuracy", "value": row["accuracy"]},
                {"type": "f1", "name": "macro-F1", "value": row["macro_f1"]},
            ],
        }
        for row in scores
    ]
    return {
        "license": "other",
        "license_name": "see-the-data",
        "library_name": "onnxruntime",
        "pipeline_tag": task,
        "tags": ["earshot", *([dataset.task] if dataset and dataset.task else [])],
        **({"model-index": [{"name": _name(settings), "results": results}]} if results else {}),
    }
