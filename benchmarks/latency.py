"""How long a trained model takes for a window, from the samples on: earshot beside its ONNX file in onnxruntime.

For the first model of each experiment in this project's data/models, on windows of the dataset's recordings: one
window at a time, and 32 together; one thread each, in turns. Needs `earshot repro`. Writes build/bench/latency.json.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import threadpoolctl
import torch
from measure import in_turns, seconds, table, write

from earshot import files, project
from earshot.audio import decode
from earshot.deploy.onnx.export import export
from earshot.detection.detector import Detector
from earshot.errors import EarshotError, without_traceback
from earshot.processes import keep_memory
from earshot.trained import model_folder, predict

WINDOWS = 32


def windows_of(detector: Detector) -> np.ndarray:
    """Return windows from all over the recordings of a model's dataset; clips as long as the shortest of them."""
    dataset = detector.settings["dataset"]
    manifest = files.read_table(project.data("manifest", f"{dataset}.parquet"))
    paths = [project.data("raw", dataset, path) for path in manifest.loc[manifest["status"] == "read", "path"]]
    sounds = [decode.load(path, detector.sample_rate) for path in paths]
    n_samples = round(detector.length * detector.sample_rate)
    if detector.of_clips:
        n_samples = min(n_samples, *map(len, sounds))
        sounds = [sound[:n_samples] for sound in sounds]
    cut = [sound[first : first + n_samples] for sound in sounds for first in starts(len(sound), n_samples)]
    return np.stack([cut[number] for number in np.linspace(0, len(cut) - 1, WINDOWS).astype(int)])


def starts(length: int, n_samples: int) -> range:
    """Return where windows begin that stand side by side in a sound."""
    return range(0, length - n_samples + 1, n_samples)


def measured(folder: Path) -> dict:
    """Return the milliseconds for a window by each way, and the largest difference of the probabilities."""
    detector = Detector.load(folder)
    samples = windows_of(detector)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    with tempfile.TemporaryDirectory() as place:
        export(folder, Path(place) / "model.onnx")
        session = onnxruntime.InferenceSession(Path(place) / "model.onnx", options)

    def ours(batch: np.ndarray) -> np.ndarray:
        return predict.of_samples(detector.settings, detector.net, batch)

    def theirs(batch: np.ndarray) -> np.ndarray:
        return session.run(None, {"samples": batch})[0]

    def for_a_window(way, size: int) -> float:
        batches = np.split(samples, WINDOWS // size)
        return seconds(lambda: [way(batch) for batch in batches]) * 1000 / WINDOWS

    difference = float(np.abs(ours(samples) - theirs(samples)).max())
    ways = {
        f"{name}, {size}": lambda way=way, size=size: for_a_window(way, size)
        for size in (1, WINDOWS)
        for name, way in (("earshot", ours), ("onnxruntime", theirs))
    }
    seconds_long = samples.shape[1] / detector.sample_rate
    return {"seconds": seconds_long, "milliseconds": in_turns(ways), "difference": difference}


@without_traceback
def main() -> None:
    """Measure, print and write."""
    keep_memory()
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    places = sorted(place for place in project.data("models").glob("*/*") if place.is_dir())
    if not places:
        raise EarshotError(f"{project.data('models')} holds no trained models. Run `earshot repro`")
    found = []
    for place in places:
        about = {"dataset": place.parent.name, "experiment": place.name}
        found.append(about | measured(model_folder.folders(place)[0]))
        print(f"{place.parent.name} {place.name}: difference {found[-1]['difference']:.0e}", flush=True)
    ways = list(found[0]["milliseconds"])
    rows = [
        [one["dataset"], one["experiment"], *(f"{statistics.median(one['milliseconds'][way]):.2f}" for way in ways)]
        for one in found
    ]
    table([["dataset", "experiment", *(f"{way} (ms)" for way in ways)], *rows])
    write("latency", {"windows": WINDOWS, "models": found})


if __name__ == "__main__":
    main()
