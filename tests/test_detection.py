"""Trained models on any sound: windows as in training, a timeline, events; what is wrong with a file stays with it."""

from __future__ import annotations

import copy
import functools
import io
import json
import operator
import os
import shutil
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from conftest import noise, started, tone, write_audio
from earshot.audio import decode, rise, sources
from earshot.audio.suffixes import AUDIO_SUFFIXES
from earshot.batches import prepare
from earshot.cli import main
from earshot.deploy import find
from earshot.detection.answer import answer
from earshot.detection.decoding import decoded, smoothed
from earshot.detection.detector import Detector, Window
from earshot.detection.events import Event, Events
from earshot.detection.follow import follow
from earshot.detection.formats import clock
from earshot.detection.rule import Rule
from earshot.detection.timeline import Stretch, Timeline
from earshot.errors import EarshotError
from earshot.evaluation import test
from earshot.settings import compose
from earshot.trained import model_folder
from earshot.training import runs
from tiny import RATE


def trained(experiment: str, *overrides: str) -> Path:
    few = ["model.training.max_epochs=2", "mlflow.artifacts=false"]
    cfg = compose([f"experiment={experiment}", *few, *overrides])
    return runs.once(cfg, prepare.shared(cfg))


@pytest.fixture
def model(trained_on) -> Path:
    """Enough of a model to tell a horn of 900 Hz from other tones."""
    return trained("sirens-log_mel-cnn", "model.training.max_epochs=30", "optimizer.lr=0.01")


def run(*arguments: str, stdin: bytes | None = None):
    return CliRunner().invoke(main.main, ["predict", *map(str, arguments)], input=stdin)


@pytest.mark.parametrize(
    "experiment",
    [
        "sirens-log_mel-cnn",
        "sirens-log_spectrogram-lstm",
        "sirens-waveform-cnn",
        "sirens-summary-ann",
        "genres-summary-ann",
    ],
)
def test_predict_on_a_test_recording_gives_the_numbers_of_evaluate(trained_on, experiment):
    folder, cfg = trained(experiment), compose([f"experiment={experiment}"])
    data = prepare.load(cfg)
    frame, _ = test.evaluate(folder, cfg, data)
    recording = frame["recording"].iloc[0]
    path = trained_on.data("raw", data.card.name, recording)
    detector = Detector.load(folder)
    heard = {window.start: window for window in detector.windows(decode.stream(path, detector.sample_rate))}
    for row in frame[frame["recording"] == recording].itertuples():
        assert heard[row.start].seconds == pytest.approx(row.seconds)
        probabilities = [getattr(row, f"p_{name}") for name in detector.classes]
        assert heard[row.start].probabilities == pytest.approx(np.array(probabilities), abs=2e-6)


@given(
    n=st.integers(1, 12),
    seed=st.integers(0, 99),
    length=st.sampled_from([1.0, 2.0, 3.0]),
    hop=st.sampled_from([0.5, 1.0, 2.0, 3.0]),
)
def test_a_stretch_has_the_mean_of_the_windows_that_hear_some_of_it(n, seed, length, hop):
    probabilities = np.random.default_rng(seed).random((n, 2))
    windows = [Window(k * hop, length, p) for k, p in enumerate(probabilities)]
    timeline = Timeline(length, hop)
    stretches = [timeline.add(window) for window in windows] + list(timeline.end())
    assert [stretch.start for stretch in stretches] == pytest.approx(hop * np.arange(len(stretches)))
    assert stretches[-1].end == pytest.approx((n - 1) * hop + length)
    for stretch in stretches:
        hearing = [
            w.probabilities for w in windows if w.start < stretch.start + hop and stretch.start < w.start + length
        ]
        assert stretch.scores == pytest.approx(np.mean(hearing, axis=0))


def events_of(scores: list[float], rule: Rule) -> list[tuple[float, float]]:
    events = Events(["siren", "other"], ["siren"], rule)
    found = [e for k, s in enumerate(scores) for e in events.add(Stretch(k, k + 1, np.array([s, 1 - s])))]
    return [(event.start, event.end) for event in [*found, *events.end()]]


