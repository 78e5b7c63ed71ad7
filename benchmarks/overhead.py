"""What Lightning, Hydra and MLflow add to a training: the ANN on 800 x 26 features, 100 epochs, against a plain loop.

Both in one process, in turns, start-up apart; seconds of wall clock and of processor. Writes build/overhead.json.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parent.parent
TRAINED, VALIDATED, CLASSES = 800, 200, 10
REPEATS = 5


def prepare(root: Path) -> None:
    """Make a project whose features are random numbers, as the pipeline's files hold them."""
    import numpy as np
    import pandas as pd

    from earshot import files, inputs, project
    from earshot.inputs import stored
    from earshot.settings import read_params

    for name in ("conf", "params.yaml"):
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, root / name)
    rng = np.random.default_rng(0)
    built = inputs.build("summary", read_params(), "genres", clips=True)
    n = TRAINED + VALIDATED
    labels = rng.integers(0, CLASSES, n)
    values = rng.standard_normal((n, len(built.columns))) + rng.standard_normal((CLASSES, len(built.columns)))[labels]
    recordings = [f"{number:04d}" for number in range(n)]
    rows = pd.DataFrame(values, columns=built.columns)
    rows.insert(0, "window", 0)
    rows.insert(0, "recording", recordings)
    dataset = "synthetic_genres"
    recipe = inputs.recipe("summary", built) | {"digest": "0" * 64}
    folder = project.data("features", dataset, "summary")
    part = folder / "part-00000-0.parquet"
    files.write_table(part, rows, recipe)
    stored.write_index(folder, [part], pd.DataFrame({"recording": recordings, "sha256": "0", "key": "0"}), recipe)
    facts = {"recording": recordings, "label": [f"class{label}" for label in labels], "status": "read"}
    manifest = pd.DataFrame(facts)
    files.write_table(project.data("manifest", f"{dataset}.parquet"), manifest, {})
    split = manifest.assign(group=recordings, fold=0, start=0.0, stop=30.0)
    split["part"] = ["train"] * TRAINED + ["validation"] * VALIDATED
    files.write_table(project.data("splits", dataset, "grouped.parquet"), split, {})


def plain(cfg, data) -> None:
    """Train the same model on the same batches in the plainest loop, with the scores of every epoch."""
    import torch
    from torch.nn import functional

    from earshot import models
    from earshot.batches import prepare
    from earshot.batches.datamodule import WindowDataModule
    from earshot.batches.windows import statistics as moments

    torch.manual_seed(cfg.seed)
    training, validation = (prepare.part(cfg, data, part) for part in ("train", "validation"))
    net = models.faster(models.build(cfg.model, True, 1, data.features.rows.shape[1], len(data.classes)))
    net.standardiser.set(*moments(training))
    batches = WindowDataModule(training, validation, cfg.model.training.batch_size, cfg.seed)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=cfg.optimizer.lr)
    loaders = {True: batches.train_dataloader(), False: batches.val_dataloader()}
    for _ in range(cfg.model.training.max_epochs):
        for learning, loader in loaders.items():
            net.train(learning)
            with torch.set_grad_enabled(learning):
                for x, y in loader:
                    logits = net(x)
                    loss = functional.cross_entropy(logits, y)
                    (logits.argmax(dim=1) == y).float().mean().item()
                    if learning:
                        optimizer.zero_grad()
                        loss.backward()
                        optimizer.step()


def taken(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of wall clock and of processor that `work` takes."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Measure in turns; print the table and write it to a file."""
    root = Path(tempfile.mkdtemp())
    os.environ["EARSHOT_ROOT"] = str(root)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    from earshot import provenance
    from earshot.batches import prepare
    from earshot.settings import compose
    from earshot.training import runs

    try:
        prepare(root)
        asked = ["experiment=genres-summary-ann", "dataset=synthetic_genres", "mlflow.artifacts=false"]

        def ours() -> None:
            cfg = compose(asked)
            runs.train(cfg, prepare.load(cfg), root / "out", verbose=False)

        cfg = compose(asked)
        data = prepare.load(cfg)
        ways = {"plain PyTorch": lambda: plain(cfg, data), "Lightning, Hydra, MLflow": ours}
        for work in ways.values():
            work()  # start-up: imports, the database
        seconds = {name: [] for name in ways}
        for _ in range(REPEATS):
            for name, work in ways.items():
                seconds[name].append(taken(work))
        medians = {
            name: [statistics.median(all_) for all_ in zip(*rows, strict=True)] for name, rows in seconds.items()
        }
    finally:
        shutil.rmtree(root)
    (base, base_cpu), *_ = medians.values()
    print(f"{'':26}{'wall s':>8}{'ratio':>8}{'cpu s':>8}{'ratio':>8}   (median of {REPEATS}, in turns)")
    for name, (wall, cpu) in medians.items():
        print(f"{name:26}{wall:8.2f}{wall / base:8.2f}{cpu:8.2f}{cpu / base_cpu:8.2f}")
    result = {"machine": provenance.machine(), "commit": provenance.commit(), "seconds": seconds}
    out = PROJECT / "build" / "overhead.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written: {out.relative_to(PROJECT)}")


if __name__ == "__main__":
    sys.exit(main())
