"""Features in several shards: which recordings are together, what one more costs, and training from some at a time."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest

from conftest import Project, invoke, noise, write_audio
from earshot import files
from earshot.batches import prepare
from earshot.batches.shuffled import ShuffledShards
from earshot.datasets.card import load_card
from earshot.errors import EarshotError
from earshot.inputs import kept, shards, stored
from earshot.inputs.extract import extract
from earshot.settings import compose, read_params
from earshot.stages import manifest as manifest_stage
from earshot.training import fit
from tiny import FEATURES, RATE

RECORDINGS = 200  # of half a second
MOST = 40_000  # bytes in a shard; a recording has 1600


def test_shards_are_bounded_and_hold_everything_once():
    names = [f"{n}.wav" for n in range(500)]
    sizes = np.random.default_rng(0).integers(1, 1000, len(names))
    cut = shards.cut(names, sizes, 5000)
    assert sorted(position for some in cut.values() for position in some) == list(range(500))
    assert all(sizes[some].sum() <= 5000 and some == sorted(some) for some in cut.values())
    assert len(cut) < 3 * sizes.sum() / 5000 and list(cut) == sorted(cut)
    assert shards.cut(names, sizes) == {0: list(range(500))}
    assert shards.cut(["a", "b"], [9, 9], 1) and shards.cut([], []) == {}


def test_one_recording_more_is_the_business_of_one_shard():
    names = [f"{n}.wav" for n in range(500)]

    def together(names):
        return {frozenset(names[n] for n in some) for some in shards.cut(names, [100] * len(names), 5000).values()}

    for number in range(100):
        gone, new = (
            a - b
            for a, b in [(together(names), together(["more", *names])), (together(["more", *names]), together(names))]
        )
        assert len(gone) == 1 and len(new) in (1, 2) and set().union(*new) - set().union(*gone) == {"more"}
        names = [f"{number}.more", *names]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A project with many short recordings, their manifest, and a split that trains on most."""
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("many")
    patch.setenv("EARSHOT_ROOT", str(root))
    project = Project(root)
    features = project.params()["features"]
    features["log_mel"] |= FEATURES["log_mel"]
    windows = {"default": {"length": 0.4, "hop": 0.1}}
    project.params(datasets=["many"], audio={"sample_rate": RATE}, features=features, windows=windows)
    project.card("many", task="sirens", source={"folder": "."}, layout={"kind": "class_folders"})
    for number in range(RECORDINGS):
        label = ("horn", "other")[number % 2]
        write_audio(project.data("raw", "many", label, f"{number:03}.wav"), noise(0.5, RATE, number), RATE)
    invoke(manifest_stage.main, "many")
    table = files.read_table(project.data("manifest", "many.parquet"))
    split = table[["recording", "label"]].assign(group=table["recording"], fold=0, start=0.0, stop=0.5)
    split["part"] = np.where(np.arange(len(split)) % 4, "train", "validation")
    files.write_table(project.data("splits", "many", "grouped.parquet"), split, {})
    yield project
    patch.undo()


def extracted(workers: int = 1, most: int = MOST) -> None:
    extract(load_card("many"), "log_mel", read_params(), workers, most)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def sharded(many):
    """Return the project and its features in several shards."""
    extracted()
    return many, many.data("features", "many", "log_mel")


@pytest.mark.process
def test_the_folder_is_a_dataset_that_does_not_depend_on_the_workers(sharded):
    project, folder = sharded
    one = contents(folder)
    assert len(one) > 8 and all(len(content) < 1.5 * MOST for content in one.values())
    table = pd.read_parquet(folder)
    assert pyarrow.dataset.dataset(folder).to_table().to_pandas().equals(table)
    assert sorted(table["recording"]) == sorted(files.read_table(project.data("manifest", "many.parquet"))["recording"])
    assert list(table["recording"]) == list(stored.index(folder)["recording"])
    shutil.rmtree(project.data("cache"))
    extracted(workers=2)
    assert contents(folder) == one


@pytest.mark.process
def test_one_recording_more_costs_one_recording_and_one_shard(sharded, capsys):
    project, folder = sharded
    before = {path.name: path.stat().st_ino for path in folder.glob("part-*")}
    more = write_audio(project.data("raw", "many", "horn", "000a.wav"), noise(0.5, RATE, 999), RATE)
    try:
        invoke(manifest_stage.main, "many")
        capsys.readouterr()
        extracted()
        assert "201 recordings, 200 of them kept from before" in capsys.readouterr().out
        after = {path.name: path.stat().st_ino for path in folder.glob("part-*")}
        [gone], new = before.keys() - after.keys(), after.keys() - before.keys()
        assert len(new) in (1, 2) and min(new)[:10] == gone[:10]
        assert all(after[name] == inode for name, inode in before.items() if name != gone), "none is written again"
        one = contents(folder)
        shutil.rmtree(project.data("cache"))
        extracted()
        assert contents(folder) == one, "what was kept has the same bytes as what is computed"
    finally:
        more.unlink()
        invoke(manifest_stage.main, "many")
    extracted()
    assert {path.name for path in folder.glob("part-*")} == before.keys()
    cached = [path for path in project.data("cache", "features").rglob("*") if path.is_file()]
    assert {path.name for path in cached} == {*before, stored.INDEX}, "a copy of anything else"


