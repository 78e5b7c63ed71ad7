"""Sound as people have it: odd headers, odd folders, odd channels. It is read whole, or the reason is told."""

from __future__ import annotations

import base64
import io
import os
import signal
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from conftest import noise, tone, write_audio
from earshot import files as written
from earshot import inputs
from earshot.audio import clips, cut_off, decode, files, flac, padding, sources
from earshot.audio.level import Level
from earshot.audio.pieces import Pieces, Whole
from earshot.datasets import examine, ignored, listing, manifest
from earshot.datasets.card import load_card
from earshot.datasets.download.dataset import download
from earshot.datasets.excerpts import Excerpts
from earshot.datasets.reading import reading_of
from earshot.errors import EarshotError
from earshot.settings import read_params, window_of
from earshot.splits.spans import whole_recordings, windows_of
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.tracking import examples
from test_inputs import OWN

RATE = 16000
RULES = examine.Rules(1.0, -80.0)
SECONDS = 4.0
SOUND = tone(700, SECONDS, RATE)
PCM = (SOUND * 32767).astype("<i2").tobytes()
FMT = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)


def riff(riff_size, data_size, before=b"", after=b"", fmt=FMT, pcm=PCM) -> bytes:
    """Return a WAV whose header says what it is told to."""
    chunks = b"WAVE" + before + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    return b"RIFF" + struct.pack("<I", riff_size) + chunks + b"data" + struct.pack("<I", data_size) + pcm + after


def encoded(**kwargs) -> bytearray:
    buffer = io.BytesIO()
    soundfile.write(buffer, SOUND, RATE, **kwargs)
    return bytearray(buffer.getvalue())


def changed(content: bytearray, marker: bytes, offset: int, new: bytes) -> bytes:
    """Return a file with other bytes `offset` behind a marker."""
    place = content.find(marker) + offset
    content[place : place + len(new)] = new
    return bytes(content)


def mp3(seconds: float = SECONDS, rate: int = 44100, **kwargs) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(700, seconds, rate), rate, format="MP3", **kwargs)
    return buffer.getvalue()


def without_xing(content: bytes) -> bytes:
    sync = b"\xff\xfb" if b"\xff\xfb" in content[:4] else b"\xff\xf3"  # MPEG 1 and 2
    return content[content.find(sync, content.find(sync) + 4) :]


