"""The download stage against a server on this machine that breaks off, lies and stalls."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import types
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path

import filelock
import pytest
import yaml

from conftest import started
from earshot.datasets import gtzan_artists
from earshot.datasets.card import load_card
from earshot.datasets.download import dataset as stage
from earshot.datasets.download import download
from earshot.datasets.download import fetch as fetching
from earshot.errors import EarshotError
from servers import Reply, Server

PROJECT = Path(__file__).parents[1]
CONTENT = os.urandom(300_000)
CUT = 200_000  # where the server breaks off
OTHER = os.urandom(300_000)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


class Project:
    """An earshot project with cards of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cards = root / "conf" / "cards"
        self.cards.mkdir(parents=True)
        self.card("synthetic_bells", {"generated": {"module": "bells"}})

    def card(self, name: str, source: dict, checksums: dict[str, bytes] | None = None, **more) -> None:
        if checksums is not None:
            source = {**source, "checksums": f"{name}.sha256"}
            lines = [f"{sha256(content)}  {file}\n" for file, content in checksums.items()]
            (self.cards / f"{name}.sha256").write_text("".join(lines))
        content = {"title": name, "licence": "a licence", "citation": "none", "source": source, **more}
        (self.cards / f"{name}.yaml").write_text(yaml.safe_dump(content))

    def raw(self, name: str) -> dict[str, bytes]:
        folder = self.root / "data" / "raw" / name
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def arrived(self) -> int:
        parts = (self.root / "data" / "cache").rglob("*.part")
        return sum(path.stat().st_size for path in parts)

    def nothing_there(self, name: str) -> bool:
        return not (self.root / "data" / "raw" / name).exists()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path / "project"))
    monkeypatch.delenv("EARSHOT_MIRROR", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetching, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(fetching, "LONGEST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(fetching, "READ_SECONDS", 0.3)
    return Project(tmp_path / "project")


@pytest.fixture
def bells(project, server):
    """A dataset of one file with a known checksum on the server."""
    server.files["a.wav"] = CONTENT
    file = {
        "path": "a.wav",
        "urls": [f"{server.address}/a.wav"],
        "sha256": sha256(CONTENT),
        "bytes": len(CONTENT),
    }
    project.card("bells", {"files": [file]})
    return file


def unchecked(project, *addresses: str) -> None:
    project.card("bells", {"files": [{"path": "a.wav", "urls": list(addresses)}]})


# One file over HTTP


def test_file_is_downloaded_and_its_origin_and_licence_are_told(project, bells, server, capsys):
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert f"bells: 1 file, 0.3 MB, verified, from {server.address}\n" in capsys.readouterr().out
    assert not (project.root / "data" / "cache" / "download" / "bells").exists()


def test_licence_is_told(project, bells, capsys):
    download(load_card("bells"))
    assert "licence: a licence" in capsys.readouterr().out


def test_download_that_breaks_off_goes_on_from_there(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=CUT)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    resumed_at = int(server.requests[1][1].removeprefix("bytes=").rstrip("-"))
    assert CUT - fetching.CHUNK_BYTES <= resumed_at <= CUT


def test_break_where_no_length_is_announced_is_noticed(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=CUT, announced=-1)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert server.requests[1][1] == f"bytes={CUT}-"


def test_breaks_are_no_failure_as_long_as_something_arrives(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=70_000)] * 3 + [Reply(stop_after=0)] * 3
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_server_that_ignores_ranges_is_asked_for_all_again(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=CUT), Reply(ranges=False)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


@pytest.mark.parametrize("mark", [True, False])
def test_file_that_changes_between_two_parts_is_never_mixed(mark, project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=CUT, body=OTHER, mark=mark)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_part_without_mark_or_checksum_is_not_continued(project, server):
    server.files["a.wav"] = CONTENT
    unchecked(project, f"{server.address}/a.wav")
    server.replies["a.wav"] = [Reply(stop_after=CUT, mark=False)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert [wanted for _, wanted in server.requests] == [None, None]


def test_part_without_checksum_is_continued_by_its_mark(project, server):
    server.files["a.wav"] = CONTENT
    unchecked(project, f"{server.address}/a.wav")
    server.replies["a.wav"] = [Reply(stop_after=CUT)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert server.requests[1][1]


def test_part_longer_than_the_file_is_dropped(project, server):
    server.files["a.wav"] = CONTENT[:1000]
    project.card(
        "bells",
        {"files": [{"path": "a.wav", "urls": [f"{server.address}/a.wav"], "sha256": sha256(CONTENT[:1000])}]},
    )
    server.replies["a.wav"] = [Reply(body=OTHER, stop_after=CUT, mark=False)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT[:1000]}


def test_short_answer_with_the_rest_is_not_the_rest(project, server):
    server.files["a.wav"] = CONTENT
    server.replies["a.wav"] = [Reply(stop_after=CUT), Reply(announced=1000, stop_after=1000)]
    unchecked(project, f"{server.address}/a.wav")
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT} and len(server.requests) == 3


ODD = {
    "redirect to no address": b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n",
    "redirect to no name": b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\n\r\n",
    "redirect to a long name": b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a" * 300 + b".b/\r\n\r\n",
    "redirect to no port": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999/\r\n\r\n",
    "size of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nxx",
    "length of 5000 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\nx",
    "header without end": b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000,
    "no HTTP": b"\x00\xff\x01",
    "nothing": b"",
    "compressed, and not": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nabc",
    "part of another file": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-9/10\r\n\r\nabc",
}


@pytest.mark.parametrize("odd", ODD)
def test_address_that_answers_oddly_is_passed_over(odd, project, bells, server):
    server.replies["odd.wav"] = [Reply(raw=ODD[odd])] * (fetching.ATTEMPTS + 1)
    project.card("bells", {"files": [{**bells, "urls": [f"{server.address}/odd.wav", *bells["urls"]]}]})
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_address_that_is_too_slow_is_passed_over(project, bells, server, monkeypatch):
    monkeypatch.setattr(fetching, "SLOW_SECONDS", 0.1)
    server.replies["slow.wav"] = [Reply(trickle=0.001)]
    project.card("bells", {"files": [{**bells, "urls": [f"{server.address}/slow.wav", *bells["urls"]]}]})
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_server_error_that_passes_is_waited_out(project, bells, server):
    server.replies["a.wav"] = [Reply(status=500), Reply(status=503), Reply(status=429)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_missing_file_is_asked_for_once(project, bells, server):
    server.files.clear()
    with pytest.raises(EarshotError, match=r"a\.wav: 404 Not Found"):
        download(load_card("bells"))
    assert len(server.requests) == 1


def test_stalled_server_is_left(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=CUT, stall=True)]
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_server_that_always_stalls_is_given_up(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=0, stall=True)] * fetching.ATTEMPTS
    with pytest.raises(EarshotError, match=r"no byte within 0\.3 s"):
        download(load_card("bells"))


@pytest.mark.parametrize("announced", [len(CONTENT) - 1000, len(CONTENT) + 1000])
@pytest.mark.parametrize("known", [True, False])
def test_wrong_content_length_is_noticed(announced, known, project, bells, server):
    if not known:
        project.card("bells", {"files": [{k: v for k, v in bells.items() if k != "bytes"}]})
    server.replies["a.wav"] = [Reply(announced=announced, ranges=False)] * 10
    with pytest.raises(EarshotError, match=r"bytes where the card says|wrong bytes|broke off"):
        download(load_card("bells"))
    assert project.nothing_there("bells")


def test_more_bytes_than_the_card_allows_are_not_taken(project, bells, server):
    server.replies["a.wav"] = [Reply(body=CONTENT * 3)]
    with pytest.raises(EarshotError, match="900000 bytes where the card says 300000"):
        download(load_card("bells"))
    assert project.arrived() <= len(CONTENT)


def test_wrong_bytes_are_deleted_and_the_next_address_is_tried(project, bells, server, capsys):
    server.files["wrong.wav"] = OTHER
    addresses = [f"{server.address}/wrong.wav", f"{server.address}/a.wav"]
    project.card("bells", {"files": [{**bells, "urls": addresses}]})
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_wrong_bytes_everywhere_are_told(project, bells, server):
    server.files["a.wav"] = OTHER
    with pytest.raises(EarshotError, match=rf"wrong bytes: SHA-256 is {sha256(OTHER)}, expected {sha256(CONTENT)}"):
        download(load_card("bells"))
    assert project.nothing_there("bells") and project.arrived() == 0


def test_redirect_is_followed_to_the_web_alone(project, bells, server):
    server.replies["a.wav"] = [Reply(status=302, location="/b.wav")]
    server.files["b.wav"] = CONTENT
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    server.replies["a.wav"] = [Reply(status=302, location="file:///etc/passwd")]
    with pytest.raises(EarshotError, match="No connection adapters"):
        download(load_card("bells"))


def test_file_without_checksum_is_called_unverified(project, server, capsys):
    server.files["a.wav"] = CONTENT
    unchecked(project, f"{server.address}/a.wav")
    download(load_card("bells"))
    assert "unverified" in capsys.readouterr().out


def test_nothing_reachable_is_told_in_one_message_with_all_that_helps(project, tmp_path, monkeypatch):
    monkeypatch.setenv("EARSHOT_MIRROR", str(tmp_path / "mirror"))
    unchecked(project, "http://127.0.0.1:9/a.wav", "http://127.0.0.1:9/b.wav")
    with pytest.raises(EarshotError) as error:
        download(load_card("bells"))
    lines = str(error.value).splitlines()
    assert "'bells'" in lines[0]
    assert lines[1] == f"  {tmp_path}/mirror/bells/a.wav: No such file or directory"
    assert lines[2] == "  http://127.0.0.1:9/a.wav: Connection refused"
    assert lines[3] == "  http://127.0.0.1:9/b.wav: Connection refused"
    assert f"EARSHOT_MIRROR is set to '{tmp_path}/mirror'" in lines[4]
    assert "no network: synthetic_bells" in lines[5]


# Killed runs


def start(
    name: str, code: str = "from earshot.stages.download import main; main()"
) -> AbstractContextManager[subprocess.Popen]:
    return started("-c", code, name)


@pytest.mark.process
def test_killed_download_goes_on_where_it_was(project, bells, server):
    server.replies["a.wav"] = [Reply(stop_after=CUT, stall=True)]
    with start("bells") as process:
        deadline = time.monotonic() + 300
        while project.arrived() < CUT - fetching.CHUNK_BYTES and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.communicate()
    assert project.nothing_there("bells")
    before, there = server.sent, project.arrived()
    assert there >= CUT - fetching.CHUNK_BYTES
    with start("bells") as process:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert server.sent - before == len(CONTENT) - there


@pytest.mark.process
def test_kill_before_the_last_step_leaves_no_half_folder(project, bells, server):
    code = "import os, signal, earshot.datasets.download.dataset as stage; from earshot.stages.download import main; "
    code += "stage._publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL); main()"
    with start("bells", code) as process:
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert project.nothing_there("bells")
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_second_process_on_the_same_dataset_is_told(project, bells, monkeypatch):
    monkeypatch.setattr(stage, "LOCK_SECONDS", 0.05)
    folder = project.root / "data" / "cache" / "download"
    folder.mkdir(parents=True)
    with (
        filelock.FileLock(folder / "bells.lock"),
        pytest.raises(EarshotError, match="another process is downloading bells"),
    ):
        download(load_card("bells"))


@pytest.mark.process
def test_command_tells_an_error_without_traceback(project):
    with start("drums") as process:
        output, _ = process.communicate()
    assert process.returncode == 1
    assert output.decode().startswith("error: no dataset is called 'drums'")


# What stands in the way here


def test_planted_link_is_not_followed(project, bells, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    work = project.root / "data" / "cache" / "download" / "bells"
    (work / "bells" / "fetched").mkdir(parents=True)
    (work / "bells" / "files").symlink_to(outside)
    (work / "bells" / "parts").symlink_to(outside)
    (work / "bells" / "fetched" / "a.wav").symlink_to(outside / "a.wav")
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    work.symlink_to(outside)
    download(load_card("bells"))
    assert not list(outside.iterdir())


def test_download_replaces_what_was_there(project, bells):
    old = project.root / "data" / "raw" / "bells"
    old.mkdir(parents=True)
    (old / "old.wav").write_bytes(b"old")
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}


def test_full_disk_is_told_before_the_download(project, bells, server, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(EarshotError, match=r"No space left on device: 300000 bytes to download, 0 free"):
        download(load_card("bells"))


def test_folder_that_cannot_be_written_is_told(project, bells):
    (project.root / "data").write_text("in the way")
    with pytest.raises(EarshotError, match=r"bells: .*data"):
        download(load_card("bells"))


# Archives


TRACKS = {"genres/rock/1.wav": b"rock", "genres/jazz/1.wav": b"jazz"}


@pytest.fixture
def archive(project, server):
    """A dataset in a zip with a folder above, and more in it than the dataset."""
    server.files["a.zip"] = zipped({f"main/{name}": c for name, c in {**TRACKS, "README": b"no"}.items()})
    urls = [f"{server.address}/a.zip"]
    source = {"archive": {"path": "a.zip", "urls": urls, "strip": 1, "max_unpacked_bytes": 1000}}
    project.card("bells", source, checksums=TRACKS)
    return source


def test_archive_is_unpacked_to_the_listed_files(project, archive, capsys):
    download(load_card("bells"))
    assert project.raw("bells") == TRACKS
    assert "verified" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("inside", "told"),
    [
        ({"main/genres/rock/1.wav": b"rock"}, "missing: genres/jazz/1.wav"),
        (
            {**{f"main/{n}": c for n, c in TRACKS.items()}, "main/genres/rock/1.wav": b"r0ck"},
            "wrong bytes .*rock/1",
        ),
        ({"../evil.wav": b"evil"}, "leads out"),
    ],
)
def test_archive_with_other_files_is_refused(inside, told, project, archive, server):
    server.files["a.zip"] = zipped(inside)
    with pytest.raises(EarshotError, match=told):
        download(load_card("bells"))
    assert project.nothing_there("bells")


def test_next_address_is_tried_after_a_wrong_archive(project, archive, server):
    server.files["wrong.zip"] = zipped({"main/genres/rock/1.wav": b"rock"})
    urls = [f"{server.address}/wrong.zip", f"{server.address}/a.zip"]
    project.card("bells", {"archive": {**archive["archive"], "urls": urls}}, checksums=TRACKS)
    download(load_card("bells"))
    assert project.raw("bells") == TRACKS


def test_archive_without_list_is_unpacked_by_pattern(project, archive, server, capsys):
    project.card("bells", {"archive": {**archive["archive"], "members": "genres/*/*.wav"}})
    download(load_card("bells"))
    assert project.raw("bells") == TRACKS
    assert "unverified" in capsys.readouterr().out
    project.card("bells", {"archive": {**archive["archive"], "members": "*.flac"}})
    with pytest.raises(EarshotError, match=r"no file that matches '\*\.flac'"):
        download(load_card("bells"))


def test_unpacked_archive_is_bounded(project, archive, server):
    server.files["a.zip"] = zipped({"main/genres/rock/1.wav": bytes(1001)})
    with pytest.raises(EarshotError, match="more than"):
        download(load_card("bells"))


# Mirrors


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture(params=["folder", "address"])
def mirror(request, tmp_path, server, monkeypatch):
    """Give a function that puts files into a mirror, which is a folder or an address."""

    def put(files: dict[str, bytes]) -> None:
        if request.param == "folder":
            fill(tmp_path / "mirror", files)
        else:
            server.files |= {f"mirror/{name}": content for name, content in files.items()}

    monkeypatch.setenv(
        "EARSHOT_MIRROR",
        str(tmp_path / "mirror") if request.param == "folder" else f"{server.address}/mirror/",
    )
    (tmp_path / "mirror").mkdir()
    return put


def asked_in_public(server) -> list[str]:
    return [path for path, _ in server.requests if not path.startswith("mirror/")]


def test_mirror_comes_before_public_addresses(project, bells, mirror, server):
    mirror({"bells/a.wav": CONTENT})
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert not asked_in_public(server)


def test_mirror_without_the_file_or_with_another_is_passed_over(project, bells, mirror, server):
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    mirror({"bells/a.wav": OTHER})
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT}
    assert asked_in_public(server) == ["a.wav", "a.wav"]


