"""From a number of a confusion matrix to its windows, seen and heard."""

from __future__ import annotations

import base64
import html
import io
import re
from itertools import product
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from matplotlib import image

from conftest import tone
from earshot import stages
from earshot.audio import clips
from earshot.cli import main
from earshot.errors import EarshotError
from earshot.files import read_recipe, read_table, write_table
from earshot.metrics import classification
from earshot.metrics.surest import surest
from earshot.report import mistakes
from earshot.stages import compare
from earshot.tracking import links
from test_compare import Page, Sample

EVIL, OTHER, RARE = "<b>siren</b> & horn?", "other/..", "rare"
ASKED = {
    "dataset": "synthetic_sirens",
    "input": "log_mel",
    "model": "cnn",
    "wiring": "as_coded",
    "protocol": "grouped",
}
RATE = clips.SAMPLE_RATE


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Results of two seeds on recordings of noise, with their report; a cell holds from none to hundreds of windows."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("compared")
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.setattr(stages, "leave_with_parent", lambda: None)
        classes = {"synthetic_sirens": [EVIL, OTHER, RARE]}
        made = Sample(root, classes, experiments=["log_mel-cnn"], seeds=[0, 1]).write()
        path = made.predictions("synthetic_sirens", "log_mel-cnn")
        frame, recipe = read_table(path), read_recipe(path)
        write_table(path, frame[(frame["label"] != RARE) | (frame["predicted"] != EVIL)], recipe)
        compare.main.callback()
        yield made


def predictions(sample: Sample, asked: dict[str, str]) -> pd.DataFrame:
    frame = read_table(sample.predictions(asked["dataset"], f"{asked['input']}-{asked['model']}"))
    return frame[frame["protocol"] == asked["protocol"]]


def numbers(sample: Sample) -> list[tuple[dict[str, str], int]]:
    """Return what each number of the report's confusion matrices asks for, and the number."""
    report = (sample.root / "data" / "report" / "index.html").read_text()
    found = re.findall(rf'<a href="{re.escape(links.ADDRESS + links.WINDOWS)}\?([^"]*)">(\d+)</a>', report)
    return [(dict(parse_qsl(html.unescape(query))), int(count)) for query, count in found]


def page(asked: dict[str, str], true: str | None = None, predicted: str | None = None) -> str:
    return mistakes.page(mistakes.MatrixCell(**{"true": true, "predicted": predicted, **asked}), report="/report/")


def windows_on(text: str) -> pd.DataFrame:
    """Return the windows that a page shows, as it names them."""
    heading = r"<h2>(\S+) <small>(\S+) to \S+ s, seed (\d)(?:, heard in training)?</small></h2>"
    found = pd.DataFrame(re.findall(heading, text), columns=["recording", "start", "seed"])
    found["probability"] = re.findall(r"predicted</small></th><td>([\d.]+)</td>", text)
    return found.astype({"start": float, "seed": int, "probability": float})


def embedded(text: str, kind: str) -> list[io.BytesIO]:
    return [io.BytesIO(base64.b64decode(held)) for held in re.findall(rf'src="data:{kind};base64,([^"]+)"', text)]


def test_every_number_leads_to_the_windows_that_it_counts(compared):
    found = numbers(compared)
    assert len(found) == 2 * (3 * 3 - 1), "two protocols, three classes, one cell that counts nothing"
    assert min(count for _, count in found) < mistakes.MOST and max(count for _, count in found) > 100
    for asked, count in found:
        frame = predictions(compared, asked)
        counted = frame[(frame["label"] == asked["true"]) & (frame["predicted"] == asked["predicted"])]
        text = page(asked)
        shown = windows_on(text)
        assert len(counted) == count
        assert len(shown) == min(count, mistakes.MOST) == text.count("<audio ") == text.count("<img ")
        assert f"{mistakes.MOST} of {count} windows" in text or count <= mistakes.MOST
        same = shown.merge(counted.drop_duplicates(), on=["recording", "start", "seed"])
        assert len(same) == len(shown) and not shown.duplicated(["recording", "start", "seed"]).any()
        assert shown["probability"].is_monotonic_decreasing
        columns = [classification.PROBABILITY + name for name in classification.classes_of(frame)]
        assert shown["probability"].iloc[0] == pytest.approx(counted[columns].to_numpy().max(), abs=5e-4)


def test_a_cell_that_counts_nothing_has_no_link_and_no_page(compared):
    assert {(RARE, EVIL)} == set(product([EVIL, OTHER, RARE], repeat=2)) - {
        (asked["true"], asked["predicted"]) for asked, _ in numbers(compared)
    }
    with pytest.raises(EarshotError, match=f"has no window: {RARE}, taken for {re.escape(EVIL)}"):
        page(ASKED, RARE, EVIL)


def test_without_a_class_all_mistakes_are_meant(compared):
    frame = predictions(compared, ASKED)
    wrong = frame["label"] != frame["predicted"]
    for true, predicted, meant in (
        (None, None, wrong),
        (EVIL, None, wrong & (frame["label"] == EVIL)),
        (None, EVIL, wrong & (frame["predicted"] == EVIL)),
    ):
        pd.testing.assert_frame_equal(mistakes.windows(frame, true, predicted), frame[meant])