def test_an_event_begins_at_the_threshold_and_ends_below_the_release():
    scores = [0.2, 0.7, 0.4, 0.39, 0.6, 0.1, 0.5]
    assert events_of(scores, Rule(0.5, 0.4)) == [(1, 3), (4, 5), (6, 7)]
    assert events_of(scores, Rule(0.5, 0.3)) == [(1, 5), (6, 7)]
    assert events_of(scores, Rule(0.5, 0.4, min_duration=2)) == [(1, 3)]


def test_confidence_is_the_mean_score():
    events = Events(["siren"], ["siren"], Rule())
    for start, score in enumerate([0.5, 0.9, 0.4]):
        assert not events.add(Stretch(start, start + 1, np.array([score])))
    assert events.end() == [Event(0, 3, "siren", pytest.approx(0.6))]


def test_events_with_a_short_gap_are_one_and_then_long_enough():
    scores = [0.9, 0.1, 0.9, 0.1, 0.1, 0.9, 0.4, 0.1]
    assert events_of(scores, Rule(max_gap=1)) == [(0, 3), (5, 7)]
    assert events_of(scores, Rule(max_gap=2)) == [(0, 7)]
    assert events_of(scores, Rule(max_gap=1, min_duration=3)) == [(0, 3)]
    assert events_of([0.9, 0.1, 0.45, 0.9], Rule(max_gap=1)) == [(0, 1), (3, 4)]  # the gap is two seconds


def test_an_event_is_told_as_soon_as_no_other_can_join_it():
    events = Events(["siren"], ["siren"], Rule(max_gap=1))
    told = [events.add(Stretch(k, k + 1, np.array([s]))) for k, s in enumerate([0.9, 0.1, 0.1, 0.1])]
    assert [len(found) for found in told] == [0, 0, 1, 0]


def test_the_median_leaves_out_what_is_short():
    assert events_of([0.1, 0.1, 0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.9, 0.9], Rule(median=3)) == [(5, 10)]


def test_the_beginning_is_followed_back_while_scores_reach_the_attack():
    scores = [0.3, 0.1, 0.3, 0.2, 0.9, 0.1, 0.3, 0.9, 0.1]
    assert events_of(scores, Rule(0.8, 0.5)) == [(4, 5), (7, 8)]
    assert events_of(scores, Rule(0.8, 0.5, attack=0.2)) == [(2, 5), (6, 8)]
    assert events_of(scores, Rule(0.8, 0.5, attack=0.2, min_duration=3)) == [(2, 5)]
    assert events_of(scores, Rule(0.8, 0.5, attack=0.2, max_gap=1)) == [(2, 8)]
    assert events_of([0.3] * 9 + [0.9], Rule(0.8, 0.5, attack=0.2)) == [(4, 10)]  # five seconds at most


