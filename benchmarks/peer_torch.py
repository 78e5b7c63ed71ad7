"""Trains an epoch of plain torch.nn in a plain loop for each line that comes in, and answers with examples per second.

python benchmarks/peer_torch.py INPUT MODEL WIRING THREADS

It is what a user would write otherwise: the models of `earshot.models` as they stand, without `faster`, Lightning and
what a run is logged with; for training.py.
"""

from __future__ import annotations

import sys
import time

import torch
from measure import answer
from torch.utils.data import DataLoader, TensorDataset
from windows import EXAMPLES, windows_of

from earshot import models
from earshot.models import heads
from earshot.settings import compose


def main() -> None:
    """Answer until there are no more lines."""
    input_name, model, wiring, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    cfg = compose([f"model={model}", f"model.wiring={wiring}"])
    windows = windows_of(input_name)
    net = models.build(cfg.model, False, windows.length, windows.features.rows.shape[1], 2)
    optimizer = torch.optim.Adam((p for p in net.parameters() if p.requires_grad), lr=0.001, eps=1e-7)
    data = TensorDataset(*windows[list(range(len(windows)))])
    batches = DataLoader(data, batch_size=cfg.model.training.batch_size, shuffle=True)

    def epoch() -> float:
        start = time.perf_counter()
        net.train()
        for x, y in batches:
            optimizer.zero_grad()
            heads.loss(net(x), y).backward()
            optimizer.step()
        return EXAMPLES / (time.perf_counter() - start)

    epoch()
    answer(epoch)


if __name__ == "__main__":
    main()