def test_every_group_is_heard_before_one_is_heard_twice():
    many = pd.DataFrame({"group": "many", "p_a": np.linspace(0.99, 0.9, 20), "p_b": np.linspace(0.01, 0.1, 20)})
    few = pd.DataFrame({"group": ["one", "two"], "p_a": [0.6, 0.95], "p_b": [0.4, 0.05]})
    chosen = surest(pd.concat([many, few], ignore_index=True), mistakes.MOST)
    assert list(chosen["group"].value_counts().items()) == [("many", mistakes.MOST - 2), ("two", 1), ("one", 1)]
    assert chosen["probability"].is_monotonic_decreasing and chosen["probability"].iloc[-1] == 0.6


def test_what_is_heard_is_the_window(compared):
    text = page(ASKED)
    heard = [soundfile.read(file) for file in embedded(text, "audio/mpeg")]
    shown = windows_on(text)
    assert shown["recording"].str[:11].nunique() == 3, "of several files"
    for (samples, rate), window in zip(heard, shown.itertuples(), strict=True):
        fold = window.recording.split("-")[1]
        path = compared.root / "data" / "raw" / "synthetic_sirens" / f"{fold}.wav"
        recorded, at = soundfile.read(path, start=round(window.start * 8000), frames=2 * 8000)
        assert (rate, len(samples), at) == (RATE, 2 * RATE, 8000)
        assert np.corrcoef(samples[::2], recorded)[0, 1] > 0.9
        assert np.abs(samples).max() == pytest.approx(0.7, rel=0.2)


def test_the_picture_has_time_to_the_right_and_frequency_upwards():
    silence = np.zeros(RATE, np.float32)
    late_and_low = np.concatenate([silence, tone(1000, 1, RATE)])
    (file,) = embedded(f'src="{mistakes.picture(late_and_low)}"', "image/jpeg")
    bright = image.imread(file, format="jpg").mean(axis=2)
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    height, width = bright.shape
    assert 1 - row / height == pytest.approx(1000 / (RATE / 2), abs=0.01) and column > width / 2
    assert bright[:, : width // 2 - 10].max() < 20, "silence is dark"


def test_names_from_folders_are_escaped(compared):
    for text in (page(ASKED, EVIL, OTHER), page(ASKED)):
        assert "<b>" not in text and "<script" not in text
        assert any(EVIL in words for words in Page(text).words)


def test_a_page_asks_nobody_for_anything(compared):
    seen = Page(page(ASKED, EVIL, OTHER))
    assert {address.partition(",")[0] for address in seen.asked} == {
        "data:",
        "data:audio/mpeg;base64",
        "data:image/jpeg;base64",
    }
    assert [link.partition("#")[0] for link in seen.links] == ["/report/"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "../secrets"}, "no dataset is called '../secrets'. There are: synthetic_sirens"),
        ({"input": "../log_mel"}, "no experiment is called '../log_mel-cnn'. There are: log_mel-cnn"),
        ({"protocol": "honest"}, "no protocol is called 'honest'. There are: published, grouped"),
        ({"wiring": "as_described"}, "no wiring is called 'as_described'. There are: as_coded"),
        ({"true": "birds"}, "no class is called 'birds'. There are: "),
        ({"predicted": ""}, "no class is called ''. There are: "),
    ],
)
def test_what_is_not_there_is_named_with_what_is(compared, change, said):
    with pytest.raises(EarshotError, match=re.escape(said)):
        page(ASKED | change)


def run(*arguments: str):
    return CliRunner().invoke(main.main, ["errors", "synthetic_sirens", "log_mel-cnn", *arguments])


def test_the_command_writes_a_page_that_leads_back_to_its_matrix(compared):
    report = compared.root / "data" / "report"
    before = sorted(report.iterdir())
    for arguments in ([], ["--true", EVIL, "--predicted", OTHER], ["--protocol", "published", "--predicted", EVIL]):
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        path = Path(done.output.removeprefix("written: ").strip())
        assert path.parent == compared.root / "data" / "windows" / "synthetic_sirens"
        text = path.read_text()
        (back,) = Page(text).links
        file, _, matrix = back.partition("#")
        assert (path.parent / file).resolve() == report / "index.html"
        assert matrix in Page((report / "index.html").read_text()).ids
        run(*arguments)
        assert path.read_text() == text, "the same bytes"
    assert len(list(path.parent.iterdir())) == 3
    assert sorted(report.iterdir()) == before, "DVC would take it for a change, and compare again"


def test_a_recording_that_is_gone_is_one_clear_error(compared):
    path = compared.root / "data" / "raw" / "synthetic_sirens" / "0.wav"
    moved = path.rename(path.with_suffix(".away"))
    done = run()
    moved.rename(path)
    assert done.exit_code == 1 and str(path) in done.output and "dvc repro" in done.output
