"""Corrupt every kind of file that is kept or made, and see what whoever reads it does: for docs/reliability.md.

Each file is flipped at many places, cut short, zeroed, emptied, and swapped with another of its kind. What follows is
one of: told of in a line, made anew, of no account (what is read is the same), silent (something else is read), or an
error with a traceback. The last two must not be. Writes build/bench/faults.json. `make faults` runs it.
"""

from __future__ import annotations

import collections
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import write

from conftest import invoke, new_store
from earshot import backbones, files, project
from earshot.batches import prepare
from earshot.errors import EarshotError
from earshot.inputs import kept, stored
from earshot.settings import compose
from earshot.stages import evaluate, train
from earshot.trained import model_folder
from earshot.training import plain, run_cache
from tiny import tiny_project

FLIPS, CUTS = 200, 50
RUN = ["experiment=genres-summary-ann", "dataset=tunes", "protocol=published", "seed=0"]


class Anew(Exception):
    """It is told of, and will be made anew."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    path : one of them
    read : returns what is read of it, to be compared
    other : another of the kind, to be swapped with it
    """

    name: str
    path: Path
    read: Callable[[], Any]
    other: Path | None = None


def table(path: Path) -> Callable[[], Any]:
    """Return what reads a table with its recipe."""
    return lambda: (files.read_table(path).to_csv(), files.read_recipe(path))


def mapped(name: str) -> Callable[[], Any]:
    """Return what reads the mapped rows of an experiment."""

    def read() -> bytes:
        return np.asarray(prepare.load(compose([f"experiment={name}"])).features.rows).tobytes()

    return read


def whole(folder: Path) -> Callable[[], Any]:
    """Return what reads a run of the cache."""

    def read() -> str:
        marked = (folder / run_cache.WHOLE).read_bytes()
        if not run_cache.is_whole(folder):
            (folder / run_cache.WHOLE).write_bytes(marked)
            raise Anew
        trained = run_cache.read(folder)
        return str((trained.settings, trained.epochs, {k: v.tolist() for k, v in trained.weights.items()}))

    return read


def rows_of(path: Path) -> Callable[[], Any]:
    """Return what reads rows that wait."""
    return lambda: [rows.tobytes() for rows in kept.read_rows(path)]


def kinds(root: Path) -> Iterator[Kind]:
    """Yield a file of each kind of a tiny project, whose stages have run up to evaluation."""
    data = root / "data"
    yield Kind("manifest", project.manifest("tunes"), table(project.manifest("tunes")))
    yield Kind("split", project.split("tunes", "grouped"), table(project.split("tunes", "grouped")))
    predictions = project.predictions("tunes", "summary-ann")
    yield Kind("predictions", predictions, table(predictions))
    folder = project.features("tunes", "log_mel")
    [part] = folder.glob("part-*.parquet")
    [other] = project.features("horns", "log_mel").glob("part-*.parquet")
    yield Kind("features", part, lambda: [(n, r.tobytes()) for n, r in stored.read_part(part)], other)
    yield Kind("index of features", folder / stored.INDEX, lambda: stored.index(folder).to_csv())
    read = mapped("sirens-log_mel-cnn")
    read()
    [rows] = (data / "cache" / "rows" / "horns").glob("log_mel-*/*.npy")
    yield Kind("mapped rows", rows, read)
    first, second = root / "a.npy", root / "b.npy"
    for number, path in enumerate((first, second)):
        kept.write_rows(path, [np.full((40, 8), number, np.float32), np.ones((3, 8), np.float32)])
    yield Kind("rows that wait", first, rows_of(first), second)
    cfg = compose(RUN)
    run = run_cache.folder(cfg, prepare.load(cfg))
    others = compose([*RUN[:-1], "seed=1"])
    other_run = run_cache.folder(others, prepare.load(others))
    for name in (*model_folder.FILES, "epochs.json", "validation.parquet"):
        yield Kind(f"run: {name}", run / name, whole(run), other_run / name)
    made, other_made = sorted((data / "models" / "tunes" / "summary-ann").glob("published-*"))
    for name in model_folder.FILES:

        def used(folder: Path = made) -> str:
            settings, weights = model_folder.read(folder)
            model_folder.restore(settings, weights)
            return str((settings, {k: v.tolist() for k, v in weights.items()}))

        yield Kind(f"model: {name}", made / name, used, other_made / name)
    state, other_state = root / "a.safetensors", root / "b.safetensors"
    for number, path in enumerate((state, other_state)):
        plain.write(path, {"epoch": number, "weights": list(range(100))})
    yield Kind("state of a training", state, lambda: str(plain.read(state)), other_state)
    backbones.weights_of("mn04_as")
    for path in sorted((data / "cache" / "backbones").rglob("*")):
        if path.is_file() and path.suffix in (".safetensors", ".csv", ".pt"):
            yield Kind(f"backbone: {path.suffix}", path, network)


