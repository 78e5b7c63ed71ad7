"""The compare stage on small files of the shape that the earlier stages write."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import PROJECT, noise, write_audio
from earshot import stages
from earshot.errors import EarshotError
from earshot.files import read_recipe, read_table, write_json, write_table, write_text
from earshot.pages import numbers
from earshot.report import overview, words
from earshot.report.page import tutorial_figures
from earshot.report.scores import side_by_side
from earshot.stages import compare
from earshot.tracking import links

GENRES = ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"]
EXPERIMENTS = [
    "summary-ann",
    "waveform-cnn",
    "waveform-lstm",
    "log_spectrogram-cnn",
    "log_spectrogram-lstm",
    "log_mel-cnn",
    "log_mel-lstm",
]
CONTRASTS = [{"input": ["waveform", "log_spectrogram"]}, {"model": ["cnn", "lstm"]}]
LAYERS = [
    {"layer": "convolutions.0", "kind": "Conv1d", "output_shape": [16, 32000], "parameters": 192},
    {"layer": "dense", "kind": "Linear", "output_shape": [16], "parameters": 272},
    {"layer": "output", "kind": "Linear", "output_shape": [1], "parameters": 17},
]


@dataclass
class Sample:
    """Writes what the stages before `compare` write, with accuracies that are made up but plausible."""

    root: Path
    datasets: dict[str, list[str]]
    experiments: list[str] = field(default_factory=lambda: EXPERIMENTS)
    protocols: dict[str, int] = field(default_factory=lambda: {"published": 1, "grouped": 3})
    wirings: list[str] = field(default_factory=lambda: ["as_coded"])
    seeds: list[int] = field(default_factory=lambda: [0])
    contrasts: list = field(default_factory=lambda: CONTRASTS)
    windows: int = 120
    epochs: int = 10
    noise: bool = True
    swapped: bool = True

    def write(self) -> Sample:
        self.write_params()
        for dataset, classes in self.datasets.items():
            self._write_card(dataset)
            self._write_manifest(dataset, classes)
            self._write_audit(dataset)
            self._write_noise(dataset, classes)
            self._write_cross_dataset(dataset, classes)
            self._write_events(dataset)
            self._write_swapped(dataset, classes)
            for number, experiment in enumerate(self.experiments):
                self._write_results(dataset, classes, experiment, np.random.default_rng(number))
        return self

    def write_params(self) -> None:
        crossed = [
            dict(zip(("inputs", "models"), [[part] for part in name.split("-")], strict=True))
            for name in self.experiments
        ]
        lists = {"datasets": list(self.datasets), "protocols": list(self.protocols)}
        numbered = {f"number_{number}": pair for number, pair in enumerate(crossed)}
        lists |= {"wirings": self.wirings, "seeds": self.seeds, "experiments": numbered}
        lists |= {"contrasts": self.contrasts, "noise": {}}
        lists["features"] = {name: None for pair in crossed for name in pair["inputs"]}
        for model in {name for pair in crossed for name in pair["models"]}:
            write_text(self.root / "conf" / "model" / f"{model}.yaml", f"name: {model}\n")
        shipped = yaml.safe_load((PROJECT / "params.yaml").read_text())
        write_text(self.root / "params.yaml", yaml.safe_dump(shipped | lists))

    def predictions(self, dataset: str, experiment: str) -> Path:
        return self.root / "data" / "predictions" / dataset / f"{experiment}.parquet"

    def history(self, dataset: str, experiment: str) -> Path:
        return self.root / "data" / "history" / dataset / f"{experiment}.csv"

    def _write_card(self, dataset: str) -> None:
        card = {
            "title": f"The recordings of {dataset}, described in a sentence",
            "task": dataset.removeprefix("synthetic_").partition("_")[0],
            "synthetic": dataset.startswith("synthetic_"),
            "licence": "CC0 1.0: made by earshot, no rights reserved",
            "citation": "B. L. Sturm (2013), The GTZAN dataset, https://arxiv.org/abs/1306.1461",
            "source": {"folder": "~/recordings"},
        }
        write_text(self.root / "conf" / "cards" / f"{dataset}.yaml", yaml.safe_dump(card))

    def _write_manifest(self, dataset: str, classes: list[str]) -> None:
        set_aside = {"does not decode": 1, "shorter than a window": 2}
        counts = {
            "read": 1010,
            "set_aside": set_aside,
            "warnings": ["one class was recorded louder"],
            "classes": dict.fromkeys(classes, 101),
            "seconds": 30300.5,
        }
        write_json(self.root / "data" / "manifest" / f"{dataset}.json", counts)
        paths = {f"recording-{fold}-{n}": f"{fold}.wav" for fold in range(3) for n in range(self.windows // 10)}
        table = pd.DataFrame(paths.items(), columns=["recording", "path"]).assign(status="read")
        write_table(self.root / "data" / "manifest" / f"{dataset}.parquet", table, {})
        for fold in range(3):
            path = self.root / "data" / "raw" / dataset / f"{fold}.wav"
            write_audio(path, noise(2 + self.windows, 8000, seed=fold), 8000)

    def _write_audit(self, dataset: str) -> None:
        shares = {"windows": 120, "overlap": 0.9, "duplicate": 0.3, "leaking": 0.96, "group": 1.0}
        protocols = {name: shares if name == "published" else dict.fromkeys(shares, 0) for name in self.protocols}
        hints = {"group": {"found": 0.6, "chance": 0.01}, "label": {"balanced_accuracy": 0.7, "chance": 0.5}}
        write_json(self.root / "data" / "audit" / f"{dataset}.json", {"protocols": protocols, "hints": hints})

    def _write_noise(self, dataset: str, classes: list[str]) -> None:
        asked = {"alarm": classes[0], "background": classes[-1]} if self.noise else None
        random = np.random.default_rng(0)
        table = self._table(classes, 2.0, 0, random)[["recording", "group", "start", "seconds", "label"]]
        score = np.where(table["label"] == classes[0], 0.8, 0.3) + random.normal(scale=0.1, size=len(table))
        frames = [
            table.assign(input=i, model=m, seed=0, fold=0, snr_db=snr, score=score, threshold=0.6)
            for i, m in (name.split("-") for name in self.experiments)
            for snr in (np.inf, 0.0)
        ]
        frame = pd.concat(frames) if self.noise else pd.DataFrame()
        write_table(self.root / "data" / "noise" / f"{dataset}.parquet", frame, {"asked": asked})

    def _write_cross_dataset(self, dataset: str, classes: list[str]) -> None:
        frame = self._table(classes, 1.0, 0, np.random.default_rng(1))
        frames = [frame.assign(on="other_town", input="log_mel", model="cnn", seed=0, fold=n) for n in range(2)]
        write_table(self.root / "data" / "cross_dataset" / f"{dataset}.parquet", pd.concat(frames), {})

    def _write_swapped(self, dataset: str, classes: list[str]) -> None:
        """Models keep to the classes, all but the first, which goes by the conditions for every third window."""
        table = self._table(classes, 2.0, 0, np.random.default_rng(2))
        other = table["label"].map(dict(zip(classes, [*classes[1:], classes[0]], strict=True)))
        frames = []
        for number, name in enumerate(self.experiments):
            led = (np.arange(len(table)) % 3 == 0) & (number == 0)
            heard = {"conditions_of": other, "as_is": table["predicted"]}
            facts = dict(zip(("input", "model"), name.split("-"), strict=True)) | {"seed": 0}
            frames.append(table.assign(**facts, **heard, fold=0, predicted=table["predicted"].where(~led, other)))
        found = pd.concat(frames) if self.swapped else pd.DataFrame()
        write_table(self.root / "data" / "swapped" / f"{dataset}.parquet", found, {"max_drop": 0.05})

    def _write_events(self, dataset: str) -> None:
        """As the stage does where nothing is asked for."""
        for name in ("events", "scores"):
            write_table(self.root / "data" / "events" / dataset / f"{name}.parquet", pd.DataFrame(), {"asked": None})

    def _write_results(self, dataset: str, classes: list[str], experiment: str, random: np.random.Generator) -> None:
        cells = [(w, p, s) for w in self.wirings for p in self.protocols for s in self.seeds]
        tables, runs, curves = [], [], []
        for wiring, protocol, seed in cells:
            skill = 1.2 + 0.35 * self.experiments.index(experiment) + 0.7 * (protocol == "published")
            for fold in range(self.protocols[protocol]):
                run = {"wiring": wiring, "protocol": protocol, "seed": seed, "fold": fold}
                tables.append(self._table(classes, skill, fold, random).assign(**run))
                windows = {"train": 4 * self.windows, "validation": 40, "test": self.windows}
                best = self.epochs - fold
                facts = {"parameters": 481, "layers": LAYERS, "epochs": self.epochs, "best_epoch": best}
                runs.append({**run, **facts, "windows": windows})
                curves.append(self._curve(len(classes), skill, random).assign(**run))
        path = self.predictions(dataset, experiment)
        write_table(path, pd.concat(tables, ignore_index=True), {"runs": runs})
        write_text(self.history(dataset, experiment), pd.concat(curves).to_csv(index=False))

    def _table(self, classes: list[str], skill: float, fold: int, random: np.random.Generator) -> pd.DataFrame:
        true = random.integers(len(classes), size=self.windows)
        logits = random.normal(size=(self.windows, len(classes)))
        logits[np.arange(self.windows), true] += skill
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return pd.DataFrame(
            {
                "recording": [f"recording-{fold}-{n // 10}" for n in range(self.windows)],
                "group": [f"group-{fold}-{n // 30}" for n in range(self.windows)],
                "start": np.arange(self.windows, dtype=float),
                "seconds": 2.0,
                "heard": np.arange(self.windows) % 10 != 0,
                "label": [classes[n] for n in true],
                "predicted": [classes[n] for n in logits.argmax(axis=1)],
                **{f"p_{name}": probabilities[:, n].astype(np.float32) for n, name in enumerate(classes)},
            }
        )

    def _curve(self, classes: int, skill: float, random: np.random.Generator) -> pd.DataFrame:
        epoch = np.arange(1, self.epochs + 1)
        start, rate = np.log(classes), skill / 10
        train = start * np.exp(-rate * epoch) + random.normal(scale=0.01, size=self.epochs)
        validation = start * (0.25 + 0.75 * np.exp(-rate * epoch)) + random.normal(scale=0.03, size=self.epochs)
        return pd.DataFrame(
            {
                "epoch": epoch,
                "train_loss": train,
                "train_accuracy": 0.5,
                "val_loss": validation,
                "val_accuracy": 0.5,
            }
        )


ASKING = {"src", "srcset", "poster", "data", "background", "action"}


class Page(HTMLParser):
    """What a browser would make of the report: tags, ids, the addresses it would ask for, and text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.ids, self.asked, self.links, self.words = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.asked += [value for name, value in attributes if name in ASKING]
        if "href" in values:
            (self.links if tag == "a" else self.asked).append(values["href"])

    def handle_data(self, data):
        self.words.append(data)


