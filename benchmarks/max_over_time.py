"""How much faster `MaxOverTime` trains than the five layers it stands for, both in this run.

python benchmarks/max_over_time.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn import functional

from earshot.models.max_over_time import MaxOverTime
from earshot.process import keep_memory

STEPS = 20


def five_layers(convolution: torch.nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """Convolution, ReLU, dropout, max-pooling and the maximum, one after another."""
    outputs = functional.dropout(torch.relu(convolution(x)), 0.3)
    return functional.max_pool1d(outputs, 2).amax(dim=-1)


def seconds_a_step(step: Callable, x: torch.Tensor) -> float:
    """Return the median over `STEPS` steps, forwards and backwards."""
    taken = []
    for _ in range(STEPS + 1):
        start = time.perf_counter()
        step(x).sum().backward()
        taken.append(time.perf_counter() - start)
    return sorted(taken[1:])[STEPS // 2]


def compare(shape: tuple[int, int, int], memory: str) -> None:
    """Print both times and their ratio for windows of shape (B, F, T)."""
    x = torch.randn(shape)
    layer = MaxOverTime(torch.nn.Conv1d(shape[1], 16, 11, padding=5), dropout=0.3).train()
    one, five = seconds_a_step(layer, x), seconds_a_step(partial(five_layers, layer.convolution), x)
    print(f"{shape}, {memory}: five layers {five * 1e3:.0f} ms, MaxOverTime {one * 1e3:.0f} ms, ratio {five / one:.1f}")


def main() -> None:
    """Compare for the tutorial's two inputs, without and with `keep_memory`."""
    torch.set_num_threads(1)
    shapes = [(32, 1, 32000), (32, 161, 199)]
    for shape in shapes:
        compare(shape, "memory given back")
    keep_memory()
    for shape in shapes:
        compare(shape, "memory kept")


if __name__ == "__main__":
    main()