def network() -> str:
    """Return what the backbone's weights and classes are; its files are checked at each call."""
    found = backbones.weights_of("mn04_as")
    names = backbones.load("mn04_as").classes
    return hashlib.sha256(b"".join(v.numpy().tobytes() for v in found.values()) + str(names).encode()).hexdigest()


def corruptions(content: bytes, other: bytes | None, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield each way with the bytes that are read instead."""
    rng = np.random.default_rng(seed)
    for place, bit in zip(rng.integers(len(content), size=FLIPS), rng.integers(8, size=FLIPS), strict=True):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        yield "flipped", bytes(changed)
    for length in rng.integers(1, len(content), size=CUTS):
        yield "cut short", content[:length]
    first = int(rng.integers(len(content)))
    yield "zeroed", bytes(len(content))
    yield "zeroed", content[:first] + bytes(len(content[first : first + 4096])) + content[first + 4096 :]
    yield "emptied", b""
    if other is not None and other != content:
        yield "swapped", other


def outcome(kind: Kind, expected: Any) -> str:
    """Read, and say what has followed."""
    try:
        return "of no account" if kind.read() == expected else "silent"
    except EarshotError as error:
        return "told" if "\n" not in str(error) else "error"
    except Anew:
        return "made anew"
    except Exception as error:
        print(f"{kind.name}: {error!r}", file=sys.stderr)
        return "error"


def tried(kind: Kind, seed: int) -> dict[str, int]:
    """Corrupt a file in all ways; return how often what has followed."""
    content, expected = kind.path.read_bytes(), kind.read()
    other = kind.other.read_bytes() if kind.other else None
    found: dict[str, int] = collections.Counter()
    for way, changed in corruptions(content, other, seed):
        kind.path.unlink(missing_ok=True)  # and not in place: it may be linked
        kind.path.write_bytes(changed)
        said = outcome(kind, expected)
        if said == "of no account" and kind.path.read_bytes() == content:
            said = "made anew"
        if said in ("silent", "error"):
            print(f"{kind.name}, {way}: {said}", file=sys.stderr)
        found[said] += 1
    kind.path.unlink(missing_ok=True)
    kind.path.write_bytes(content)
    if kind.read() != expected:
        raise SystemExit(f"error: {kind.name} is not what it was before")
    return dict(found)


def main() -> None:
    """Make a project, corrupt it, print and write."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        os.environ["EARSHOT_ROOT"] = str(root)
        new_store(root / "data" / "mlflow" / "mlflow.db")
        made = tiny_project(root)
        experiments = {"summarised": {"inputs": ["summary"], "models": ["ann"]}}
        made.params(protocols=["published"], seeds=[0, 1], experiments=experiments)
        model = root / "conf" / "model" / "ann.yaml"
        model.write_text(model.read_text().replace("max_epochs: 100", "max_epochs: 1"))
        invoke(train.main, "tunes", "--workers", "1")
        invoke(evaluate.main, "tunes")
        found = {kind.name: tried(kind, seed) for seed, kind in enumerate(kinds(root))}
        shutil.rmtree(root / "data")
    for kind, counts in found.items():
        print(f"{kind:24} {counts}")
    write("faults", {"flips": FLIPS, "cuts": CUTS, "corruption": found})
    if bad := [kind for kind, counts in found.items() if counts.get("silent") or counts.get("error")]:
        raise SystemExit(f"error: {', '.join(bad)}")


if __name__ == "__main__":
    main()