def sirens(root: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    monkeypatch.setenv("EARSHOT_ROOT", str(root))
    monkeypatch.setattr(stages, "leave_with_parent", lambda: None)
    classes = ["emergency", "non_emergency"]
    return Sample(root, {"synthetic_sirens": classes}, experiments=["waveform-cnn", "log_mel-cnn"])


@pytest.fixture
def sample(tmp_path, monkeypatch) -> Sample:
    """Files to change before they are written."""
    return sirens(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Sample:
    """Files as they are, compared once for all tests that only read the result."""
    with pytest.MonkeyPatch.context() as patch:
        made = sirens(tmp_path_factory.mktemp("compared"), patch).write()
        compare.main.callback()
    return made


def report(sample: Sample) -> Path:
    return sample.root / "data" / "report"


def rows(sample: Sample) -> list[dict]:
    return json.loads((report(sample) / "comparison.json").read_text())


def html(sample: Sample) -> str:
    return (report(sample) / "index.html").read_text()


def failure(capsys) -> str:
    with pytest.raises(SystemExit) as ended:
        compare.main.callback()
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_one_row_per_dataset_experiment_wiring_protocol_and_seed(sample):
    sample.wirings, sample.seeds = ["as_coded", "as_described"], [0, 1]
    sample.write()
    compare.main.callback()
    keys = ["dataset", "input", "model", "wiring", "protocol", "seed"]
    found = [tuple(row[key] for key in keys) for row in rows(sample)]
    assert len(found) == len(set(found)) == 2 * 2 * 2 * 2
    assert rows(sample)[0]["experiment"] == "sirens-waveform-cnn"
    assert pd.read_csv(report(sample) / "comparison.csv").to_dict("records") == rows(sample)


def test_folds_are_pooled_into_one_score(compared):
    row = next(row for row in rows(compared) if row["protocol"] == "grouped" and row["input"] == "waveform")
    frame = read_table(compared.predictions("synthetic_sirens", "waveform-cnn"))
    grouped = frame[frame["protocol"] == "grouped"]
    assert row["folds"] == 3
    assert row["windows"] == len(grouped) == 3 * compared.windows
    assert row["accuracy"] == pytest.approx((grouped["label"] == grouped["predicted"]).mean(), abs=1e-6)
    assert row["best_epoch"] == pytest.approx(compared.epochs - 1)


def test_what_params_does_not_list_is_left_out(sample):
    sample.write()
    sample.protocols, sample.experiments = {"published": 1}, ["log_mel-cnn"]
    sample.write_params()
    compare.main.callback()
    assert {(row["protocol"], row["input"]) for row in rows(sample)} == {("published", "log_mel")}
    assert "As published (not leak-free)" in html(sample)


def test_a_model_without_wirings_is_compared_whatever_is_listed(sample):
    sample.write()
    sample.wirings = ["as_described"]
    sample.write_params()
    compare.main.callback()
    assert {row["wiring"] for row in rows(sample)} == {"as_coded"}


def test_the_same_bytes_twice(sample):
    sample.write()
    compare.main.callback()
    first = {path.name: path.read_bytes() for path in report(sample).iterdir()}
    compare.main.callback()
    assert first == {path.name: path.read_bytes() for path in report(sample).iterdir()}
    assert sorted(first) == ["comparison.csv", "comparison.json", "index.html", "summary.json"]
    assert str(sample.root).encode() not in first["index.html"]


def test_the_report_asks_no_network(compared):
    page = Page(html(compared))
    sounds = {address for address in page.asked if address.startswith("data:audio/mpeg;base64,")}
    assert sounds and set(page.asked) - sounds <= {"data:,"} | {f"#{name}" for name in page.ids}
    elsewhere = [link for link in page.links if not link.startswith(("#", links.ADDRESS))]
    assert elsewhere == ["https://arxiv.org/abs/1306.1461"]
    assert "script" not in page.tags
    assert "@import" not in html(compared)
    assert "url(http" not in html(compared)


def test_ids_are_unique_and_references_lead_somewhere(compared):
    page = Page(html(compared))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links + page.asked if link.startswith("#")} <= set(page.ids)


def test_every_row_of_scores_has_an_anchor_and_links_to_its_runs(compared):
    page = Page(html(compared))
    for dataset in compared.datasets:
        for experiment in compared.experiments:
            what = (dataset, *experiment.split("-"), "as_coded")
            assert links.anchor(*what) in page.ids
            assert {links.runs(*what, protocol) for protocol in compared.protocols} <= set(page.links)


def test_every_experiment_is_in_plot_table_curves_and_matrices(compared):
    for experiment in compared.experiments:
        assert Page(html(compared)).words.count(experiment) >= 7


def test_every_model_is_shown_by_its_layers(compared):
    text = html(compared)
    shown = len(compared.datasets) * len(compared.experiments)
    row = '<th scope="row">convolutions.0</th><td class="text">Conv1d</td><td class="text">(16, 32000)</td><td>192</td>'
    assert text.count(row) == shown
    total = '<th scope="row">total</th><td class="text"></td><td class="text"></td><td>481</td>'
    assert text.count(total) == shown


def test_synthetic_is_said_with_every_result(compared, capsys, monkeypatch):
    text = html(compared)
    assert text.count('<span class="badge">synthetic</span>') == 2
    assert "Scores on synthetic_sirens (synthetic)" in text
    monkeypatch.setenv("EARSHOT_ROOT", str(compared.root))
    compare.print_summary()
    assert "synthetic_sirens (synthetic)" in capsys.readouterr().out
    assert all(row["synthetic"] is True for row in rows(compared))


def test_names_from_folders_are_escaped(sample):
    evil = "<script>alert(1)</script>"
    sample.datasets = {"synthetic_sirens": [evil, "a&b $x_1$"]}
    sample.write()
    compare.main.callback()
    assert "<script" not in html(sample)
    assert "a&amp;b $x_1$" in html(sample)
    assert evil in Page(html(sample)).words


def test_files_set_aside_are_told_with_their_reasons(compared):
    assert "3 set aside: does not decode (1), shorter than a window (2)" in html(compared)


def test_warnings_of_the_manifest_are_told(compared):
    assert "one class was recorded louder" in html(compared)


def test_a_class_without_a_test_window_is_told(sample):
    sample.write()
    for experiment in sample.experiments:
        path = sample.predictions("synthetic_sirens", experiment)
        frame = read_table(path)
        write_table(
            path,
            frame[(frame["protocol"] == "published") | (frame["label"] == "emergency")],
            read_recipe(path),
        )
    compare.main.callback()
    assert "No window of non_emergency was tested (grouped)" in html(sample)


@pytest.mark.parametrize("kind", ["predictions", "history"])
def test_a_missing_file_is_one_clear_error(sample, capsys, kind):
    sample.write()
    path = getattr(sample, kind)("synthetic_sirens", "log_mel-cnn")
    path.unlink()
    message = failure(capsys)
    assert str(path) in message
    assert "dvc repro" in message
    assert not report(sample).exists()


@pytest.mark.parametrize("kind", ["predictions", "history"])
def test_a_damaged_file_is_one_clear_error(sample, capsys, kind):
    sample.write()
    path = getattr(sample, kind)("synthetic_sirens", "log_mel-cnn")
    path.write_bytes(path.read_bytes()[:20])
    assert str(path) in failure(capsys)


def test_a_listed_run_that_is_missing_is_one_clear_error(sample, capsys):
    sample.write()
    sample.seeds = [0, 7]
    sample.write_params()
    assert "lacks protocol published, wiring as_coded, seed 7" in failure(capsys)


def test_a_fold_that_is_missing_is_one_clear_error(sample, capsys):
    sample.write()
    path = sample.predictions("synthetic_sirens", "log_mel-cnn")
    frame = read_table(path)
    write_table(path, frame[frame["fold"] < 2], read_recipe(path))
    assert "has not the folds of its runs" in failure(capsys)


def test_the_summary_is_plain_text_without_a_terminal(sample, capsys):
    sample.wirings = ["as_coded", "as_described"]
    sample.write()
    compare.main.callback()
    first = capsys.readouterr().out
    compare.print_summary()
    assert capsys.readouterr().out == first
    assert "\x1b" not in first
    assert max(map(len, first.splitlines())) <= 100
    assert "data/report/index.html" in first
    assert "make dashboard" in first


def test_the_summary_needs_a_comparison(sample):
    with pytest.raises(EarshotError, match=r"summary\.json is missing"):
        compare.print_summary()


def made_up(margin: float = 0.02, also: dict | None = None, **accuracies: tuple[float, float]) -> list:
    """Pairs whose intervals reach `margin` up and down: `waveform__cnn=(published, grouped)`."""
    scores, inflated = [], []
    for name, both in accuracies.items():
        source, model = name.split("__")
        what = {"dataset": "d", "synthetic": False, "task": "sirens", "input": source, "model": model}
        what["wiring"] = "as_coded"
        for protocol, value in zip(("published", "grouped"), both, strict=True):
            bounds = {"accuracy_low": value - margin, "accuracy_high": value + margin}
            scores.append({**what, "protocol": protocol, "accuracy": value, **bounds})
        inflated.append({**what, **around(both[0] - both[1], margin)})
    comparisons = [
        {"dataset": "d", "wiring": "as_coded", "protocol": protocol, "a": a, "b": b, **around(one - two, margin)}
        for place, protocol in enumerate(("published", "grouped"))
        for (a, one), (b, two) in combinations(
            [(name.replace("__", "-"), both[place]) for name, both in accuracies.items()], 2
        )
    ]
    return side_by_side({"scores": scores, "inflation": inflated, "comparisons": comparisons, **(also or {})})


def around(value: float, margin: float) -> dict:
    return {"difference": value, "low": value - margin, "high": value + margin}


def test_of_one_experiment_there_is_one_inflation():
    text = " ".join(words.answer(made_up(waveform__cnn=(0.95, 0.70)), [], 0.5))
    assert "As published, it scores 0.250 higher [+0.230, +0.270]." in text


def test_the_answer_names_winner_inflation_and_the_gain_of_the_spectrogram():
    text = " ".join(
        words.answer(made_up(waveform__cnn=(0.95, 0.70), log_spectrogram__cnn=(0.93, 0.85)), CONTRASTS, 0.5)
    )
    assert "log_spectrogram-cnn scores highest, with an accuracy of 0.850 [0.830, 0.870]" in text
    assert "Next comes waveform-cnn (0.700)" in text
    assert "0.165 higher on average: from +0.080 (log_spectrogram-cnn) to +0.250 (waveform-cnn)" in text
    assert "As published, waveform-cnn would have come first, with 0.950" in text
    assert "cnn +0.150 [+0.130, +0.170]" in text
    assert "too close" not in text.lower()


def test_the_answer_calls_small_differences_small():
    text = " ".join(
        words.answer(made_up(waveform__cnn=(0.85, 0.84), log_spectrogram__cnn=(0.84, 0.85)), CONTRASTS, 0.84)
    )
    assert "Too close to it to call: waveform-cnn (0.840)" in text
    assert "cnn +0.010 [−0.010, +0.030] (too close to call)" in text
    assert "For 2 of the 2 the interval of the difference holds 0" in text
    assert "Not surely better than always naming the largest class (0.840): log_spectrogram-cnn" in text


def test_contrasts_set_what_differs_in_one_part_alone_against_each_other():
    pairs = made_up(stft__gru=(0.9, 0.6), cqt__gru=(0.9, 0.8), cqt__resnet=(0.9, 0.5), mfcc__gru=(0.9, 0.7))
    text = " ".join(words.answer(pairs, [{"input": ["stft", "cqt"]}, {"model": ["gru", "resnet"]}], 0.3))
    assert "With cqt instead of stft, same model, grouped: gru +0.200 [+0.180, +0.220]." in text
    assert "With resnet instead of gru, same input, grouped: cqt −0.300 [−0.320, −0.280]." in text
    assert "same model" not in " ".join(words.answer(pairs, [{"input": ["stft", "waveform"]}], 0.3))


def test_the_table_of_differences_follows_the_contrasts(sample):
    sample.contrasts = [{"input": ["log_mel", "waveform"]}, {"input": ["waveform", "cqt"]}, {"model": ["cnn", "gru"]}]
    sample.write()
    compare.main.callback()
    assert summary_of(sample)["contrasts"] == sample.contrasts
    assert '<th scope="row">waveform-cnn</th><td class="text">log_mel-cnn</td>' in html(sample)
    assert html(sample).count('<td class="text">log_mel-cnn</td>') == 1, "what is not compared is left out"


def test_there_need_be_no_contrasts(sample):
    sample.contrasts = []
    sample.write()
    compare.main.callback()
    assert "minus the other" not in html(sample) and " instead of " not in html(sample)


@pytest.mark.parametrize(
    "contrasts",
    [
        {"model": ["cnn", "lstm"]},
        ["cnn"],
        [{"wiring": ["as_coded", "as_described"]}],
        [{"model": ["cnn"]}],
        [{"model": ["cnn", "cnn"]}],
        [{"model": ["cnn", 1]}],
        [{"model": ["cnn", "lstm"], "input": ["waveform", "log_mel"]}],
    ],
)
def test_a_contrast_that_can_not_be_read_is_one_clear_error(sample, capsys, contrasts):
    sample.contrasts = contrasts
    sample.write()
    message = failure(capsys)
    assert "contrasts in params.yaml: " in message and "{model: [cnn, lstm]}" in message


@pytest.mark.long
def test_inputs_and_models_of_any_name_are_drawn(sample):
    inputs, models = ["cqt", "stft", "mfcc", "chroma", "tempogram"], ["resnet", "gru", "svm"]
    sample.experiments = [f"{name}-{model}" for name in inputs for model in models]
    sample.contrasts = [{"input": ["cqt", "mfcc"]}, {"model": ["resnet", "gru"]}]
    sample.write()
    compare.main.callback()
    text = Page(html(sample)).words
    for experiment in sample.experiments:
        assert text.count(experiment) >= 8, "in the scores, plots, curves, matrices and the noise ladder"
    assert len(set(noise_lines(html(sample)))) == len(sample.experiments), "no two lines look alike"
    assert html(sample).count('<td class="text">resnet') == 0 and html(sample).count('<td class="text">cqt-') == 3 + 1
    assert html(sample).count("-resnet</td>") == 5 + 1
    assert '<th scope="col">tutorial’s</th>' not in html(sample), "it has no figure for any of them"


def noise_lines(text: str) -> list[str]:
    """Return the style of each line in the left panel of the noise ladder: dashes and colour, as the SVG has them."""
    svg = ElementTree.fromstring(re.search(r'<svg [^>]*aria-label="Noise ladder.*?</svg>', text, re.DOTALL).group())
    (panel,) = [group for group in svg.iter("g") if group.get("id", "").endswith("axes_1")]
    lines = [group.find("path") for group in panel.findall("g") if "line2d" in group.get("id", "")]
    return [line.get("style") for line in lines if line is not None and "stroke-width: 1.4" in line.get("style")]


def test_a_difference_can_be_read_both_ways():
    waveform, spectrogram = made_up(waveform__cnn=(0.9, 0.7), log_spectrogram__cnn=(0.9, 0.8))
    assert spectrogram.against(waveform, "grouped").value == pytest.approx(0.1)
    turned = waveform.against(spectrogram, "grouped")
    assert (turned.value, turned.low, turned.high) == pytest.approx((-0.1, -0.12, -0.08))
    assert waveform.against(waveform, "grouped") is None


def summary_of(sample: Sample) -> dict:
    return json.loads((report(sample) / "summary.json").read_text())


def test_the_summary_has_intervals_and_pools_windows_to_recordings(compared):
    scores = summary_of(compared)["scores"]
    assert len(scores) == 4
    for row in scores:
        assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        assert row["recording_accuracy_low"] <= row["recording_accuracy"] <= row["recording_accuracy_high"]
        assert row["recordings"] < row["windows"] and row["heard"] == pytest.approx(0.9)
        assert row["seed_deviation"] is None and 0 <= row["calibration_error"] <= 1
    grouped = [row for row in scores if row["protocol"] == "grouped"]
    assert {row["groups"] for row in grouped} == {12} and {row["recordings"] for row in grouped} == {36}


def test_scores_are_means_over_seeds(sample):
    sample.seeds = [0, 1]
    sample.write()
    compare.main.callback()
    for row in summary_of(sample)["scores"]:
        same = ("input", "model", "wiring", "protocol")
        seeds = [one["accuracy"] for one in rows(sample) if all(one[name] == row[name] for name in same)]
        assert len(seeds) == row["seeds"] == 2
        assert row["accuracy"] == pytest.approx(np.mean(seeds), abs=1e-5)
        assert row["seed_deviation"] == pytest.approx(np.std(seeds, ddof=1), abs=1e-5)


def test_experiments_are_compared_on_the_same_windows(compared):
    found = summary_of(compared)["comparisons"]
    assert [(row["protocol"], row["a"], row["b"]) for row in found] == [
        ("published", "waveform-cnn", "log_mel-cnn"),
        ("grouped", "waveform-cnn", "log_mel-cnn"),
    ]
    for row in found:
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["windows"]["only_a"] + row["windows"]["only_b"] <= 3 * compared.windows
        assert 0 <= row["recordings"]["p"] <= 1


def test_the_report_says_why_and_whether_it_holds_elsewhere(compared):
    text = html(compared)
    assert "training has heard 96% of the windows that the published split tests" in text
    assert "As loud as the street (0 dB)" in text and "false alarms per hour of traffic" in text
    assert "On other_town as it stands" in text
    assert text.count("<audio ") >= 2


def elsewhere(**accuracies: float) -> dict:
    """Rows as in the summary, for pairs of `made_up`."""
    rows = []
    for name, value in accuracies.items():
        source, model = name.split("__")
        what = {"dataset": "d", "input": source, "model": model, "wiring": "as_coded", "on": ["street"]}
        rows.append({**what, "accuracy": value, "accuracy_low": value - 0.02, "accuracy_high": value + 0.02})
    return {"elsewhere": rows}


def test_the_winner_is_the_best_elsewhere_where_that_was_tested():
    both = {"waveform__cnn": (0.95, 0.70), "log_mel__cnn": (0.93, 0.85)}
    found = words.answer(made_up(**both, also=elsewhere(waveform__cnn=0.68, log_mel__cnn=0.55)), [], 0.5)
    assert found[0].startswith("Elsewhere (on street), waveform-cnn scores highest, with an accuracy of 0.680 [0.660")
    assert found[1].startswith("Tested without leak (grouped), log_mel-cnn scores highest, with an accuracy of 0.850")
    assert "was not tested" not in " ".join(found)


def test_where_none_was_tested_elsewhere_it_is_said():
    found = words.answer(made_up(waveform__cnn=(0.95, 0.70)), [], 0.5)
    assert found[0].startswith("Tested without leak (grouped), waveform-cnn scores highest")
    assert found[0].endswith("How any of them does elsewhere, on recordings of another dataset, was not tested.")


def test_three_numbers_stand_side_by_side(compared):
    (row,) = summary_of(compared)["elsewhere"]
    frame = read_table(compared.root / "data" / "cross_dataset" / "synthetic_sirens.parquet")
    assert (row["input"], row["model"], row["on"], row["test_only"]) == ("log_mel", "cnn", ["other_town"], False)
    assert row["accuracy"] == pytest.approx((frame["label"] == frame["predicted"]).mean(), abs=1e-6)
    assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    text = html(compared)
    assert '<th scope="col">published</th><th scope="col">grouped</th><th scope="col">elsewhere</th>' in text
    assert "Elsewhere (on other_town), log_mel-cnn scores highest" in text


def test_without_other_datasets_there_is_no_column_for_them(sample):
    sample.write()
    empty = pd.DataFrame(columns=["on", "input", "model"])
    write_table(sample.root / "data" / "cross_dataset" / "synthetic_sirens.parquet", empty, {})
    compare.main.callback()
    assert summary_of(sample)["elsewhere"] == []
    assert '<th scope="col">elsewhere</th>' not in html(sample) and "was not tested" in html(sample)


def test_datasets_for_testing_alone_are_elsewhere_before_others(sample):
    sample.write()
    path = sample.root / "data" / "cross_dataset" / "synthetic_sirens.parquet"
    frame = read_table(path)
    worse = frame.assign(on="street", predicted=frame["predicted"].where(frame["start"] % 2 == 0, "emergency"))
    write_table(path, pd.concat([frame, worse]), {})
    facts = {"title": "t", "task": "sirens", "licence": "l", "citation": "c", "source": {"folder": "."}}
    card = facts | {"test_only": True, "layout": {"kind": "class_folders"}}
    write_text(sample.root / "conf" / "cards" / "street.yaml", yaml.safe_dump(card))
    compare.main.callback()
    (row,) = summary_of(sample)["elsewhere"]
    assert row["on"] == ["street"] and row["test_only"]
    assert row["accuracy"] == pytest.approx((worse["label"] == worse["predicted"]).mean(), abs=1e-6)


def test_experiments_are_compared_elsewhere_too(sample):
    sample.write()
    path = sample.root / "data" / "cross_dataset" / "synthetic_sirens.parquet"
    frame = read_table(path)
    write_table(path, pd.concat([frame, frame.assign(input="waveform", predicted="emergency")]), {})
    compare.main.callback()
    (row,) = [row for row in summary_of(sample)["comparisons"] if row["protocol"] == "elsewhere"]
    assert (row["a"], row["b"]) == ("log_mel-cnn", "waveform-cnn") and row["low"] <= row["difference"] <= row["high"]
    pairs = side_by_side(summary_of(sample))
    waveform, log_mel = sorted(pairs, key=lambda pair: pair.input, reverse=True)
    assert log_mel.against(waveform, "elsewhere").value == pytest.approx(row["difference"])


def glance(sample: Sample) -> str:
    svg = re.search(r'<svg [^>]*aria-label="All experiments.*?</svg>', html(sample), re.DOTALL).group()
    return " ".join(text for text in ElementTree.fromstring(svg).itertext() if text.strip())


def test_the_overview_shows_what_is_known_of_each(sample):
    sample.write()
    compare.main.callback()
    assert "recall at" in glance(sample) and "96%" in glance(sample)
    assert not any(name in glance(sample) for name in ("megabytes", "false alarms", "seconds"))
    path = sample.predictions("synthetic_sirens", "log_mel-cnn")
    recipe = read_recipe(path)
    for run in recipe["runs"]:
        run["bytes"] = 4_100_000
    write_table(path, read_table(path), recipe)
    write_json(sample.root / "data" / "cost.json", {"synthetic_sirens": {"waveform-cnn": 1.23}})
    compare.main.callback()
    shown = glance(sample)
    assert shown.index("log_mel-cnn") < shown.index("waveform-cnn"), "the best elsewhere is the first"
    assert "4.1" in shown and "1.2" in shown and shown.count("–") == 2


def test_the_overview_takes_false_alarms_from_events():
    pairs = made_up(waveform__cnn=(0.95, 0.70), log_mel__cnn=(0.93, 0.85), also=elsewhere(waveform__cnn=0.6))
    scores = [{"dataset": "d", "input": name, "model": "cnn", "wiring": "as_coded"} for name in ("waveform", "log_mel")]
    event = {"dataset": "d", "input": "log_mel", "model": "cnn", "false_alarms_per_hour": 7.0}
    events = [event | {"point": "default"}, event | {"point": "chosen", "false_alarms_per_hour": 1.0}]
    noisy = {"dataset": "d", "input": "waveform", "model": "cnn", "snr_db": 0.0, "recall": 0.5}
    summary = {"scores": scores, "noise": [noisy, noisy | {"snr_db": None, "recall": 0.9}], "events": events}
    found = overview.rows(pairs, summary, {"log_mel-cnn": 2.0}, {"waveform-cnn": 0.97})
    assert [row["title"] for row in found] == ["waveform-cnn", "log_mel-cnn"], "what was tested elsewhere comes first"
    assert [row["false_alarms"] for row in found] == [None, 1.0] and [row["noise"] for row in found] == [0.5, None]
    assert [row["seconds"] for row in found] == [None, 2.0] and [row["tutorial"] for row in found] == [True, False]
    assert (found[0]["published"], found[0]["grouped"], found[0]["elsewhere"]) == (0.95, 0.70, 0.6)


def test_models_pass_or_fail_under_swapped_conditions(compared):
    fails, passes = summary_of(compared)["swapped"]
    assert (fails["input"], fails["passes"], passes["input"], passes["passes"]) == ("waveform", False, "log_mel", True)
    assert fails["drop_low"] > 0.05 and fails["drop"] == pytest.approx(fails["as_is"] - fails["accuracy"], abs=1e-6)
    assert passes["drop"] == passes["drop_high"] == 0
    text = html(compared)
    assert f"log_mel-cnn passes. Failing: waveform-cnn ({fails['as_is']:.3f} to {fails['accuracy']:.3f})." in text
    assert text.count('<td class="text">fails</td>') == text.count('<td class="text">passes</td>') == 1


def test_where_no_conditions_were_swapped_nothing_is_said(sample):
    sample.swapped = False
    sample.write()
    compare.main.callback()
    assert summary_of(sample)["swapped"] == [] and "Does it know the sound" not in html(sample)


def test_a_task_without_noise_has_no_ladder(sample):
    sample.noise = False
    sample.write()
    compare.main.callback()
    assert "SNR" not in html(sample) and summary_of(sample)["noise"] == []


def test_the_tutorials_figures():
    assert tutorial_figures("genres")["accuracy"] == {"summary-ann": 0.67}
    assert len(tutorial_figures("sirens")["accuracy"]) == 4
    assert tutorial_figures("birds") is None


def test_the_tutorials_figures_are_not_passed_off_as_a_target_elsewhere(sample):
    sample.datasets = {"sirens_standin": ["a", "b"], "sirens": ["a", "b"]}
    sample.write()
    compare.main.callback()
    text = html(sample)
    assert text.count("for orientation, not a target") == 1
    assert text.count("this dataset, with its published split") == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123, "+0.012"), (-0.5, "−0.500"), (0.0004, "0.000"), (-0.0004, "0.000"), (None, "–")],
)
def test_differences_are_written_with_their_sign(value, text):
    assert numbers.signed(value) == text
