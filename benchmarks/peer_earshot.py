"""Trains an epoch each time a line comes in, and answers with the examples per second; for training.py.

python benchmarks/peer_earshot.py INPUT MODEL WIRING THREADS PRECISION
"""

from __future__ import annotations

import functools
import logging
import sys
import time
import warnings

import pytorch_lightning as pl
import torch
from measure import answer
from windows import EXAMPLES, windows_of

from earshot import models
from earshot.batches.datamodule import WindowDataModule
from earshot.processes import keep_memory
from earshot.settings import compose
from earshot.training import options
from earshot.training.classifier import Classifier


def main() -> None:
    """Answer until there are no more lines."""
    input_name, model, wiring, threads, precision = sys.argv[1:]
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    keep_memory()
    torch.set_num_threads(int(threads))
    torch.set_flush_denormal(True)
    pl.seed_everything(0, verbose=False)
    cfg = compose([f"model={model}", f"model.wiring={wiring}"])
    windows = windows_of(input_name)
    net = models.faster(models.build(cfg.model, False, windows.length, windows.features.rows.shape[1], 2))
    made = functools.partial(torch.optim.Adam, lr=0.001, eps=1e-7)
    module = Classifier(net, made, [], options.of(cfg))
    batches = WindowDataModule(windows, windows, cfg.model.training.batch_size, seed=0)

    def epoch() -> float:
        trainer = pl.Trainer(
            max_epochs=1,
            precision=precision,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        start = time.perf_counter()
        trainer.fit(module, batches.train_dataloader())
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return EXAMPLES / (time.perf_counter() - start)

    epoch()
    answer(epoch)


if __name__ == "__main__":
    main()