def test_mirror_may_hold_the_archive(project, archive, mirror, server):
    mirror({"bells/a.zip": server.files["a.zip"]})
    download(load_card("bells"))
    assert project.raw("bells") == TRACKS
    assert not asked_in_public(server)


def test_mirror_may_hold_the_files_of_an_archive(project, archive, mirror, server):
    mirror({f"bells/{name}": content for name, content in TRACKS.items()})
    download(load_card("bells"))
    assert project.raw("bells") == TRACKS
    assert not asked_in_public(server)


def test_mirror_with_a_wrong_file_leads_to_the_archive(project, archive, mirror, server):
    mirror({f"bells/{name}": b"wrong" for name in TRACKS})
    download(load_card("bells"))
    assert project.raw("bells") == TRACKS
    assert asked_in_public(server) == ["a.zip"]


def test_names_are_quoted_in_addresses(project, mirror):
    files = {"a file #1?.wav": CONTENT}
    project.card("bells", {}, checksums=files)
    mirror({f"bells/{name}": content for name, content in files.items()})
    download(load_card("bells"))
    assert project.raw("bells") == files


def test_dataset_for_mirrors_alone_says_so(project, mirror):
    project.card("bells", {}, checksums=TRACKS)
    with pytest.raises(EarshotError, match="no public address") as error:
        download(load_card("bells"))
    assert "genres/rock/1.wav: " in str(error.value)