@pytest.mark.process
def test_an_extraction_that_is_killed_between_shards_goes_on(many, monkeypatch, capsys):
    shutil.rmtree(many.data("cache"), ignore_errors=True)
    folder = many.data("features", "many", "log_mel")
    extracted(most=shards.BYTES)
    shutil.rmtree(many.data("cache"))
    before, written, write_part = contents(folder), [], stored.write_part

    def killed(path, *arguments):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write_part(path, *arguments)

    monkeypatch.setattr(stored, "write_part", killed)
    with pytest.raises(KeyboardInterrupt):
        extracted()
    assert contents(folder) == before, "what was there is there as a whole"
    monkeypatch.undo()
    many_of_them = {path: path.stat().st_mtime_ns for path in written}
    capsys.readouterr()
    extracted()
    assert " 0 of them kept" not in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in written} == many_of_them
    assert len(pd.read_parquet(folder)) == RECORDINGS


@pytest.mark.process
def test_a_dataset_with_the_same_recordings_takes_what_another_has(sharded, capsys):
    project, _ = sharded
    project.card("again", task="sirens", source={"folder": "."}, layout={"kind": "class_folders"})
    shutil.copytree(project.data("raw", "many", "horn"), project.data("raw", "again", "horn"))
    write_audio(project.data("raw", "again", "other", "new.wav"), noise(0.5, RATE, 555), RATE)
    invoke(manifest_stage.main, "again")
    capsys.readouterr()
    extract(load_card("again"), "log_mel", read_params(), 1, MOST)
    assert "101 recordings, 100 of them kept from before" in capsys.readouterr().out


def read(*overrides: str):
    """Return the config, the features and the windows of both parts."""
    cfg = compose(["experiment=sirens-log_mel-cnn", "dataset=many", "model.training.max_epochs=2", *overrides])
    data = prepare.load(cfg)
    return cfg, data, {part: prepare.part(cfg, data, part) for part in ("train", "validation")}


def values(windows) -> dict[tuple[str, float], bytes]:
    names = zip(windows.table["recording"], windows.table["start"], strict=True)
    return dict(zip(names, (windows[[n]][0].numpy().tobytes() for n in range(len(windows))), strict=True))


@pytest.mark.process
def test_windows_are_the_same_however_they_are_read(many):
    extracted(most=shards.BYTES)
    one = values(read()[2]["train"])
    extracted()
    found = [read()[2]["train"], read("model.training.shuffle_shards=2")[2]["train"]]
    assert all(values(windows) == one for windows in found)
    shards_of = found[0].shards
    assert len(set(shards_of)) > 8 and (np.diff(shards_of) >= 0).all(), "one shard after another"


@pytest.mark.process
def test_a_training_from_some_shards_at_a_time_needs_no_copy_and_is_repeatable(sharded):
    project, folder = sharded
    shutil.rmtree(project.data("cache", "rows"), ignore_errors=True)
    for path in list(folder.iterdir()):  # as DVC does
        shutil.copy(path, folder / "copy").replace(path)
    digests = set()
    for _ in range(2):
        cfg, data, windows = read("model.training.shuffle_shards=2")
        digests.add(fit.digest(fit.fit(cfg, data, windows["train"], windows["validation"])))
        assert len(data.features.rows._read._held) <= 2
    assert len(digests) == 1 and not project.data("cache", "rows").exists()
    cached = {path.name: path for path in project.data("cache", "features").rglob("part-*")}
    assert all(path.samefile(cached[path.name]) for path in folder.glob("part-*")), "one copy on disk"


def test_an_epoch_has_each_window_once_and_few_shards_at_a_time():
    of_window = np.repeat(np.arange(10), 30)
    order = ShuffledShards(of_window, 32, 3, seed=1)
    batches = list(order)
    assert len(batches) == len(order) == 10 and len(batches[-1]) == 300 - 9 * 32
    assert sorted(np.concatenate(batches)) == list(range(300))
    begun = [set(of_window[order.order()[first : first + 90]]) for first in range(0, 300, 90)]
    assert [len(some) for some in begun] == [3, 3, 3, 1]
    assert list(ShuffledShards(of_window, 32, 3, seed=1)) == batches != list(ShuffledShards(of_window, 32, 3, seed=2))
    order.set_epoch(1)
    assert list(order) != batches
    order.set_epoch(0)
    assert list(order) == batches


@pytest.mark.process
def test_lightning_says_which_epoch_it_is(sharded, monkeypatch):
    epochs, set_epoch = [], ShuffledShards.set_epoch
    monkeypatch.setattr(ShuffledShards, "set_epoch", lambda self, n: (epochs.append(n), set_epoch(self, n)))
    cfg, data, windows = read("model.training.shuffle_shards=2")
    fit.fit(cfg, data, windows["train"], windows["validation"])
    assert epochs == [0, 1]


def test_balanced_draws_are_not_from_some_shards(project):
    from earshot.training import options

    with pytest.raises(EarshotError, match="sampling=balanced draws from all windows.*shuffle_shards=null"):
        options.of(compose(["model.training.sampling=balanced", "model.training.shuffle_shards=4"]))


@pytest.mark.process
def test_a_torn_part_is_made_again(sharded):
    _, folder = sharded
    before, torn = contents(folder), sorted(folder.glob("part-*"))[1]
    torn.write_bytes(before[torn.name][:-100])
    with pytest.raises(EarshotError, match=f"{torn.name} can't be read"):
        stored.index(folder)
    extracted()
    assert contents(folder) == before


@pytest.mark.process
def test_what_another_process_has_taken_is_computed_again(many, monkeypatch):
    shutil.rmtree(many.data("cache"), ignore_errors=True)
    write_part, gone = stored.write_part, []

    def raced(path, *arguments):
        if not gone:
            gone.extend(path.parent.parent.parent.rglob("*.npy"))
            gone[0].unlink()
        write_part(path, *arguments)

    monkeypatch.setattr(stored, "write_part", raced)
    extracted()
    assert gone and len(pd.read_parquet(many.data("features", "many", "log_mel"))) == RECORDINGS
    assert not list(kept.home("log_mel", {}, "many").parent.parent.rglob("*.npy"))
