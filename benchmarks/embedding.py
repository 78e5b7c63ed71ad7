"""CPU seconds of one core for the embeddings of an hour of sound: earshot beside the original way in plain torch.

Windows of 2 s, one every second, of `mn04_as`. The original way is EfficientAT's: its front end (`AugmentMelSTFT` in
evaluation: mel filters made anew in each call) and the network as it was trained, batch norms on their own, 32 or 8
windows at a time and window by window. All in one process with one thread, in turns. The backbone is fetched where it
isn't here (EARSHOT_MIRROR). Writes build/bench/embedding.json.

    python benchmarks/embedding.py [MINUTES [REPEATS]]

MINUTES of noise are embedded, and what they take is told for an hour.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
import threadpoolctl
import torch
from measure import in_turns, ratio, table, write
from torch.nn import functional

from earshot import backbones
from earshot.backbones import mobilenet
from earshot.backbones.fetch import files_of
from earshot.efficientat import mel
from earshot.errors import without_traceback
from earshot.inputs.embedding import Embedding
from earshot.processes import keep_memory

BACKBONE, LENGTH, HOP = "mn04_as", 2.0, 1.0
BATCH, FEW = 32, 8  # windows; few fit a core's cache
HOUR = 3600.0
OURS = "earshot"
BLOCK = 2**20  # samples, as a recording is read


def mel_of_original(samples: torch.Tensor, window: torch.Tensor, pre_emphasis: torch.Tensor) -> torch.Tensor:
    """Return the log-mel spectrogram as `AugmentMelSTFT.forward` does: (B, n) -> (B, 128, T)."""
    emphasised = functional.conv1d(samples[:, None], pre_emphasis)[:, 0]
    spectrum = torch.stft(
        emphasised, mel.N_FFT, mel.HOP, mel.WINDOW, window, center=True, normalized=False, return_complex=True
    )
    power = torch.view_as_real(spectrum).square().sum(dim=-1)
    found = torch.log(mel.mel_filters().T @ power + mel.LEAST)
    return (found + mel.SHIFT) / mel.SCALE


def original(network: torch.nn.Module, samples: np.ndarray, batch: int) -> np.ndarray:
    """Return the embeddings of all windows, `batch` of them at a time."""
    window, pre_emphasis = torch.hann_window(mel.WINDOW, periodic=False), torch.tensor([[[-mel.PRE_EMPHASIS, 1.0]]])
    n, hop = round(LENGTH * mel.SAMPLE_RATE), round(HOP * mel.SAMPLE_RATE)
    windows, found = np.lib.stride_tricks.sliding_window_view(samples, n)[::hop], []
    with torch.inference_mode():
        for first in range(0, len(windows), batch):
            given = torch.from_numpy(windows[first : first + batch].copy())
            found.append(network.embed(mel_of_original(given, window, pre_emphasis)).numpy())
    return np.concatenate(found)


def blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """Yield a recording in blocks."""
    yield from np.split(samples, range(BLOCK, len(samples), BLOCK))


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the seconds that the processor works on `work`, whatever else the machine does."""
    start = time.process_time()
    work()
    return time.process_time() - start


@without_traceback
def main() -> None:
    """Measure, print and write."""
    minutes, repeats = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, int((*sys.argv, 5, 5)[2])
    keep_memory()
    threadpoolctl.threadpool_limits(1)
    torch.set_num_threads(1)
    card = backbones.load_card(BACKBONE)
    network = mobilenet.network(files_of(BACKBONE)[0], card)
    built = Embedding(BACKBONE, card.digest, card.sample_rate, LENGTH, HOP)
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(minutes * 60 * card.sample_rate))).astype(np.float32)
    work = {
        OURS: lambda: np.concatenate(list(built.rows(blocks(samples)))),
        f"original, {BATCH} at a time": lambda: original(network, samples, BATCH),
        f"original, {FEW} at a time": lambda: original(network, samples, FEW),
        "original, window by window": lambda: original(network, samples, 1),
    }
    values = {name: compute() for name, compute in work.items()}  # the first time is not measured
    difference = {name: float(np.abs(found - values[OURS]).max()) for name, found in values.items()}
    n = len(values[OURS])
    ways = {name: lambda each=each: cpu_seconds(each) * HOUR / n for name, each in work.items()}
    found = in_turns(ways, repeats)
    rows = [
        [name, f"{statistics.median(took):.1f}", f"{ratio(took, found[OURS]):.1f}", f"{difference[name]:.0e}"]
        for name, took in found.items()
    ]
    table([["way", "s for an hour", "by earshot's", "largest difference"], *rows])
    largest = float(np.abs(values[OURS]).max())
    write("embedding", {"windows": n, "seconds": found, "difference": difference, "largest_value": largest})


if __name__ == "__main__":
    main()
