"""Backbones in a file that another library runs: ONNX by onnxruntime, TensorFlow Lite by LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from earshot.backbones.backbone import Run
from earshot.backbones.card import Graph
from earshot.errors import EarshotError

AS_LOGITS = 60.0  # a larger one's probability is 1 in float32, and exp would overflow


def runner(path: Path, graph: Graph) -> Run:
    """Return the function that computes what the graph gives, averaged over the stretches of each window.

    Raises
    ------
    EarshotError
        If the library is not installed, or the file isn't what the card says.
    """
    compute = {"onnx": _onnx, "tflite": _tflite}[graph.kind](path)
    outputs = {name: number for name in ("embedding", "scores") if (number := getattr(graph, name)) is not None}

    def run(samples: np.ndarray) -> dict[str, np.ndarray]:
        found: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
        for window in samples:
            given = [compute(stretch) for stretch in stretches(window, graph)]
            for name, number in outputs.items():
                found[name].append(np.mean([each[number].reshape(-1) for each in given], axis=0))
        numbers = {name: np.stack(values).astype(np.float32) for name, values in found.items()}
        if graph.logits and "scores" in numbers:
            numbers["scores"] = 1 / (1 + np.exp(-numbers["scores"].clip(-AS_LOGITS, AS_LOGITS)))
        return numbers

    return run


def stretches(window: np.ndarray, graph: Graph) -> np.ndarray:
    """Cut a window, (n,), into what the graph takes: (stretches, graph.samples)."""
    if len(window) < graph.samples:
        return np.pad(window, (0, graph.samples - len(window)))[None]
    return np.lib.stride_tricks.sliding_window_view(window, graph.samples)[:: graph.hop]


def _onnx(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    try:
        import onnxruntime
    except ImportError:
        raise EarshotError(f"{path.name} needs onnxruntime: pip install -e '.[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors are of many kinds
        raise EarshotError(f"{path} is no ONNX file that onnxruntime can run ({error})") from None
    taken = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else -1 for size in taken.shape]
    return lambda stretch: session.run(None, {taken.name: _shaped(stretch, shape)})


def _shaped(stretch: np.ndarray, shape: list[int]) -> np.ndarray:
    """Return samples, (n,), with as many dimensions as the graph takes, all others of size 1."""
    return stretch.astype(np.float32).reshape([1] * (len(shape) - 1) + [-1])


def _tflite(path: Path) -> Callable[[np.ndarray], list[np.ndarray]]:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise EarshotError(f"{path.name} needs LiteRT: pip install -e '.[tflite]'") from None
    try:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    except ValueError as error:
        raise EarshotError(f"{path} is no TensorFlow Lite file that LiteRT can run ({error})") from None
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()

    def compute(stretch: np.ndarray) -> list[np.ndarray]:
        interpreter.set_tensor(taken["index"], _shaped(stretch, list(taken["shape"])))
        interpreter.invoke()
        return [interpreter.get_tensor(each["index"]) for each in given]

    return compute