# A folder of this machine


@pytest.fixture
def recordings(tmp_path):
    files = {
        "rock/1.wav": b"1",
        "jazz/2.flac": b"2",
        "groups.csv": b"filename,group\n",
        ".hidden/x.wav": b"no",
    }
    fill(tmp_path / "recordings", files)
    return tmp_path / "recordings"


def test_own_folder_is_copied(project, recordings, capsys):
    project.card("ours", {"folder": "../recordings"})
    download(load_card("ours"))
    assert set(project.raw("ours")) == {"rock/1.wav", "jazz/2.flac", "groups.csv"}
    assert "unverified" in capsys.readouterr().out
    copy = project.root / "data" / "raw" / "ours" / "rock" / "1.wav"
    assert copy.stat().st_ino != (recordings / "rock" / "1.wav").stat().st_ino


def test_own_folder_is_checked_where_there_is_a_list(project, recordings):
    project.card("ours", {"folder": str(recordings)}, checksums={"rock/1.wav": b"1"})
    download(load_card("ours"))
    assert project.raw("ours") == {"rock/1.wav": b"1"}
    project.card("ours", {"folder": str(recordings)}, checksums={"rock/1.wav": b"other", "rock/3.wav": b"3"})
    with pytest.raises(EarshotError, match=r"missing: rock/3\.wav; wrong bytes .*: rock/1\.wav"):
        download(load_card("ours"))


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("../nowhere", "is not a folder"),
        ("../empty", "holds no recordings"),
        ("..", "the project's own data"),
    ],
)
def test_fault_of_own_folder_is_told_with_key_and_path(folder, told, project, tmp_path):
    fill(tmp_path / "empty", {"notes.txt": b"no sound"})
    project.card("ours", {"folder": folder})
    with pytest.raises(EarshotError, match=told) as error:
        download(load_card("ours"))
    assert "ours.yaml: source.folder: " in str(error.value)