def id3(n: int) -> bytes:
    return b"ID3\x03\0\0" + bytes(n >> shift & 127 for shift in (21, 14, 7, 0)) + bytes(range(256)) * (n // 256)


N = len(PCM)
WHOLE = {
    "plain.wav": riff(36 + N, N),
    "size-unknown.wav": riff(0xFFFFFFFF, 0xFFFFFFFF),
    "size-large.wav": riff(0x7FFFF024, 0x7FFFF000),
    "size-short.wav": riff(36 + N // 2, N // 2),
    "odd-chunk-unpadded.wav": riff(36 + N + 11, N, before=b"LIST" + struct.pack("<I", 3) + b"abc"),
    "odd-chunk-padded.wav": riff(36 + N + 12, N, before=b"LIST" + struct.pack("<I", 3) + b"abc\0"),
    "chunk-behind.wav": riff(
        36 + N + 40008, N, after=b"LIST" + struct.pack("<I", 40000) + noise(1, 20000).tobytes()[:40000]
    ),
    "junk-behind.wav": riff(36 + N, N, after=bytes(777) + b"TAG" + b"x" * 125),
    "zeros-behind.wav": riff(36 + N, N, after=bytes(65536)),
    "short.au": changed(encoded(format="AU", subtype="PCM_16"), b".snd", 8, struct.pack(">I", N // 2)),
    "unknown.au": changed(encoded(format="AU", subtype="PCM_16"), b".snd", 8, b"\xff" * 4),
    "short.aiff": changed(encoded(format="AIFF", subtype="PCM_16"), b"SSND", 4, struct.pack(">I", N // 2 + 8)),
    "short.caf": changed(encoded(format="CAF", subtype="PCM_16"), b"data", 4, struct.pack(">q", N // 2 + 4)),
    "unknown.caf": changed(encoded(format="CAF", subtype="PCM_16"), b"data", 4, struct.pack(">q", -1)),
    "float-short.wav": changed(encoded(format="WAV", subtype="FLOAT"), b"data", 4, struct.pack("<I", N)),
    "short.flac": changed(encoded(format="FLAC"), b"fLaC", 22, struct.pack(">I", round(RATE * SECONDS / 2))),
    "short-tagged.flac": changed(encoded(format="FLAC"), b"fLaC", 22, struct.pack(">I", 99)) + b"TAG" + b"x" * 125,
    "long.flac": changed(encoded(format="FLAC"), b"fLaC", 22, struct.pack(">I", round(RATE * SECONDS * 2))),
    "junk-behind.flac": bytes(encoded(format="FLAC")) + bytes(range(256)) * 9,
    "from-a-pipe-tagged.flac": changed(encoded(format="FLAC"), b"fLaC", 22, bytes(4)) + b"TAG" + b"x" * 125,
    "from-a-pipe.flac": changed(encoded(format="FLAC"), b"fLaC", 22, bytes(4)),
    "a.opus": bytes(encoded(format="OGG", subtype="OPUS")),
    "a.rf64": bytes(encoded(format="RF64", subtype="PCM_16")),
    "a.w64": bytes(encoded(format="W64", subtype="PCM_16")),
    "no-suffix": riff(36 + N, N),
}


@pytest.mark.parametrize("name", list(WHOLE))
def test_what_is_there_is_read_whatever_the_header_says(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(WHOLE[name])
    samples, rate = decode.read(path)
    assert (len(samples) / rate, rate) == (SECONDS, RATE)
    if not name.endswith("opus"):
        assert np.abs(samples[:, 0] - SOUND).max() < 1e-4
    assert files.find(tmp_path).recordings == [path]


CAF = encoded(format="CAF", subtype="PCM_16")
REFUSED = {
    "size-0.wav": (riff(0, 0), "header says 0 samples but sound follows"),
    "size-0.au": (changed(encoded(format="AU", subtype="PCM_16"), b".snd", 8, bytes(4)), "header says 0 samples but"),
    "size-0.rf64": (changed(encoded(format="RF64", subtype="PCM_16"), b"ds64", 8, bytes(24)), "header says 0 samples"),
    "rate-0.wav": (riff(36 + N, N, fmt=struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)), "sample rate of 0 Hz"),
    "rate-1.wav": (riff(36 + N, N, fmt=struct.pack("<HHIIHH", 1, 1, 1, 2, 2, 16)), "sample rate of 1 Hz"),
    "rate-huge.wav": (riff(36 + N, N, fmt=struct.pack("<HHIIHH", 1, 1, 2 * 10**9, 2, 2, 16)), "rate of 2000000000 Hz"),
    "rate-beyond.wav": (
        riff(36 + N, N, fmt=struct.pack("<HHIIHH", 1, 1, 2**32 - 1, 2, 2, 16)),
        "rate of 4294967295 Hz",
    ),
    "rate-infinite.caf": (changed(CAF, b"desc", 12, struct.pack(">d", float("inf"))), "incomplete"),
    "channels-beyond.au": (
        changed(encoded(format="AU", subtype="PCM_16"), b".snd", 20, b"\xff" * 4),
        "4294967295 channels",
    ),
    "channels-0.wav": (riff(36 + N, N, fmt=struct.pack("<HHIIHH", 1, 0, RATE, 2, 2, 16)), "Channel count is zero"),
    "two-files.wav": (WHOLE["plain.wav"] * 2, "another file begins where its sound ends"),
    "two-files.flac": (bytes(encoded(format="FLAC")) * 2, "another file begins where its sound ends"),
    "m4a.wav": ((28).to_bytes(4, "big") + b"ftypM4A \0\0\0\0M4A mp42isom" + bytes(5000), r"ffmpeg.*m4a"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_can_not_be_read_has_one_clear_reason(tmp_path, name):
    content, reason = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        decode.read(tmp_path / name)
    with pytest.raises(EarshotError, match=reason):
        list(sources.blocks(tmp_path / name, RATE))
    why = examine.examine(tmp_path / name, examine.Rules(2.0, -80))["reason"]
    assert why.startswith("does not decode: ") and manifest.without_details(why) == "does not decode"


HALF_A_FLAC = bytes(encoded(format="FLAC"))[: len(encoded(format="FLAC")) // 2]
CUT_OFF = {
    **{kind: bytes(encoded(format=kind, subtype="PCM_16"))[: N // 2] for kind in ("WAV", "AIFF", "AU", "CAF", "W64")},
    **{kind: bytes(encoded(format=kind, subtype="PCM_16"))[: N // 2] for kind in ("RF64", "NIST")},
    "ADPCM": bytes(encoded(format="WAV", subtype="IMA_ADPCM"))[: N // 8],
    "FLAC": HALF_A_FLAC,
    "FLAC that declares too many samples": WHOLE["long.flac"],
    "MP3": mp3(bitrate_mode="VARIABLE")[:20000],
}
UNENDED = {
    "Vorbis": bytes(encoded(format="OGG", subtype="VORBIS"))[:9000],
    "Opus": bytes(encoded(format="OGG", subtype="OPUS"))[:9000],
    "FLAC from a pipe": changed(bytearray(HALF_A_FLAC), b"fLaC", 22, bytes(4)),
}


@pytest.mark.parametrize("kind", [*CUT_OFF, *UNENDED])
def test_a_recording_that_is_cut_off_is_read_as_far_as_it_goes_and_told(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes((CUT_OFF | UNENDED)[kind])
    samples, rate = decode.read(path)
    note = cut_off.note(path, len(samples), rate)
    if kind in UNENDED:
        assert 0 < len(samples) / rate < SECONDS and note == cut_off.UNENDED
    else:
        missing = float(note.removeprefix(f"{cut_off.EARLY}: ").removesuffix(" s are missing"))
        declared = 2 * SECONDS if "too many" in kind else SECONDS
        assert len(samples) / rate + missing == pytest.approx(declared, abs=0.15 if kind in ("MP3", "ADPCM") else 0.02)
    assert examine.examine(path, examine.Rules(0.1, -80))["note"] == note


@pytest.mark.parametrize("name", [name for name in WHOLE if name != "long.flac"])
def test_of_a_recording_that_is_whole_nothing_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(WHOLE[name])
    assert cut_off.note(tmp_path / name, round(SECONDS * RATE), RATE) is None


def test_media_of_an_m4a_that_reach_beyond_its_end_are_told(tmp_path):
    whole = (16).to_bytes(4, "big") + b"ftypM4A \0\0\0\0" + (8 + 1000).to_bytes(4, "big") + b"mdat" + bytes(1000)
    for content, note in ((whole, None), (whole[:-504], f"{cut_off.EARLY}: 2.00 s are missing")):
        (tmp_path / "a.m4a").write_bytes(content)
        assert cut_off.note(tmp_path / "a.m4a", 2 * RATE, RATE) == note


@given(
    st.integers(1, 12000), st.integers(1, 3), st.sampled_from([8000, 44100, 11025, 12345, 192000]), st.integers(0, 999)
)
def test_the_frames_of_a_flac_say_its_length(tmp_path_factory, n, channels, rate, behind):
    path = tmp_path_factory.mktemp("flac") / "a.flac"
    write_audio(path, np.resize(SOUND, (n, channels)), rate)
    path.write_bytes(path.read_bytes() + b"tail" * behind)
    counted = flac.count(path)
    assert (counted.declared, counted.samples, counted.whole, counted.begins_anew) == (n, n, True, False)


def test_a_flac_of_empty_blocks_or_of_heads_without_end_is_given_up(tmp_path, monkeypatch):
    whole = bytes(encoded(format="FLAC"))
    path = tmp_path / "a.flac"
    path.write_bytes(whole[:4] + b"\0" + whole[5:42] + bytes(4 * flac.MOST_BLOCKS) + whole[42:])
    assert flac.count(path) is None
    monkeypatch.setattr(flac, "MOST_SOUGHT", 10)
    path.write_bytes(whole + b"\xff\xf8\0" * 9)
    assert flac.count(path).samples == len(SOUND)
    path.write_bytes(whole + b"\xff\xf8\0" * 11)
    assert flac.count(path) is None


def test_only_as_much_as_a_frame_can_have_is_looked_through_for_the_end_of_a_flac(tmp_path, monkeypatch):
    path = write_audio(tmp_path / "a.flac", SOUND, RATE)
    path.write_bytes(path.read_bytes() + bytes(2**23))
    looked_through, end_of_frame = [], flac._end_of_frame
    monkeypatch.setattr(flac, "_end_of_frame", lambda some: looked_through.append(len(some)) or end_of_frame(some))
    assert flac.count(path).samples == len(SOUND)
    assert sum(looked_through) < 2**18


MP3S = {
    "plain": (mp3(), 4),
    "variable rate without a Xing header": (without_xing(mp3(bitrate_mode="VARIABLE")), 4),
    "constant rate without a Xing header": (without_xing(mp3(bitrate_mode="CONSTANT")), 4),
    "half the sample rate, without a Xing header": (without_xing(mp3(rate=22050)), 4),
    "a picture in its tag": (id3(512000) + mp3(), 4),
    "two tags": (id3(2560) + id3(2560) + mp3(), 4),
    "cut off": (mp3(8)[: len(mp3(8)) // 2], 4),
    "two files, one behind the other": (mp3() + mp3(), 8),
    "two files, the second with a tag": (mp3() + id3(2560) + mp3(), 8),
    "zeros in the middle": (mp3() + bytes(20000) + mp3(), 8),
    "something foreign in the middle": (mp3() + WHOLE["plain.wav"][:3000] + mp3(), 8),
}


@pytest.mark.parametrize("kind", list(MP3S))
@pytest.mark.parametrize("suffix", ["mp3", "wav"])
def test_an_mp3_is_as_long_as_its_sound(tmp_path, kind, suffix):
    content, seconds = MP3S[kind]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    samples, rate = decode.read(path)
    assert len(samples) / rate == pytest.approx(seconds, abs=0.5 if kind == "cut off" else 0.12)
    assert np.abs(samples[-rate // 2 : -rate // 4]).max() > 0.2, "sound to its end"


def test_ogg_files_behind_each_other_are_read_one_after_the_other(tmp_path):
    (tmp_path / "a.ogg").write_bytes(bytes(encoded(format="OGG", subtype="VORBIS")) * 2)
    samples, _ = decode.read(tmp_path / "a.ogg")
    assert len(samples) == 2 * len(SOUND)


@pytest.fixture
def interruptible():
    """Ctrl-C is what it is in a terminal, also where whoever started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Interrupted(io.BytesIO):
    def write(self, data):
        signal.raise_signal(signal.SIGINT)
        return super().write(data)


def test_ctrl_c_is_not_lost_while_a_sound_is_encoded(interruptible, monkeypatch):
    monkeypatch.setattr(clips.io, "BytesIO", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        clips.mp3(np.zeros(16000, np.float32))


@pytest.mark.parametrize("call", ["readinto", "seek"])
def test_ctrl_c_is_not_lost_while_a_sound_is_decoded(interruptible, tmp_path, monkeypatch, call):
    path = tmp_path / "two-files.ogg"
    one = io.BytesIO()
    soundfile.write(one, np.zeros(16000, np.float32), 16000, format="OGG")
    path.write_bytes(one.getvalue() * 2)  # read in pieces
    before = getattr(Pieces, call)

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return before(*arguments)

    monkeypatch.setattr(Pieces, call, interrupted)
    with pytest.raises(KeyboardInterrupt):
        decode.read(path)


def test_an_excerpt_is_a_stretch_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "BLOCK", 1000)  # so that 2 s are far into the file
    for name in ("size-short.wav", "plain.wav", "from-a-pipe.flac", "short.aiff"):
        (tmp_path / name).write_bytes(WHOLE[name])
        found, _ = decode.excerpt(tmp_path / name, 2.0, 1.5)
        assert np.array_equal(found, decode.read(tmp_path / name)[0][2 * RATE : 2 * RATE + RATE * 3 // 2])
        assert len(clips.excerpt(tmp_path / name, 3.5, 1.0)) == RATE // 2


# Folders


@pytest.fixture
def shelf(tmp_path):
    """A folder with two recordings, and much that is none."""
    top = tmp_path / "shelf"
    for name in ("crow/a.WAV", "wren/b.wav", ".Trashes/old.wav", "__MACOSX/crow/c.wav"):
        write_audio(top / name, noise(2.5, 8000), 8000, format="WAV")
    for name in ("crow/._a.WAV", ".DS_Store", "crow/a.txt", "take.wav/notes.md", "README", "Thumbs.db"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(b"\0\5\26\7 no sound" * 20)
    (top / "utf16.csv").write_text("start,end\n1,2\n" * 50, encoding="utf-16")
    return top


def test_a_folder_holds_its_recordings_and_what_is_ignored_is_counted(shelf, capsys):
    found = files.find(shelf)
    assert [path.name for path in found.recordings] == ["a.WAV", "b.wav"]
    assert found.counts == {".csv": 1, ".db": 1, ".md": 1, ".txt": 1, "hidden": 4, "without a suffix": 1}
    everything = [path for path in shelf.rglob("*") if path.is_file()]
    assert len(found.recordings) + sum(found.counts.values()) == len(everything)
    assert sources.recordings(str(shelf)) == found.recordings
    assert "2 recordings, ignored: 1 .csv" in capsys.readouterr().err


def test_linked_folders_are_followed_once_and_loops_are_refused(tmp_path):
    top, disk = tmp_path / "top", tmp_path / "disk"
    write_audio(top / "wren" / "1.wav", noise(1, 8000), 8000)
    write_audio(disk / "crow" / "1.wav", noise(1, 8000), 8000)
    links = {
        "crow": disk / "crow",
        "again": disk / "crow",
        "wren2": top / "wren",
        "up": top,
        "wren/here": ".",
        "gone": "x",
    }
    for name, target in links.items():
        (top / name).symlink_to(target)
    (top / "self").symlink_to("self")
    (disk / "crow" / "back").symlink_to(top)
    found = files.find(top)
    assert len(found.recordings) == 2 and found.recordings[-1] == top / "wren" / "1.wav"
    why = {path.relative_to(top).as_posix(): reason for path, reason in found.ignored.items()}
    assert {why.pop(name) for name in ("up", "wren/here")} == {files.LOOP}
    assert {why.pop(name) for name in ("gone", "self")} == {files.DANGLING}
    assert why.pop("wren2") == files.SEEN
    assert set(why.values()) == {files.SEEN} and len(why) == 2


@given(st.lists(st.sampled_from(["a.wav", "b.txt", ".c.wav", "d", "e.opus", "f.m4a", "_x/g.wav", "h/i.caf", "h/.j"])))
def test_every_file_of_a_folder_is_accounted_for(tmp_path_factory, names):
    top = tmp_path_factory.mktemp("any")
    for name in names:
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_bytes(b"x")
    found = files.find(top)
    assert len(found.recordings) + sum(found.counts.values()) == len(set(names))


def test_download_copies_through_links_and_tells_what_it_leaves_out(project, tmp_path, capsys):
    ours, disk = tmp_path / "ours", tmp_path / "disk"
    write_audio(disk / "crow" / "1.wav", noise(1, 8000), 8000)
    write_audio(ours / "wren" / "1.opus", noise(1, 8000), 8000, format="OGG", subtype="OPUS")
    (ours / "crow").symlink_to(disk / "crow")
    (ours / "owl").symlink_to(disk / "owl")
    (ours / ".DS_Store").write_bytes(b"x")
    (ours / "who.csv").write_text("filename,group\n")
    project.card("birds", source={"folder": str(ours)}, layout={"kind": "class_folders"})
    download(load_card("birds"))
    raw = project.data("raw", "birds")
    copied = sorted(path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file())
    assert copied == ["crow/1.wav", "who.csv", "wren/1.opus"]
    assert not any(path.is_symlink() for path in raw.rglob("*"))
    said = capsys.readouterr().out
    assert "not copied: 1 hidden, 1 link to nothing" in said and "not followed: owl" in said


# The manifest


@pytest.fixture
def birds(project) -> Path:
    project.card("birds", source={"folder": "."}, layout={"kind": "class_folders"})
    raw = project.data("raw", "birds")
    for number, label in enumerate(["crow", "crow", "wren", "wren"]):
        write_audio(raw / label / f"{label}-{number}.wav", noise(2.5, 8000, seed=number), 8000)
    return raw


def run():
    return CliRunner().invoke(manifest_stage.main, ["birds"])


def counts(project):
    return written.read_json(project.data("manifest", "birds.json"))


def test_every_file_is_read_set_aside_or_ignored(birds, project):
    project.params(manifest={"max_set_aside": 0.6, "silence_dbfs": -80.0})
    (birds / "crow" / "crow-0.txt").write_text("0.5\t1.5\tcrow\n")
    (birds / ".hidden").mkdir()
    (birds / ".hidden" / "x.wav").write_bytes(b"x")
    (birds / "crow" / "x.mp3").write_bytes(bytes(5000))
    (birds / "wren" / "x.m4a").write_bytes(b"\0\0\0\x1cftypM4A " + bytes(500))
    write_audio(birds / "loose.wav", noise(2.5, 8000, seed=9), 8000)
    write_audio(birds / "wren" / "short.wav", noise(1, 8000, seed=9), 8000)
    (birds / "owl").symlink_to(birds / "nowhere")
    done = run()
    found = counts(project)
    there = [path for path in birds.rglob("*") if path.is_file() or path.is_symlink()]
    assert found["read"] + sum(found["set_aside"].values()) + sum(found["ignored"].values()) == len(there) == 11
    assert found["set_aside"] == {"does not decode": 2, "no class folder": 1, "shorter than a window": 1}
    assert found["ignored"] == {".txt": 1, "hidden": 1, "link to nothing": 1}
    assert "ignored: 1 .txt, 1 hidden, 1 link to nothing" in done.output
    assert "warning: Not followed: owl, a link to nothing" in done.output


def test_label_tracks_beside_recordings_stop_nothing(birds, project):
    for path in list(birds.rglob("*.wav")):
        path.with_suffix(".txt").write_text("0.5\t1.5\tcrow\n")
    assert run().exit_code == 0 and counts(project)["read"] == 4 and counts(project)["ignored"] == {".txt": 4}


def test_a_table_that_the_card_names_is_told_apart(project, birds):
    (birds / "who.csv").write_text("filename,group\ncrow-0.wav,a\ncrow-1.wav,b\nwren-2.wav,c\nwren-3.wav,d\n")
    layout = {"kind": "class_folders", "groups": {"file": "who.csv"}}
    project.card("birds", source={"folder": "."}, layout=layout)
    rows = listing.recordings_of(load_card("birds"), birds)
    assert ignored.find(load_card("birds"), birds, [row["path"] for row in rows]).counts == {ignored.NAMED: 1}


def test_recordings_that_a_card_does_not_name_are_counted(project):
    layout = {"kind": "long_recordings", "recordings": {"a": "a.wav", "b": "b.wav"}}
    project.card("birds", source={"folder": "."}, layout=layout)
    for number, name in enumerate("abc"):
        write_audio(project.data("raw", "birds", f"{name}.wav"), noise(5, 8000, seed=number), 8000)
    assert run().exit_code == 0 and counts(project)["ignored"] == {ignored.NOT_NAMED: 1}


def test_a_class_without_a_recording_left_is_told(birds, project):
    project.params(manifest={"max_set_aside": 0.5, "silence_dbfs": -80.0})
    (birds / "owl").mkdir()
    (birds / "owl" / "x.wav").write_bytes(b"")
    assert "Class owl is gone: all of its recordings (1) are set aside" in run().output


def test_numbered_files_are_named_after_no_class(project):
    project.card("birds", source={"folder": "."}, layout={"kind": "class_folders"})
    for number in range(12):
        write_audio(project.data("raw", "birds", str(number % 3), f"{number // 3}.wav"), noise(3, 8000, number), 8000)
    assert run().exit_code == 0 and counts(project)["read"] == 12


def test_too_short_recordings_name_the_key_to_set(birds, project):
    for number in range(3):
        write_audio(birds / "crow" / f"short-{number}.wav", noise(1, 8000, seed=9 + number), 8000)
    said = run().output
    assert "crow/short-0.wav: shorter than a window: 1.00 s, and windows.birds.length is 2.0" in said
    assert (
        "Set windows.birds.length (and hop) in params.yaml to what they last (1.00 s), or windows.birds.pad to zero"
        in said
    )


@pytest.mark.parametrize(("channel", "reason"), [("mix", "silent: its channels cancel out"), (0, None), (1, None)])
def test_what_is_judged_is_what_models_get(birds, project, channel, reason):
    sound = noise(2.5, 8000, seed=7)
    write_audio(birds / "crow" / "x.wav", np.concatenate([sound, -sound], axis=1), 8000)
    facts = examine.examine(birds / "crow" / "x.wav", examine.Rules(2.0, -80, channel))
    assert str(facts["reason"] or "").startswith(reason or "") and bool(facts["reason"]) == bool(reason)
    if reason:
        with pytest.raises(EarshotError, match="cancel out"):
            list(sources.blocks(birds / "crow" / "x.wav", 8000))
    else:
        heard = np.concatenate(list(sources.blocks(birds / "crow" / "x.wav", 8000, Level(channel))))
        assert np.abs(heard - (1 - 2 * channel) * sound[:, 0]).max() < 1e-4


def test_a_recording_without_the_channel_of_the_card_is_set_aside(birds, project):
    layout = {"kind": "class_folders"}
    project.card("birds", source={"folder": "."}, layout=layout, channel=1)
    for number, path in enumerate(sorted(birds.rglob("*.wav"))[1:]):
        write_audio(path, noise(2.5, 8000, seed=number, channels=2), 8000)
    frame = examine.build(load_card("birds"), birds, 2.0, -80)
    assert frame["reason"].value_counts().to_dict() == {"has no channel 1, it has 1": 1}


def test_examples_are_heard_as_models_get_them(birds, project):
    """In the report's mistakes and in a run's examples: the channel that the card names."""
    for path in birds.rglob("*.wav"):
        write_audio(path, np.stack([tone(300, 2.5, 8000), tone(900, 2.5, 8000)], axis=1), 8000)
    write_audio(birds / "wren" / "wren-4.wav", np.stack([tone(300, 2.5, 8000), tone(901, 2.5, 8000)], axis=1), 8000)
    write_audio(birds / "crow" / "crow-4.wav", np.stack([tone(300, 2.5, 8000), tone(902, 2.5, 8000)], axis=1), 8000)
    project.params(manifest={"max_set_aside": 0.9, "silence_dbfs": -80.0})
    for channel, pitches in ((0, {300}), (1, {900}), ("mix", {300, 900})):
        project.card("birds", source={"folder": "."}, layout={"kind": "class_folders"}, channel=channel)
        assert run().exit_code == 0
        window = {"fold": 0, "recording": "wren/wren-4.wav", "group": "g", "start": 0.0, "seconds": 2.0}
        row = window | {"label": "wren", "predicted": "crow", "p_crow": 0.9, "p_wren": 0.1, "seed": 0}
        (example,) = examples.examples("birds", pd.DataFrame([row]), right=False)
        sound, rate = soundfile.read(io.BytesIO(base64.b64decode(example["sound"].partition(",")[2])))
        level = np.abs(np.fft.rfft(sound[:rate]))
        loudest = np.flatnonzero(level > level.max() / 3)
        assert {round(int(hertz) / 100) * 100 for hertz in loudest} == pitches
        assert np.array_equal(
            Excerpts("birds").read("wren/wren-4.wav", 0.0, 2.0), clips.excerpt(birds / "wren/wren-4.wav", 0, 2, channel)
        )


def test_a_recording_that_is_cut_off_is_in_the_manifest_with_a_note(birds, project):
    write_audio(birds / "wren" / "cut.wav", noise(5, 8000, seed=9), 8000)
    (birds / "wren" / "cut.wav").write_bytes((birds / "wren" / "cut.wav").read_bytes()[:-16000])
    done = run()
    assert done.exit_code == 0
    noted = written.read_table(project.data("manifest", "birds.parquet")).dropna(subset="note")
    assert noted[["path", "status"]].to_numpy().tolist() == [["wren/cut.wav", "read"]]
    assert counts(project)["notes"] == {cut_off.EARLY: 1}
    (warning,) = counts(project)["warnings"]
    assert "1 of 5, the first is wren/cut.wav (1.00 s are missing)" in warning and warning in done.output


def test_sound_above_full_scale_is_told_with_the_worst(birds, project):
    write_audio(birds / "wren" / "wren-3.wav", noise(2.5, 8000, seed=3) * 32768, 8000, subtype="FLOAT")
    assert run().exit_code == 0
    (warning,) = counts(project)["warnings"]
    assert "above full scale: 1, the worst is wren/wren-3.wav" in warning and "clip" in warning


def test_details_of_a_reason_are_not_counted_apart():
    assert manifest.without_details("silent") == "silent"
    assert manifest.without_details("does not decode: needs ffmpeg (m4a)") == "does not decode"
    assert manifest.without_details("does not decode: lost (known: torn: off)") == "does not decode (known: torn: off)"
    assert manifest.without_details("does not decode (known: torn: off)") == "does not decode (known: torn: off)"


# Padding


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("none", [1, 2, 3]),
        ("zero", [1, 2, 3, 0, 0, 0, 0, 0]),
        ("repeat", [1, 2, 3, 1, 2, 3, 1, 2]),
        ("center", [0, 0, 1, 2, 3, 0, 0, 0]),
    ],
)
def test_short_sound_is_padded_to_a_window(how, expected):
    sound = np.array([1, 2, 3], np.float32)
    for blocks in ([sound], [sound[:1], sound[1:]], [sound[:0], sound]):
        assert np.concatenate(list(padding.padded_blocks(blocks, 8, how))).tolist() == expected
    long = np.arange(20, dtype=np.float32)
    assert np.concatenate(list(padding.padded_blocks([long[:5], long[5:]], 8, how))).tolist() == long.tolist()


def test_padded_recordings_are_read_and_counted(birds, project):
    windows = project.params()["windows"] | {"birds": {"length": 3.0, "pad": "center"}}  # the hop is the default's
    project.params(windows=windows)
    assert "4 recordings are padded to a window of 3 s (center)" in run().output
    assert counts(project)["padded"] == 4 and counts(project)["seconds"] == 10
    assert manifest.read("birds")["padded"].tolist() == [0.5] * 4
    project.params(windows=windows | {"birds": {"length": 3.0, "hop": 1.0, "pad": "mirror"}})
    assert "windows.birds.pad is mirror, and must be one of none, zero, repeat, center" in run().output


def test_a_padded_recording_is_one_window_of_every_input(birds, project):
    params = project.params()
    project.params(windows=params["windows"] | {"birds": {"length": 3.0, "hop": 1.0, "pad": "zero"}})
    for stage in (manifest_stage, fingerprint_stage):
        done = CliRunner().invoke(stage.main, ["birds"])
        assert done.exit_code == 0, done.output
    params, card = read_params(), load_card("birds")
    recordings = manifest.read("birds")
    (window,) = windows_of(whole_recordings(recordings.head(1)), window_of(params["windows"], "birds")).to_dict(
        "records"
    )
    assert (window["start"], window["seconds"]) == (0, 3)
    reading = reading_of(card, params["windows"])("crow/crow-0.wav")
    for name in OWN:
        built = inputs.build(name, params, "birds", clips=True)
        rows = np.concatenate(list(built.rows(reading.stream(birds / recordings["path"][0], built.sample_rate))))
        padded = reading.load(birds / recordings["path"][0], built.sample_rate)
        assert len(padded) == 3 * built.sample_rate and not padded[-built.sample_rate // 4 :].any()
        assert len(rows) >= built.n_rows(3.0)
    assert len(written.read_table(project.data("fingerprint", "birds", "conditions.parquet"))) == 4
    assert reading.particulars and not reading_of(load_card("gtzan"), params["windows"])("x").particulars


def test_names_that_are_no_unicode_are_found(tmp_path):
    name = os.fsencode(tmp_path) + b"/m\xe9sange.wav"
    with open(name, "wb") as file:
        file.write(WHOLE["plain.wav"])
    (path,) = files.find(tmp_path).recordings
    assert len(decode.read(path)[0]) == len(SOUND)


def test_where_a_broken_header_leads_before_the_beginning_a_decoder_stays(tmp_path):
    path = write_audio(tmp_path / "a.wav", SOUND, RATE)
    with Whole(path) as content:
        assert content.seek(10) == 10
        assert content.seek(-11, os.SEEK_CUR) == content.seek(-1) == content.seek(-(10**9), os.SEEK_END) == 10


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that can't be read, of Linux")
def test_a_disk_that_does_not_give_a_recording_says_nothing_about_the_recording(tmp_path):
    path = tmp_path / "a.wav"
    path.symlink_to("/proc/self/mem")  # no page of it is at 0
    for opened in (decode.read, lambda path: examine.examine(path, RULES)):
        with pytest.raises(OSError, match="Input/output error"):
            opened(path)
    with pytest.raises(EarshotError, match="^can't be read: Input/output error$"):
        list(sources.blocks(path, RATE))
    path.rename(tmp_path / "a")
    assert files.find(tmp_path).ignored == {tmp_path / "a": files.UNREAD}
