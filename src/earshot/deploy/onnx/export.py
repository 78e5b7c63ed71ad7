"""Writing a trained model to an ONNX file."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from earshot.deploy import backbone
from earshot.deploy.onnx.graph import Graph
from earshot.detection.detector import GRID, Detector
from earshot.errors import EarshotError
from earshot.files import replacing
from earshot.trained import model_folder, predict

if TYPE_CHECKING:
    from torch.onnx import ONNXProgram


def export(folder: Path, to: Path) -> None:
    """Write a trained model, and all that comes before it, to an ONNX file.

    The file's input `samples`, float32 of shape (windows, samples), and its output `probabilities`, float32 of shape
    (windows, classes), are those of `predict.of_samples`, for any number of windows. Its metadata tell what one has to
    know to use it, see `about`. A model of frames has a second output `frames`, (windows, frames, classes), and hears
    as many samples at a time as its metadata say. The same model gives the same bytes.

    Parameters
    ----------
    folder : of the trained model, with config.json and model.safetensors
    to : the file

    Raises
    ------
    EarshotError
        If the folder holds no model, or what writes ONNX is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  torch writes ONNX with it
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    except ImportError as error:
        raise EarshotError(f"earshot export needs {error.name}: pip install -e '.[onnx]'") from None
    detector = Detector.load(folder)
    program = _program(detector)
    ClearMetadataAndDocStringPass()(program.model)  # the exporter notes there which line of which file a node is from
    program.model.metadata_props.update(about(detector))
    with replacing(to) as temporary:
        program.save(temporary)
        onnx.checker.check_model(temporary, full_check=True)


def about(detector: Detector) -> dict[str, str]:
    """Return what one has to know to use a model: text, and what is not text as JSON.

    classes : in the order of the probabilities
    thresholds : of a multi-label model, the probability from which each class is predicted
    sample_rate : of the samples, in Hz; they are mono and full scale is 1
    seconds, hop : of a window, and from one to the next, as in training or at the operating point
    frames : of a model that has frames, their `step`, and the `seconds` that are heard at a time with the `margin` at
        both ends of them, see `detection.contexts`; `hop` is what lies between the margins
    operating_point : of a model that has one, the rule by which its scores become events, see `detection.rule`
    calibration : of a model that has one, what the probabilities were calibrated by
    dataset, input, model : what it was trained on, and what it is
    backbone, backbone_licence : of a model of a backbone, whose weights are in the file
    """
    settings = detector.settings
    return {
        "classes": json.dumps(detector.classes, ensure_ascii=False),
        **({"thresholds": json.dumps(settings["thresholds"])} if predict.is_multi_label(settings) else {}),
        "sample_rate": json.dumps(detector.sample_rate),
        "seconds": json.dumps(detector.length),
        "hop": json.dumps(detector.hop or round(detector.length - 2 * detector.grid["margin"], 6)),
        **{name: json.dumps(settings[name]) for name in (GRID, "operating_point", "calibration") if name in settings},
        "dataset": settings["dataset"],
        "input": settings["input"]["input"],
        "model": settings["model"]["name"],
        **_backbone(settings),
    }


def _backbone(settings: dict[str, Any]) -> dict[str, str]:
    if (card := backbone.card_of(settings)) is None:
        return {}
    return {"backbone": card.name, "backbone_licence": card.licence}


def _program(detector: Detector) -> ONNXProgram:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is not installed
    built = model_folder.input_of(detector.settings)
    n_samples = round(detector.length * detector.sample_rate)
    # clips may be shorter or longer than that, windows not
    names = {0: "windows", 1: "samples"} if detector.of_clips else {0: "windows"}
    sizes = dict.fromkeys(names, torch.export.Dim.DYNAMIC)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's about its own future
        found = torch.export.export(
            Graph(
                built,
                detector.net,
                predict.is_multi_label(detector.settings),
                detector.settings.get("calibration"),
                frames=bool(detector.grid),
            ).eval(),
            (torch.zeros(2, n_samples),),
            dynamic_shapes=(sizes,),
        )
        return torch.onnx.export(
            found,
            input_names=["samples"],
            output_names=["probabilities", *([GRID] if detector.grid else [])],
            dynamic_shapes=(names,),
            external_data=False,
            verbose=False,
            optimize=False,  # it takes a number below 1e-8 for zero; onnxruntime optimizes what it loads by itself
        )
