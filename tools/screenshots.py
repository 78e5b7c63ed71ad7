"""Take the pictures in docs/images of the dashboard, our pages, the site, the tour and a terminal: `make screenshots`.

The runs are made once, in build/screenshots, by the pipeline on a synthetic dataset and by a sweep. They take some
three minutes; the pictures, which need chromium, take one more. That of the report is of what `make repro` made here,
and that of a terminal is drawn while the runs are made.
"""

from __future__ import annotations

import functools
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import soundfile
import yaml
from nbconvert import HTMLExporter
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from benchmarks.real import PROJECT, copy_project
from earshot import progress
from earshot.files import write_text
from earshot.live import plan, view
from earshot.live.listening import started as started_to_hear
from earshot.live.story import Story
from earshot.provenance import commit
from tools import palette
from tools.tour import TOUR

COPY = PROJECT / "build" / "screenshots"
PICTURES = PROJECT / "docs" / "images"
CHANGES = {
    "datasets": ["synthetic_sirens"],
    "experiments": {
        "over_time": {"inputs": ["waveform", "log_spectrogram"], "models": ["cnn"]},
        "summarised": {"inputs": ["summary"], "models": ["ann"]},
    },
}
SWEEP = [
    "experiment=sirens-log_spectrogram-cnn",
    "optimizer.lr=0.0003,0.001,0.003,0.01",
    "model.dropout=0.1,0.3,0.5",
]
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WIDTH, HEIGHT = 1400, 800
COLUMNS = 108  # of a terminal


def make_runs() -> None:
    """Make the demo project and its runs, where they are not there yet."""
    done = COPY / "sweep.done"
    if done.exists():
        return
    copy_project(COPY)
    params = COPY / "params.yaml"
    params.write_text(yaml.safe_dump(yaml.safe_load(params.read_text()) | CHANGES, sort_keys=False))
    environment = os.environ | {"EARSHOT_ROOT": str(COPY), "PYTHONPATH": str(COPY / "src"), "EARSHOT_COMMIT": commit()}
    run_pipeline(environment)
    sweep = [sys.executable, "-m", "earshot.cli", "train", "--multirun", *SWEEP]
    subprocess.run(sweep, cwd=COPY, env=environment, check=True)
    done.touch()


def run_pipeline(environment: dict[str, str]) -> None:
    """Do what `earshot repro` does, and draw what a terminal shows when half of the runs are trained."""
    screen = terminal()
    tell = functools.partial(view.tell, screen)
    story = Story(functools.partial(plan.stages, COPY), tell, tell)
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    told = {"PATH": path, "PYTHONUNBUFFERED": "1", progress.WATCHED: "1"}
    drawn = False
    with started_to_hear([sys.executable, "-m", "dvc", "repro"], COPY, environment | told) as dvc:
        for line in dvc.lines:
            story.hear(line)
            told = story.stage.progress if story.stage and story.stage.name.startswith("train@") else None
            if not drawn and told and 2 * told["done"] >= told["of"]:
                screen.print(view.View(story))
                draw(screen, "repro", "make repro")
                drawn = True
    if dvc.popen.returncode:
        raise SystemExit("error: the pipeline has failed:\n" + "\n".join(story.heard))


def terminal() -> Console:
    """Return a terminal that remembers what it has shown."""
    return Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True, markup=False, highlight=False)


def draw(screen: Console, name: str, title: str) -> None:
    """Write what a terminal has shown to docs/images/NAME.svg."""
    drawn = screen.export_svg(title=title, unique_id=name)
    drawn = re.sub(r"\s*@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # which a browser would fetch from elsewhere
    write_text(PICTURES / f"{name}.svg", drawn)


def draw_doctor() -> None:
    """Draw what `earshot doctor` says of a new project with a mistake in it, wherever that is on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        mine = Path(folder, "my_project")
        earshot = [sys.executable, "-m", "earshot.cli"]
        subprocess.run([*earshot, "new", str(mine)], check=True, capture_output=True)
        params = mine / "params.yaml"
        params.write_text(params.read_text().replace("protocols: [published,", "protocols: [publishd,"))
        there = os.environ | {"EARSHOT_ROOT": str(mine)}
        done = subprocess.run([*earshot, "doctor"], env=there, capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).replace(folder, "~")
    screen = terminal()
    for line in said.splitlines():
        word = line.partition(" ")[0].rstrip(":")
        screen.print(line, style={"ok": "", "warning": "yellow", "error": "red"}.get(word, "cyan"))
    draw(screen, "doctor", "earshot doctor")


@contextmanager
def started(command_name: str) -> Iterator[str]:
    """Start `earshot dashboard` or `earshot serve` in the demo project; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "earshot.cli", command_name, "--port", str(port)]
    server = subprocess.Popen(command, cwd=COPY, env=os.environ | {"EARSHOT_ROOT": str(COPY)})
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                requests.get(address, timeout=5)
                break
            except requests.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def keep(page: Page, name: str) -> None:
    """Write what the page shows to docs/images, in few bytes."""
    page.mouse.move(0, 0)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # charts draw themselves in
    path = PICTURES / f"{name}.png"
    path.write_bytes(palette.small(page.screenshot()))
    print(f"{path.relative_to(PROJECT)}: {path.stat().st_size // 1000} kB")