def test_an_event_begins_at_the_greatest_rise_near_its_start():
    rises = [(0.2, 9.0), (1.4, 5.0), (2.3, 7.0), (3.9, 8.0), (4.2, 0.0)]
    events = Events(["siren"], ["siren"], Rule(snap=1))
    scores = [0.1, 0.1, 0.9, 0.9, 0.1]
    stretches = [Stretch(k, k + 1, np.array([s]), r) for k, (s, r) in enumerate(zip(scores, rises, strict=True))]
    (found,) = [event for stretch in stretches for event in events.add(stretch)]
    assert (found.start, found.end) == (2.3, 4)
    assert [(event.start, event.end) for event in Events(["siren"], ["siren"], Rule(snap=1)).end()] == []


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000])
def test_a_sound_that_begins_is_a_rise_of_level(rate):
    samples = noise(2, rate)[:, 0] * np.float32(0.01)
    begins = round(0.73 * rate)
    samples[begins:] += tone(900, 2, rate)[begins:]
    time, height = rise.greatest(samples, rate, 1.0)
    assert time == pytest.approx(0.73, abs=0.03) and height > 3
    assert rise.greatest(samples[begins + rate // 10 :], rate, 0.5)[1] < height / 3
    assert rise.greatest(samples[: rate // 4], rate, 1.0) is None


@given(
    seed=st.integers(0, 999),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
    release=st.sampled_from([0.0, 0.2, 0.3]),
    min_duration=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    max_gap=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    median=st.sampled_from([0.0, 1.0, 1.5, 2.5]),
    attack=st.sampled_from([1.0, 0.1, 0.2, 0.4]),
    snap=st.sampled_from([0.0, 0.5, 1.2]),
)
def test_scores_that_are_all_known_give_the_same_events(
    seed, lengths, threshold, release, min_duration, max_gap, median, attack, snap
):
    rng, hop = np.random.default_rng(seed), 0.5
    rule = Rule(threshold, release, min_duration, max_gap, median, attack, snap)
    starts, scores, rises, ours = [], [], [], []
    for number, n in enumerate(lengths):
        clip_scores, begin = rng.random(n).round(1), 100.0 * number
        events = Events(["siren"], ["siren"], rule)
        clip_starts = begin + hop * np.arange(n)
        risen = [(t + 0.2 + hop * rng.random(), rng.random()) for t in clip_starts]
        each = zip(clip_starts, clip_scores, risen, strict=True)
        found = [e for t, s, r in each for e in events.add(Stretch(t, t + hop, np.array([s]), r))]
        ours += [(event.start, event.end) for event in [*found, *events.end()]]
        starts.append(clip_starts)
        scores.append(smoothed(clip_scores, rule.half(hop)))
        rises += risen
    starts = np.concatenate(starts)
    found = decoded(starts, starts + hop, np.concatenate(scores), rule, np.array(rises))
    assert [tuple(event) for event in found.tolist()] == ours


@pytest.mark.parametrize("limits", [{"max_gap": -1}, {"median": float("nan")}, {"snap": -1}])
def test_seconds_that_make_no_sense_are_refused(limits):
    with pytest.raises(EarshotError, match="must be a number of seconds"):
        Rule(**limits)


@pytest.mark.parametrize("limits", [(0.4, 0.5), (1.1, 0.5), (0.5, -0.1)])
def test_a_rule_that_makes_no_sense_is_refused(limits):
    with pytest.raises(EarshotError, match="release"):
        Rule(*limits)


def horn_in_the_street(path: Path, rate: int = RATE) -> Path:
    """30 s of the other class with the first in 10 to 20."""
    sound = tone(300, 30, rate, seed=3)
    sound[10 * rate : 20 * rate] = tone(900, 10, rate, seed=4)
    return write_audio(path, sound, rate)


def test_what_is_heard_and_when(model, tmp_path):
    path = horn_in_the_street(tmp_path / "street.wav")
    done = run("--model", model, "--only", "horn", path)
    first, *events = done.stdout.splitlines()
    assert first.startswith(f"{path}  0:00:30.0  other ")
    (event,) = [line.split() for line in events]
    start, end = (sum(float(x) * 60**n for n, x in enumerate(reversed(t.split(":")))) for t in event[:2])
    assert event[2] == "horn" and abs(start - 10) <= 1 and abs(end - 20) <= 1


def test_every_format_says_the_same(model, tmp_path):
    path = horn_in_the_street(tmp_path / "street, here.wav")
    forms = ("json", "csv", "windows", "audacity", "dcase")
    found = {form: run("--model", model, "--format", form, path).stdout for form in forms}
    said = json.loads(found["json"])
    assert said["file"] == str(path) and said["label"] == max(said["scores"], key=said["scores"].get)
    assert said["seconds"] == 30 and said["windows"] == 29 and sum(said["scores"].values()) == pytest.approx(1)
    rows = pd.read_csv(io.StringIO(found["csv"]))
    assert rows["file"].eq(str(path)).all()
    assert rows.drop(columns="file").sort_values(["start", "label"]).to_dict("records") == said["events"]
    windows = pd.read_csv(io.StringIO(found["windows"]))
    assert len(windows) == 29 and windows["p_horn"].mean() == pytest.approx(said["scores"]["horn"], abs=1e-5)
    labels = [line.split("\t") for line in found["audacity"].splitlines()]
    assert [(float(a), float(b)) for a, b, _ in labels] == [(e["start"], e["end"]) for e in said["events"]]
    labels = [line.split("\t") for line in found["dcase"].splitlines()[1:]]
    assert [(name, float(a), float(b), label) for name, a, b, label in labels] == [
        (str(path), e["start"], e["end"], e["label"]) for e in said["events"]
    ]
    assert run("--model", model, "--json", path).stdout == found["json"]


def test_the_name_of_a_file_does_not_command_the_terminal(model, tmp_path):
    path, torn = horn_in_the_street(tmp_path / "\x1b[2Jstreet.wav"), tmp_path / "\x1b]0;torn.wav"
    torn.write_bytes(b"RIFF")
    done = run("--model", model, path, torn)
    assert "\x1b" not in done.output
    assert r"\x1b[2Jstreet.wav" in done.stdout and r"\x1b]0;torn.wav" in done.stderr


@pytest.mark.parametrize(("suffix", "rate", "channels"), [("wav", 44100, 2), ("flac", 96000, 1), ("ogg", 22050, 2)])
def test_any_format_and_rate(model, tmp_path, suffix, rate, channels):
    sound = np.repeat(tone(900, 5, rate)[:, None], channels, axis=1)
    path = write_audio(tmp_path / f"a.{suffix}", sound, rate)
    said = json.loads(run("--model", model, "--json", path).stdout)
    assert said["label"] == "horn" and said["seconds"] == 5


@pytest.mark.process
def test_standard_input_is_a_file_of_any_format(model, tmp_path):
    path = horn_in_the_street(tmp_path / "a.flac")
    command = [sys.executable, "-m", "earshot.cli", "predict", "--model", str(model), "--json"]
    with path.open("rb") as file:
        of_stdin = subprocess.run([*command, "-"], stdin=file, capture_output=True, check=True)
    of_file = subprocess.run([*command, str(path)], capture_output=True, check=True)
    assert json.loads(of_stdin.stdout) == json.loads(of_file.stdout) | {"file": "-"}


def test_folders_and_patterns_stand_for_their_recordings(model, tmp_path):
    for name in ("b.wav", "deep/a.flac", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if name.endswith("txt"):
            (tmp_path / name).write_text("no sound")
        else:
            write_audio(tmp_path / name, tone(900, 3, RATE), RATE)

    def files(*names):
        return [json.loads(line)["file"] for line in run("--model", model, "--json", *names).stdout.splitlines()]

    assert files(tmp_path) == [str(tmp_path / "b.wav"), str(tmp_path / "deep" / "a.flac")]
    assert files(tmp_path / "*.wav") == [str(tmp_path / "b.wav")]
    assert files(tmp_path / "**" / "*.flac") == [str(tmp_path / "deep" / "a.flac")]


def odd_files(folder: Path) -> dict[str, Path]:
    """200 files that are broken or odd."""
    found = {}

    def keep(name: str, content: bytes) -> None:
        found[name] = folder / name
        found[name].write_bytes(content)

    sound = np.column_stack([tone(900, 3, 8000), noise(3, 8000)[:, 0]])
    for suffix in ("wav", "flac", "ogg", "mp3", "aiff"):
        whole = write_audio(folder / f"whole.{suffix}", sound, 8000).read_bytes()
        found[f"whole.{suffix}"] = folder / f"whole.{suffix}"
        for part in range(16):  # truncated
            keep(f"cut{part}.{suffix}", whole[: len(whole) * part // 16 + 3])
        rng = np.random.default_rng(0)
        for number in range(14):  # lying headers
            bytes_ = np.frombuffer(whole, np.uint8).copy()
            bytes_[rng.integers(4, 80, 6)] = rng.integers(0, 256, 6)
            keep(f"lie{number}.{suffix}", bytes_.tobytes())
    for number in range(18):
        keep(f"random{number}.wav", np.random.default_rng(number).bytes(50 * number**2))
    keep("flac.wav", found["whole.flac"].read_bytes())
    keep("wav.mp3", found["whole.wav"].read_bytes())
    keep("wav.m4a", found["whole.wav"].read_bytes())
    keep("text.wav", b"no sound at all\n" * 50)
    keep("text", b"no sound at all\n")
    keep("empty.wav", b"")
    keep("zeros.flac", bytes(5000))
    keep("huge.wav", b"RIFF\xff\xff\xff\xffWAVEfmt " + found["whole.wav"].read_bytes()[16:])
    odd = {
        "one.wav": (tone(900, 1, 8000)[:1], 8000, {}),
        "none.wav": (np.empty((0, 1), np.float32), 8000, {}),
        "fast.wav": (tone(900, 3, 192000), 192000, {}),
        "slow.wav": (tone(100, 3, 1000), 1000, {}),
        "wide.wav": (noise(3, 8000, channels=8), 8000, {}),
        "nan.wav": (np.where(np.arange(24000) == 20000, np.nan, 0.1), 8000, {"subtype": "FLOAT"}),
        "inf.wav": (np.where(np.arange(24000) == 20000, np.inf, 0.1), 8000, {"subtype": "FLOAT"}),
        "loud.wav": (np.full(24000, 1e300), 8000, {"subtype": "DOUBLE"}),
        "silent.wav": (np.zeros(24000), 8000, {}),
        "ulaw.wav": (tone(900, 3, 8000), 8000, {"subtype": "ULAW"}),
        "24bit.wav": (tone(900, 3, 8000), 8000, {"subtype": "PCM_24"}),
        "8bit.wav": (tone(900, 3, 8000), 8000, {"subtype": "PCM_U8"}),
        "double.wav": (tone(900, 3, 8000), 8000, {"subtype": "DOUBLE"}),
    }
    for name, (samples, rate, kind) in odd.items():
        found[name] = write_audio(folder / name, samples, rate, **kind)
    return found


def test_two_hundred_odd_files_and_each_is_answered_or_told(model, tmp_path):
    found = odd_files(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "round.wav").symlink_to(tmp_path / "round.wav")
    (tmp_path / "nowhere.wav").symlink_to(tmp_path / "nothing")
    (tmp_path / "secret.wav").symlink_to("/dev/zero")
    names = [
        *found.values(),
        *(tmp_path / f"{name}.wav" for name in ["pipe", "folder", "round", "nowhere", "secret", "missing"]),
    ]
    assert len(names) >= 200
    latin = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.wav"))
    latin.write_bytes(found["whole.wav"].read_bytes())
    done = run("--model", model, "--json", *names, latin)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(names) + 1 and done.exit_code == 1 and "Traceback" not in done.output
    told = {line["file"]: line.get("error") for line in lines}
    for line in lines:
        assert ("error" in line) != (sum(line.get("scores", {"": 0}).values()) == pytest.approx(1))
        if "error" in line:
            assert f"error: {line['file']}: {line['error']}" in done.stderr
    of = {Path(file).name: error for file, error in told.items()}
    for name in ("whole.wav", "flac.wav", "wav.mp3", "wav.m4a", "fast.wav", "wide.wav", "silent.wav", "ulaw.wav"):
        assert of[name] is None, name
    for name, why in {
        "empty.wav": "is empty",
        "text.wav": "does not decode",
        "one.wav": "lasts",
        "nan.wav": "not numbers",
        "inf.wav": "not numbers",
        "loud.wav": "loud|not numbers",
        "pipe.wav": "named pipe",
        "folder.wav": "holds no recordings",
        "round.wav": "symbolic links",
        "nowhere.wav": "No such file",
        "secret.wav": "is no file",
        "missing.wav": "No such file",
    }.items():
        assert any(part in (of[name] or "") for part in why.split("|")), (name, of[name])


def test_a_label_track_is_of_one_file(model, tmp_path):
    for name in "ab":
        horn_in_the_street(tmp_path / f"{name}.wav")
    one = run("--model", model, "--format", "audacity", tmp_path / "a.wav")
    both = run("--model", model, "--format", "audacity", tmp_path)
    assert (one.exit_code, both.exit_code) == (0, 1) and one.stdout == both.stdout
    assert f"{tmp_path / 'b.wav'}: a label track is of one file" in both.stderr


def test_a_batch_without_faults_ends_well_and_a_fault_is_an_exit_code(model, tmp_path):
    path = horn_in_the_street(tmp_path / "a.wav")
    assert run("--model", model, path).exit_code == 0
    assert run("--model", model, path, tmp_path / "b.wav").exit_code == 1
    for wrong in (
        ["--model", model, "--run", "x", path],
        ["--model", model, "--follow", path, path],
        [],
        ["--format", "xml", path],
    ):
        assert run(*wrong).exit_code == 2, wrong


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--model", "nowhere"], "holds no trained model"),
        (["--run", "nothing"], "no model of run nothing"),
        (["--champion", "horns"], "no champion of horns"),
    ],
)
def test_a_model_that_is_not_there(trained_on, tmp_path, arguments, why):
    done = run(*arguments, tmp_path / "a.wav")
    assert done.exit_code == 1 and why in done.stderr and "Traceback" not in done.output


def test_of_several_champions_one_must_be_named(trained_on, tmp_path, monkeypatch):
    monkeypatch.setattr(find, "champions", lambda: {"horns": "1", "tunes": "1"})
    done = run(tmp_path / "a.wav")
    assert done.exit_code == 1 and "which champion?: there are those of horns, tunes" in done.stderr


def test_a_class_that_the_model_does_not_know(model, tmp_path):
    done = run("--model", model, "--only", "whale", tmp_path / "a.wav")
    assert done.exit_code == 1 and "the model's classes are horn, other" in done.stderr


WRONG = [None, True, -1, 0, 1e-9, 1e300, float("nan"), 10**12, "", "../..", "a\nb", [], [1] * 5, {}, {"a": 1}]


def places(settings, above=()):
    """The places of all values in nested settings, those of mappings and lists too."""
    for key, value in settings.items() if isinstance(settings, dict) else enumerate(settings):
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from places(value, (*above, key))


def test_a_model_with_any_wrong_setting_is_used_or_told_of(model, tmp_path):
    settings = json.loads((model / "config.json").read_text())
    del settings[model_folder.DIGEST], settings["layers"]
    settings["operating_point"] = {"label": "horn", "step": 1.0, "rule": {"threshold": 0.5, "release": 0.4}}
    settings["calibration"] = {"method": "temperature", "temperature": 1.5}
    settings["pad"] = {"how": "zero", "seconds": 2.0}
    shutil.copy(model / "model.safetensors", tmp_path)
    config, sound = tmp_path / "config.json", tone(900, 3, 16000).astype(np.float32)
    config.write_text(json.dumps(settings))
    Detector.load(tmp_path)
    told = used = 0
    for *above, key in places(settings):
        for wrong in WRONG:
            changed = copy.deepcopy(settings)
            functools.reduce(operator.getitem, above, changed)[key] = wrong
            config.write_text(json.dumps(changed))
            try:
                detector = Detector.load(tmp_path)
                if detector.sample_rate == 16000 and detector.step >= 0.5:
                    answer(detector, [sound], detector.rules(), detector.classes)
                used += 1
            except EarshotError as error:
                assert str(config) in str(error) and "\n" not in str(error), (above, key, wrong)
                told += 1
    config.write_text("[" * 10**5)
    with pytest.raises(EarshotError, match="recursion"):
        Detector.load(tmp_path)
    assert told > 300 and used > 300  # what only training read may be anything


@pytest.mark.parametrize("form", ["csv", "windows"])
def test_no_spreadsheet_computes_the_name_of_a_file(model, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "=1+2.wav", tone(900, 3, 16000), 16000)
    done = run("--model", model, "--format", form, "--", "=1+2.wav")
    rows = pd.read_csv(io.StringIO(done.stdout))
    assert len(rows) and set(rows["file"]) == {"./=1+2.wav"} and Path("./=1+2.wav").is_file()


def test_settings_that_are_not_a_models_are_refused(model, tmp_path):
    settings = json.loads((model / "config.json").read_text())
    del settings[model_folder.DIGEST]
    (tmp_path / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    for broken in ({}, settings | {"classes": 5}, settings | {"window_shape": [99, 1]}, [1], settings | {"input": {}}):
        (tmp_path / "config.json").write_text(json.dumps(broken))
        done = run("--model", tmp_path, tmp_path / "a.wav")
        assert done.exit_code == 1 and "config.json does not describe a model" in done.stderr, done.output


def test_any_run_or_the_champion_answers(trained_on, tmp_path):
    folders = [trained("sirens-log_mel-cnn", f"fold={fold}") for fold in range(3)]
    path = horn_in_the_street(tmp_path / "a.wav")
    assert CliRunner().invoke(main.main, ["champion", "horns"]).exit_code == 0
    by_model = {run("--model", folder, "--json", path).stdout for folder in folders}
    assert run("--json", path).stdout in by_model
    assert run("--champion", "horns", "--json", path).stdout in by_model
    from mlflow import MlflowClient

    from earshot.tracking import store

    client = MlflowClient(store.uri())
    ids = [r.info.run_id for r in client.search_runs([client.get_experiment_by_name("sirens").experiment_id])]
    assert {run("--run", run_id, "--json", path).stdout for run_id in ids} == by_model
    of_champion = run("--json", path).stdout
    for folder in folders:  # the runs are gone, what MLflow keeps of the registered one is not
        folder.rename(folder.with_suffix(".gone"))
    try:
        assert run("--json", path).stdout == of_champion
    finally:
        for folder in folders:
            folder.with_suffix(".gone").rename(folder)


def follower(model: Path, *arguments: str, **streams) -> AbstractContextManager[subprocess.Popen]:
    command = ["-m", "earshot.cli", "predict", "--model", str(model), "--json", "--follow", *arguments]
    # whoever started the tests may have Ctrl-C ignored
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return started(*command, at_most=300, stderr=None, **heeds, **streams)


def pcm(seconds: float, rate: int = RATE) -> bytes:
    return (tone(900, seconds, rate) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [RATE, 11025])
@pytest.mark.process
def test_a_stream_is_answered_a_window_and_a_hop_after_it_was_heard(model, rate):
    with follower(model, "--rate", str(rate), "-", stdin=subprocess.PIPE) as process:
        process.stdin.write(pcm(3, rate))  # a window and a hop; what is said of the first hop must not wait for more
        process.stdin.flush()
        first = json.loads(process.stdout.readline())["stretch"]
        assert (first["start"], first["end"]) == (0, 1) and first["scores"]["horn"] > 0.5
        for second in range(1, 5):
            process.stdin.write(pcm(1, rate))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["stretch"]["start"] == second
        process.stdin.close()
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0
    assert rest[-1]["event"]["label"] == "horn" and rest[-1]["event"]["end"] >= 6


@pytest.mark.process
def test_a_file_that_grows_is_followed_until_it_is_enough(model, tmp_path):
    path = tmp_path / "growing.raw"
    path.write_bytes(pcm(2))
    with follower(model, "--rate", str(RATE), str(path)) as process:
        assert json.loads(process.stdout.readline())["stretch"]["start"] == 0
        with path.open("ab") as file:
            file.write(pcm(1))
        assert json.loads(process.stdout.readline())["stretch"]["start"] == 1
        process.send_signal(signal.SIGINT)
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0 and "event" in rest[-1]


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.process
def test_ctrl_c_at_any_moment_ends_a_stream_with_what_was_heard(model, tmp_path, goes_on):
    """It comes while the reader works on what it was told; a stream in which sound still comes ends, too."""
    detector, told = Detector.load(model), []
    path = tmp_path / "growing.raw"
    path.write_bytes(pcm(2))
    for found in follow(detector, str(path), RATE, 1, Rule(), detector.classes):
        if not told:
            signal.raise_signal(signal.SIGINT)
        if goes_on and len(told) < 3:
            with path.open("ab") as file:
                file.write(pcm(1))
        told.append(found)
    assert [type(found) for found in told] == [Stretch, Stretch, Event]
    assert (told[-1].start, told[-1].end) == (0, 2)
    with pytest.raises(KeyboardInterrupt):  # as before
        signal.raise_signal(signal.SIGINT)


@pytest.mark.process
def test_a_stream_gives_the_events_of_the_file(model, tmp_path):
    path = horn_in_the_street(tmp_path / "a.wav")
    samples, _ = soundfile.read(path, dtype="int16")
    raw = tmp_path / "pipe"
    os.mkfifo(raw)
    with follower(model, "--rate", str(RATE), str(raw)) as process:
        raw.write_bytes(samples.tobytes())
        told = [json.loads(line) for line in process.stdout]
        assert process.wait() == 0
    events = sorted((line["event"] for line in told if "event" in line), key=lambda e: (e["start"], e["label"]))
    assert events == json.loads(run("--model", model, "--json", path).stdout)["events"]


def test_a_stream_that_is_not_there(model, tmp_path):
    done = run("--model", model, "--follow", tmp_path / "nothing")
    assert done.exit_code == 1 and "No such file" in done.stderr


def test_memory_does_not_grow_with_the_length_of_a_recording(model):
    detector = Detector.load(model)
    second = tone(900, 1, RATE)

    def growth(seconds: int) -> int:
        process, most = psutil.Process(), 0
        before = process.memory_info().rss

        def watched():
            nonlocal most
            for number in range(seconds):
                if number % 100 == 0:
                    most = max(most, process.memory_info().rss - before)
                yield second

        found = answer(detector, watched(), Rule(), detector.classes)
        assert found.windows == seconds - 1
        return most

    growth(200)
    assert growth(36_000 // 4) < growth(200) + 20 * 2**20  # 2.5 hours


@given(st.floats(0, 1e6))
def test_a_time_is_written_as_a_clock(seconds):
    hours, minutes, rest = clock(seconds).split(":")
    assert int(hours) * 3600 + int(minutes) * 60 + float(rest) == pytest.approx(seconds, abs=0.0501)
    assert int(minutes) < 60 and float(rest) < 60


def test_the_recordings_of_a_folder_do_not_depend_on_the_order_of_its_files(tmp_path):
    for name in "cab":
        (tmp_path / f"{name}.wav").touch()
    assert [path.name for path in sources.recordings(str(tmp_path))] == ["a.wav", "b.wav", "c.wav"]
    assert ".wav" in AUDIO_SUFFIXES


def test_the_recordings_of_a_folder_are_classified_and_nothing_else(model, tmp_path):
    stick = tmp_path / "stick"
    for number in range(2):
        write_audio(stick / f"rec {number}.WAV", tone(900, 3, RATE, seed=number), RATE, format="WAV")
        (stick / f"._rec {number}.WAV").write_bytes(b"\0\5\26\7" + bytes(4000))
    (stick / "take.wav").mkdir()
    (stick / "take.wav" / "notes.txt").write_text("x")
    write_audio(stick / ".Trashes" / "old.wav", tone(900, 3, RATE), RATE)
    write_audio(stick / "voice.opus", tone(900, 3, 8000), 8000, format="OGG", subtype="OPUS")
    done = run("--model", model, "--json", stick)
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 3
    assert "3 recordings, ignored: 1 .txt, 3 hidden" in done.stderr


def test_channels_that_cancel_out_are_told_and_one_can_be_taken(model, tmp_path):
    sound = tone(900, 3, RATE)
    path = write_audio(tmp_path / "a.wav", np.stack([sound, -sound], axis=1), RATE)
    done = run("--model", model, path)
    assert done.exit_code == 1 and "cancel out" in done.stderr and "--channel" in done.stderr
    assert run("--model", model, "--channel", 1, path).exit_code == 0
    assert "has no channel 2, it has 2" in run("--model", model, "--channel", 2, path).stderr


def test_sound_above_full_scale_is_told_once(model, tmp_path):
    for number in (1, 2):
        write_audio(tmp_path / f"{number}.wav", number * 4 * tone(900, 3, RATE), RATE, subtype="FLOAT")
    done = run("--model", model, tmp_path)
    assert (
        done.exit_code == 0 and done.stderr.count("above full scale: 2, the worst is ") == 1 and "2.wav" in done.stderr
    )


def test_short_sound_is_padded_as_in_training(model, tmp_path):
    path = write_audio(tmp_path / "short.wav", tone(900, 1, RATE), RATE)
    assert "less than the model's window" in run("--model", model, path).stderr
    detector = Detector.load(model)
    detector.settings["pad"] = {"how": "repeat", "seconds": 2.0}
    twice = np.tile(decode.load(path, detector.sample_rate), 2)
    (window,) = detector.windows(sources.blocks(path, detector.sample_rate))
    (expected,) = detector.windows([twice])
    assert (window.start, window.seconds) == (0, 2) and np.array_equal(window.probabilities, expected.probabilities)