# A dataset made by code


@pytest.fixture
def bell_foundry(monkeypatch):
    """A module `earshot.datasets.synthetic.bells`."""
    module = types.ModuleType("earshot.datasets.synthetic.bells")
    module.generate = lambda out, *, seed: (out / "a.wav").write_bytes(bytes([seed]))
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_dataset_is_made_by_code(project, bell_foundry, capsys):
    project.card("synthetic_bells", {"generated": {"module": "bells", "arguments": {"seed": 7}}})
    download(load_card("synthetic_bells"))
    assert project.raw("synthetic_bells") == {"a.wav": b"\x07"}
    assert "made by code" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("generated", "told"),
    [
        ({"module": "bells", "arguments": {"seed": 7, "sed": 7}}, "sed"),
        ({"module": "drums"}, "drums"),
        ({"module": "sound"}, "generate"),
    ],
)
def test_fault_of_generated_is_told(generated, told, project, bell_foundry):
    project.card("synthetic_bells", {"generated": generated})
    with pytest.raises(EarshotError, match=rf"synthetic_bells\.yaml: source\.generated: .*{told}"):
        download(load_card("synthetic_bells"))


# Group labels


GROUPS = "filename,genre,artist_group,test_fold\r\n" + "".join(
    f"{genre}.{number:05}.wav,{genre},{number},{number % 3 + 1}\r\n"
    for genre in ("blues", "rock")
    for number in (0, 1, 2, 17)
)