def take(page: Page, address: str) -> None:
    """Go through the dashboard as a reader of docs/dashboard.md does."""
    runs = f"{address}/#/experiments/{experiment_id(address, 'sirens')}/runs"
    page.goto(f"{runs}?viewStateShareKey=earshot-scores")
    page.get_by_role("button", name="Close", exact=True).click()  # MLflow's assistant
    page.get_by_label("Toggle sidebar").click()
    page.get_by_role("link", name="grouped-as_coded-seed0-fold0").first.wait_for()
    keep(page, "dashboard-runs")
    page.goto(f"{runs}?viewStateShareKey=earshot-sweeps")
    page.get_by_text("Group: ").first.wait_for()
    keep(page, "dashboard-sweep")
    page.locator(".ag-row input[type=checkbox]:visible").first.click()  # the group's: all of its runs
    page.get_by_role("button", name="Compare").click()
    metrics = page.get_by_role("combobox").nth(1)
    metrics.press("Backspace")  # the one that MLflow has chosen
    metrics.fill("best_val_accuracy")
    metrics.press("Enter")
    metrics.press("Escape")
    keep(page, "dashboard-compare")
    page.goto(f"{address}/earshot/report/")
    page.get_by_role("link", name="published", exact=True).first.click()
    page.get_by_text("About this run").wait_for()
    keep(page, "dashboard-run")
    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_placeholder("Search metric charts").fill("^(train|val)_")
    keep(page, "dashboard-charts")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("test", exact=True).click()
    page.get_by_text("confusion_matrix.png").click()
    page.locator("img[src^='blob:']:visible").wait_for()
    page.get_by_text("file:///").evaluate_all("all => all.forEach(one => one.remove())")  # a path of this machine
    keep(page, "dashboard-artifact")


def take_errors(page: Page, address: str) -> None:
    """Go from a number of a confusion matrix to the windows behind it."""
    page.goto(f"{address}/earshot/report/")
    mistaken = page.locator(".confusion tr:nth-child(1) td:nth-child(3) a").first
    page.goto(address + mistaken.get_attribute("href"))
    keep(page, "errors")


def take_explored(page: Page, recording: Path) -> None:
    """Explore a recording and take the upper part of its page."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["earshot.cli", "explore", str(recording), "--out", folder]
        subprocess.run([sys.executable, "-m", *command], check=True)
        page.set_viewport_size({"width": WIDTH, "height": 2 * HEIGHT})
        page.goto(Path(folder, "index.html").as_uri())
        keep(page, "explore")


def take_served(page: Page, address: str, recording: Path) -> None:
    """Let a model and another listen to a recording, as a reader of docs/predict.md does."""
    page.set_viewport_size({"width": WIDTH, "height": round(1.5 * HEIGHT)})
    page.goto(address)
    page.locator("#other option").nth(1).wait_for(state="attached")
    page.select_option("#model", "synthetic_sirens/log_spectrogram-cnn/grouped-as_coded-seed0-fold0")
    page.select_option("#other", "synthetic_sirens/waveform-cnn/grouped-as_coded-seed0-fold0")
    page.set_input_files("#file", recording)
    page.locator("#result").wait_for()
    keep(page, "serve")


def take_tour(page: Page, folder: Path) -> None:
    """Show the notebook where a sound is looked at."""
    html, _ = HTMLExporter().from_filename(TOUR)
    path = folder / "tour.html"
    path.write_text(html, encoding="utf-8")
    page.route("https://**", lambda route: route.abort())  # scripts that it would fetch from elsewhere
    page.set_viewport_size({"width": 2 * WIDTH // 3, "height": round(1.5 * HEIGHT)})
    page.goto(path.as_uri())
    page.locator("audio").first.evaluate("player => player.scrollIntoView()")
    keep(page, "tour")


def take_report(page: Page) -> None:
    """Show the beginning of the report that `make repro` has made in this project."""
    report = PROJECT / "data" / "report" / "index.html"
    if not report.exists():
        print("docs/images/report.png stays as it is: `make repro` first", file=sys.stderr)
        return
    page.set_viewport_size({"width": 1280, "height": 720})  # its first screen
    page.goto(report.as_uri())
    keep(page, "report")


def take_site(page: Page) -> None:
    """Show a page of the documentation's site."""
    site = PROJECT / "build" / "site"
    subprocess.run(["make", "--silent", "site"], cwd=PROJECT, check=True)
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto((site / "docs" / "own-project.html").as_uri())
    keep(page, "site")


def street(folder: Path) -> Path:
    """Write half a minute of the synthetic street, with a siren in its middle."""
    raw = COPY / "data" / "raw" / "synthetic_sirens"
    siren, rate = soundfile.read(raw / "emergency.flac", frames=12 * 16000)
    sound, _ = soundfile.read(raw / "non_emergency.flac", frames=36 * 16000)
    sound[12 * rate : 24 * rate] += siren
    soundfile.write(folder / "street.flac", sound / abs(sound).max() * 0.9, rate)
    return folder / "street.flac"


def experiment_id(address: str, name: str) -> str:
    """Return MLflow's id of an experiment."""
    asked = {"experiment_name": name}
    found = requests.get(f"{address}/api/2.0/mlflow/experiments/get-by-name", params=asked, timeout=30).json()
    return found["experiment"]["experiment_id"]


def main() -> None:
    """Make the runs, start the dashboard, take the pictures."""
    browser_path = shutil.which("chromium") or sys.exit("error: the pictures are taken with chromium: install it")
    draw_doctor()
    make_runs()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=browser_path, args=CHROMIUM)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        with started("dashboard") as address:
            take(page, address)
            take_errors(page, address)
        take_explored(page, COPY / "data" / "raw" / "synthetic_sirens" / "emergency.flac")
        with started("serve") as address:
            take_served(page, address, street(Path(folder)))
        take_tour(page, Path(folder))
        take_report(page)
        take_site(page)
        browser.close()


if __name__ == "__main__":
    main()
