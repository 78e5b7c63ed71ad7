"""A trained model as MLflow's pyfunc package."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from earshot import project
from earshot.deploy import backbone
from earshot.detection.detector import GRID
from earshot.detection.rule import point_of
from earshot.settings import CUSTOM
from earshot.trained import model_folder

LIBRARIES = {"onnx": ["onnxruntime"], "tflite": ["ai-edge-litert"]}  # that run a backbone's file
if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def save(folder: Path, to: Path) -> None:
    """Write a trained model as MLflow's pyfunc to the folder `to`: with its code, signature and an input example.

    Parameters
    ----------
    folder : with model.safetensors and config.json

    Raises
    ------
    EarshotError
        If the model takes no sound, but features that were given.
    """
    facts, _ = model_folder.read(folder)
    with tempfile.TemporaryDirectory() as temporary:
        model = Path(shutil.copytree(folder, Path(temporary) / folder.name))
        backbone.carry_along(facts, model)
        _save(facts, model, to)


def _save(facts: dict[str, Any], model: Path, to: Path) -> None:
    import mlflow.pyfunc

    card, rate = backbone.card_of(facts), model_folder.input_of(facts).sample_rate
    tone = 0.1 * np.sin(2 * np.pi * 440 / rate * np.arange(round(facts["seconds"] * rate)))
    mlflow.pyfunc.save_model(
        to,
        python_model=str(Path(__file__).parent / "pyfunc.py"),
        artifacts={"model": str(model)},
        code_paths=_code(facts),
        pip_requirements=_requirements(LIBRARIES.get(card.network.kind, []) if card else []),
        signature=signature(facts),
        input_example=pd.DataFrame({"samples": [tone.round(6).tolist()], "sample_rate": [rate]}),
        metadata={
            "classes": facts["classes"],
            "sample_rate": rate,
            **{name: facts[name] for name in (GRID, "operating_point", "calibration") if name in facts},
            **({"backbone": card.name, "backbone_licence": card.licence} if card else {}),
        },
    )


def _code(facts: dict[str, Any]) -> list[str]:
    """Return the packages that a model needs: earshot, and the user's `custom` where its input or class is of there."""
    targets = [facts[part]["_target_"] for part in ("input", "model")]
    of_user = any(target.startswith(f"{CUSTOM}.") for target in targets)
    return [str(Path(__file__).parent.parent), *([str(project.root() / CUSTOM)] if of_user else [])]


def signature(facts: dict[str, Any]) -> ModelSignature:
    """Return the signature of a served model, whose config.json holds `facts`.

    Inputs: rows with `audio` (a file of any format, base64), or `samples` (mono, full scale 1) and `sample_rate` (Hz).
    Parameters: those of `detection.rule.Rule`, by default of the model's operating point where it has one. Outputs: for
    each row the fields of `detection.answer.Answer` and label.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map, Object, Property

    event = {"start": DataType.double, "end": DataType.double, "label": DataType.string, "confidence": DataType.double}
    return ModelSignature(
        Schema(
            [
                ColSpec(DataType.string, "audio", required=False),
                ColSpec(Array(DataType.double), "samples", required=False),
                ColSpec(DataType.long, "sample_rate", required=False),
            ]
        ),
        Schema(
            [
                ColSpec(DataType.string, "label"),
                ColSpec(DataType.double, "seconds"),
                ColSpec(DataType.long, "windows"),
                ColSpec(Map(DataType.double), "scores"),
                ColSpec(Array(Object([Property(name, kind) for name, kind in event.items()])), "events"),
            ]
        ),
        ParamSchema([ParamSpec(name, DataType.double, default) for name, default in point_of(facts).items()]),
    )


def _requirements(more: list[str]) -> list[str]:
    """Return earshot's own requirements, and some more, each in the version that is installed."""
    names = [
        re.match(r"[\w.-]+", line).group() for line in importlib.metadata.requires("earshot") if "extra" not in line
    ]
    names += more
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]