def as_text_files(table: str) -> dict[str, bytes]:
    """Make the published text files from the table, in another order."""
    rows = list(csv.DictReader(io.StringIO(table)))[::-1]
    lines = dict.fromkeys("123", "")
    for row in rows:
        lines[row["test_fold"]] += f"./{row['filename'].replace('.', '_', 1)}\t{row['artist_group']}\n"
    return {f"f{fold}_evaluate_groups.txt": text.encode() for fold, text in lines.items()}


def converted(table: str, folder: Path) -> bytes:
    fill(folder, as_text_files(table))
    gtzan_artists.convert(folder, folder)
    return (folder / "artist_groups.csv").read_bytes()


def test_artist_groups_come_back_from_their_text_files(tmp_path):
    assert converted(GROUPS, tmp_path) == GROUPS.encode()


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("f2_evaluate_groups.txt", None, "f2_evaluate_groups.txt is missing"),
        ("f2_evaluate_groups.txt", "./blues_1.wav 7\n", "expected './GENRE_NNNNN.wav<TAB>GROUP'"),
    ],
)
def test_fault_in_the_text_files_is_told(name, text, told, tmp_path):
    fill(tmp_path, as_text_files(GROUPS))
    (tmp_path / name).unlink()
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=told):
        gtzan_artists.convert(tmp_path, tmp_path)


