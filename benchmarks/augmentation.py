"""How long augmentation takes for a batch of 32 windows of 2 s, on one core, beside a step of the tutorial's CNN.

python benchmarks/augmentation.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from omegaconf import OmegaConf

from earshot import models
from earshot.augment import Augmenter, settings
from earshot.settings import compose

BATCH, SECONDS = 32, 2
RATES = (16000, 32000)
ROWS = (97, 128)  # log_mel's
REPEATS = 7


def shortest(call: Callable[[int], object]) -> float:
    """Return the milliseconds of processor time of the quickest of some calls, each with its number."""
    call(0)
    found = []
    for number in range(REPEATS):
        begun = time.thread_time()
        call(number)
        found.append(time.thread_time() - begun)
    return 1000 * min(found)


def step(n_rows: int, n_bins: int) -> float:
    """Return the milliseconds of a training step of the tutorial's CNN."""
    cnn = OmegaConf.to_container(compose([]).model)
    net = models.faster(models.build(cnn, False, n_rows, n_bins, 2))
    x = torch.randn(BATCH, n_rows, n_bins)
    return shortest(lambda _: net(x).sum().backward())


def augmented(name: str, n_rows: int, n_bins: int, rate: int) -> float:
    """Return the milliseconds of a file of conf/augmentation/."""
    chosen = OmegaConf.to_container(compose([f"augmentation={name}"]).augmentation)
    augment = Augmenter(settings.read(chosen), 0, rate, torch.zeros(n_bins))
    x = 0.1 * torch.randn(BATCH, n_rows, n_bins)
    return shortest(lambda number: augment(x, 0, number))


def main() -> None:
    """Print a line for each kind of windows."""
    torch.set_num_threads(1)
    for rate in RATES:
        shape = (SECONDS * rate, 1)
        print(f"waveform at {rate} Hz: {augmented('waveform', *shape, rate):.0f} ms, CNN {step(*shape):.0f} ms")
    print(f"rows {ROWS}: {augmented('spectrogram', *ROWS, RATES[0]):.0f} ms, CNN {step(*ROWS):.0f} ms")


if __name__ == "__main__":
    main()
