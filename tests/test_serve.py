"""The page where models listen: a real server, a real browser, many at once, and too much at once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import expect, sync_playwright
from safetensors.torch import save as to_bytes

from conftest import new_store, serving, tone, write_audio
from earshot import files
from earshot.audio import sources
from earshot.batches import prepare
from earshot.cli import main
from earshot.detection.answer import answer
from earshot.detection.detector import Detector
from earshot.detection.rule import Rule
from earshot.settings import compose
from earshot.trained import model_folder
from earshot.training import runs
from earshot.web.listening import AT_ONCE, WAITING
from earshot.web.overview import MOST, Overview
from tiny import RATE

pytestmark = pytest.mark.process

MOST_MB = 2


@pytest.fixture(scope="module")
def models(shared) -> list[Path]:
    def trained(*overrides: str) -> Path:
        quick = ["model.training.max_epochs=2", "mlflow.artifacts=false", "optimizer.lr=0.01"]
        cfg = compose([*quick, *overrides])
        return runs.once(cfg, prepare.shared(cfg))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_store(shared.root / "serve.db"))
        return [trained("experiment=sirens-log_mel-cnn"), trained("experiment=genres-summary-ann")]


@pytest.fixture(scope="module")
def server(shared, models):
    """Yield the address of `earshot serve` with two models, and its process."""
    offered = [f"--model={folder}" for folder in models]
    with serving("earshot.cli", "serve", "--most-mb", str(MOST_MB), *offered) as served:
        yield served


@pytest.fixture(scope="module")
def street(tmp_path_factory) -> Path:
    sound = tone(300, 20, RATE, seed=3)
    sound[8 * RATE : 14 * RATE] = tone(900, 6, RATE, seed=4)
    return write_audio(tmp_path_factory.mktemp("street") / "street.flac", sound, RATE)


def listen(server, body, **asked) -> requests.Response:
    return requests.post(f"{server[0]}/listen", params=asked, data=body, timeout=120)


def test_it_hears_what_predict_hears(server, models, street):
    done = listen(server, street.read_bytes(), model=[str(folder) for folder in models])
    found = done.json()
    assert found["seconds"] == 20 and found["spectrogram"].startswith("data:image/png;base64,iVBOR")
    for folder, heard in zip(models, found["heard"], strict=True):
        detector = Detector.load(folder)
        ours = answer(detector, sources.blocks(street, detector.sample_rate), Rule(), detector.classes)
        assert heard["scores"] == pytest.approx(ours.scores, abs=1e-6) and heard["label"] == ours.label
        assert [(e["start"], e["end"], e["label"]) for e in heard["events"]] == [
            (e.start, e.end, e.label) for e in ours.events
        ]
        assert len(heard["timeline"]["seconds"]) == ours.windows


@pytest.mark.parametrize(
    ("body", "asked", "status", "why"),
    [
        (b"no sound", {}, 422, "does not decode"),
        (b"", {}, 422, "is empty"),
        (None, {"model": "../../etc"}, 404, "name one or two of the models"),
        (None, {"model": []}, 404, "name one or two"),
        (None, {"threshold": "high"}, 422, "could not convert"),
        (None, {"threshold": "0.1", "release": "0.9"}, 422, "release (0.9) must not be above threshold (0.1)"),
        (None, {"release": "nan"}, 422, "release"),
        (bytes(MOST_MB * 1_000_001), {}, 413, "more than 2 MB"),
    ],
)
def test_what_is_wrong_is_said(server, models, street, body, asked, status, why):
    done = listen(server, street.read_bytes() if body is None else body, **{"model": str(models[0])} | asked)
    assert done.status_code == status and why in done.json()["error"]


def test_a_small_file_that_holds_hours_is_refused(server, models, tmp_path):
    path = write_audio(tmp_path / "long.flac", np.zeros(3601 * 100), 100)
    assert path.stat().st_size < 100_000
    done = listen(server, path.read_bytes(), model=str(models[0]))
    assert done.status_code == 422 and "more than 60 minutes" in done.json()["error"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_of_two_gigabytes_is_refused_without_being_read(server, models, chunked):
    host, port = server[0].removeprefix("http://").split(":")
    size = 2_000_000_000
    told = b"Transfer-Encoding: chunked\r\n" if chunked else f"Content-Length: {size}\r\n".encode()
    address = requests.Request("POST", f"{server[0]}/listen", params={"model": str(models[0])}).prepare().path_url
    sent, part = 0, bytes(2**16)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"POST {address} HTTP/1.1\r\nHost: {host}\r\n".encode() + told + b"\r\n")
        answered = b""
        connection.setblocking(False)
        while not answered and sent < size:
            try:
                sent += connection.send(b"10000\r\n" + part + b"\r\n" if chunked else part)
            except BlockingIOError:
                time.sleep(0.001)
            except ConnectionError:
                break
            with contextlib.suppress(BlockingIOError):
                answered = connection.recv(4096)
    assert answered.startswith(b"HTTP/1.1 413") and sent < 20 * MOST_MB * 1_000_000


def test_two_hundred_at_once_are_answered_or_refused_and_memory_stays(server, models, street):
    body, family = street.read_bytes(), psutil.Process(server[1].pid)
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        for done in pool.map(lambda _: listen(server, body, model=str(models[0])), range(20)):
            assert done.status_code in (200, 503)
        before = family.memory_info().rss
        found = list(pool.map(lambda _: listen(server, body, model=str(models[0])), range(200)))
    statuses = {done.status_code for done in found}
    assert statuses <= {200, 503} and sum(done.status_code == 200 for done in found) >= AT_ONCE + WAITING
    for done in found:
        assert (
            done.json()["heard"] if done.status_code == 200 else "too many recordings at once" in done.json()["error"]
        )
    assert family.memory_info().rss < before + 100 * 2**20
    assert listen(server, body, model=str(models[0])).status_code == 200


def test_uploads_that_do_not_go_on_keep_nobody_waiting(server, models, street):
    host, port = server[0].removeprefix("http://").split(":")
    address = requests.Request("POST", f"{server[0]}/listen", params={"model": str(models[0])}).prepare().path_url
    with contextlib.ExitStack() as stack:
        for _ in range(2 * (AT_ONCE + WAITING)):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
            connection.sendall(f"POST {address} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9\r\n\r\nRIFF".encode())
        assert listen(server, street.read_bytes(), model=str(models[0])).status_code == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "https://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_page_of_another_site_can_not_send_recordings(server, models, street, sent, status):
    port = server[0].rpartition(":")[2]
    headers = {name: value.format(port=port) for name, value in sent.items()}
    body, asked = street.read_bytes(), {"model": str(models[0])}
    done = requests.post(f"{server[0]}/listen", params=asked, data=body, headers=headers, timeout=120)
    assert done.status_code == status


def test_all_answers_have_the_headers_of_a_safe_page(server, models):
    answers = [requests.get(f"{server[0]}{path}", timeout=60) for path in ("/", "/models", "/none")]
    answers.append(requests.get(server[0], headers={"Host": "evil.example"}, timeout=60))
    answers.append(listen(server, b"no sound", model=str(models[0])))
    assert [done.status_code for done in answers] == [200, 200, 404, 400, 422]
    for done in answers:
        assert done.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert done.headers["X-Content-Type-Options"] == "nosniff"


def test_a_model_that_is_replaced_is_loaded_anew_and_a_broken_one_is_said(models, street, tmp_path):
    folder = shutil.copytree(models[0], tmp_path / "model")
    with serving("earshot.cli", "serve", f"--model={folder}") as served:
        first = listen(served, street.read_bytes(), model=str(folder)).json()["heard"][0]["scores"]
        settings, weights = model_folder.read(folder)
        model_folder.write(folder, settings, to_bytes({name: -value for name, value in weights.items()}))
        second = listen(served, street.read_bytes(), model=str(folder)).json()["heard"][0]["scores"]
        assert first != second
        files.write_text(folder / "config.json", "[]")
        done = listen(served, street.read_bytes(), model=str(folder))
        assert done.status_code == 422 and str(folder) in done.json()["error"]


def test_it_is_for_this_machine_alone(server):
    assert {c.laddr.ip for c in psutil.Process(server[1].pid).net_connections() if c.status == "LISTEN"} == {
        "127.0.0.1"
    }
    assert requests.get(server[0], headers={"Host": "evil.example"}, timeout=10).status_code == 400
    assert "default-src 'none'" in requests.get(server[0], timeout=10).headers["Content-Security-Policy"]
    for path in ("/../app.py", "/app.py", "/docs", "/%2e%2e/cli.py"):
        assert requests.get(server[0] + path, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--model", "nowhere"], "is not available (Address already in use)"),
        (["--model", "nowhere", "--host", "192.0.2.1"], "is not available (Cannot assign requested address)"),
        ([], "there is no trained model here"),
        (["--backbone", "mn05"], "no backbone is called 'mn05'"),
    ],
)
def test_a_server_that_can_not_start_says_why(server, project, options, why):
    port = server[0].rpartition(":")[2]
    shutil.rmtree(project.root / "conf" / "backbones")  # one of them would be offered
    done = CliRunner().invoke(main.main, ["serve", "--port", port, *options])
    assert done.exit_code == 1 and why in done.stderr and "Traceback" not in done.output


def test_in_the_browser_a_file_is_seen_and_its_events_are_heard(server, models, street):
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--use-fake-device-for-media-stream"]
    quiet += ["--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=quiet)
        page, asked, wrong = browser.new_page(), [], []
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(server[0])
        page.set_input_files("#file", street)
        expect(page.locator("#title")).to_have_text("street.flac")
        assert page.evaluate("spectrogram.naturalWidth") > 100
        assert page.locator(".model").count() == 1
        page.select_option("#other", str(models[1]))
        expect(page.locator(".model")).to_have_count(2)
        page.fill("[name=threshold]", "0")
        page.fill("[name=release]", "0")
        page.press("[name=release]", "Enter")
        page.locator("[name=release]").blur()
        expect(page.locator(".model >> nth=0").locator(".events li")).to_have_count(1)
        expect(page.locator(".mark")).to_have_count(1)
        page.locator(".model >> nth=0").locator(".events button").click()
        while not page.evaluate("audio.currentTime > 0.1"):  # it stays so; the page allows no other way to wait
            page.wait_for_timeout(50)
        page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no sound"})
        expect(page.locator("#status")).to_contain_text("a.txt: does not decode")
        assert [text for text in wrong if "422" not in text] == []
        page.click("#record")
        expect(page.locator("#record")).to_have_text("Stop")
        page.wait_for_timeout(3500)
        page.click("#record")
        expect(page.locator("#title")).to_have_text("your recording")
        assert all(url.startswith((server[0], "blob:", "data:")) for url in asked)
        browser.close()


@settings(max_examples=20)
@given(st.lists(st.integers(1, 3_000_000), min_size=1, max_size=3))
def test_the_overview_of_a_long_sound_is_no_wider_than_a_picture(lengths):
    overview, rng = Overview(), np.random.default_rng(0)
    blocks = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    assert sum(map(len, overview.watch(blocks))) == sum(lengths)
    assert len(overview.columns) <= 2 * MOST
    if len(overview.columns) > 10:
        assert overview.columns[:, 5:-5].mean() == pytest.approx(192, rel=0.05)  # noise has the same power everywhere


def test_the_overview_shows_when_it_is_loud(tmp_path):
    sound = np.concatenate([np.zeros(16000 * 60), tone(1000, 60, 16000)]).astype(np.float32)
    overview = Overview()
    list(overview.watch([sound]))
    power = overview.columns.sum(axis=1)
    assert power[: len(power) // 2 - 2].max() < 1e-3 * power[len(power) // 2 + 2 :].min()