@pytest.fixture
def groups(project, server):
    """A card of group labels in the form they are published in; returns the archive's own card."""
    text_files = {f"HEAD/{name}": content for name, content in as_text_files(GROUPS).items()}
    server.files["groups.zip"] = zipped({**text_files, "HEAD/f1_train_groups.txt": b"not needed"})
    source = {
        "path": "groups.zip",
        "urls": [f"{server.address}/groups.zip"],
        "strip": 1,
        "members": "f?_evaluate_groups.txt",
        "max_unpacked_bytes": 10_000,
        "convert": "gtzan_artists",
    }
    project.card("artists", {"archive": source}, checksums={"artist_groups.csv": GROUPS.encode()})
    return text_files


def test_needed_groups_are_put_among_the_files(project, groups, bells, server, capsys):
    project.card("bells", {"files": [bells]}, needs="artists")
    download(load_card("bells"))
    assert project.raw("bells") == {"a.wav": CONTENT, "artist_groups.csv": GROUPS.encode()}
    out = capsys.readouterr().out
    assert "bells: 1 file, " in out and "artists: 1 file, " in out


def test_groups_from_a_mirror_are_the_table_itself(project, groups, mirror, server):
    mirror({"artists/artist_groups.csv": GROUPS.encode()})
    download(load_card("artists"))
    assert project.raw("artists") == {"artist_groups.csv": GROUPS.encode()}
    assert not asked_in_public(server)


def test_changed_groups_are_noticed_in_the_table(project, groups, server):
    name = "HEAD/f1_evaluate_groups.txt"
    server.files["groups.zip"] = zipped({**groups, name: groups[name].replace(b"\t0", b"\t99")})
    with pytest.raises(EarshotError, match=r"wrong bytes .*artist_groups\.csv"):
        download(load_card("artists"))


def test_others_import_from_the_package_and_not_from_inside():
    source = PROJECT / "src" / "earshot"
    others = [path for path in source.rglob("*.py") if (source / "datasets" / "download") not in path.parents]
    assert [path for path in others if "datasets.download." in path.read_text("utf-8")] == []


# The shipped cards on the real recordings


@pytest.fixture
def real(tmp_path, monkeypatch):
    beside = PROJECT.parent / "shared" / "mirror"
    folder = os.environ.get("EARSHOT_MIRROR") or (str(beside) if beside.is_dir() else None)
    if not folder:
        pytest.skip("the real recordings are not here: EARSHOT_MIRROR isn't set")
    monkeypatch.setenv("EARSHOT_MIRROR", folder)
    monkeypatch.setenv("EARSHOT_ROOT", str(tmp_path / "project"))
    project = Project(tmp_path / "project")
    for path in [*(PROJECT / "conf" / "cards").iterdir(), *(PROJECT / "tests" / "cards").iterdir()]:
        shutil.copyfile(path, project.cards / path.name)
    return project


@pytest.mark.real
def test_real_gtzan_mini(real, tmp_path):
    download(load_card("gtzan_mini"))
    raw = real.raw("gtzan_mini")
    assert len(raw) == 102
    table = raw["artist_groups.csv"]
    assert converted(table.decode(), tmp_path / "text") == table


@pytest.mark.real
def test_real_sirens_standin(real):
    download(load_card("sirens_standin"))
    assert sorted(real.raw("sirens_standin")) == [
        "emergency.flac",
        "emergency.segments.csv",
        "non_emergency.flac",
        "non_emergency.segments.csv",
    ]
