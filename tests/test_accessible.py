"""Who sees little, or works without a mouse, can use the pages: axe-core finds no serious fault in any of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from playwright.sync_api import Page

from conftest import Project, invoke, needs_a_browser, serving, tone, write_audio
from earshot import stages
from earshot.cli import main
from earshot.detection import untrained
from earshot.report import mistakes
from earshot.stages import compare
from earshot.stages import manifest as manifest_stage
from test_backbones import write_backbone
from test_compare import Sample, sirens
from tiny import RATE, THREE, class_folders

pytestmark = [pytest.mark.process, needs_a_browser]

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (390, 1400)]
SITE = ["index.html", "docs/gallery.html", "src/earshot/inputs/log_mel.html"]
LARGE = ["docs/results.html", "docs/tour.html"]  # many seconds each, so that two looks have to do
looks = pytest.mark.parametrize(("scheme", "width"), LOOKS)


@pytest.fixture
def page(browser, scheme, width) -> Iterator[Page]:
    sizes = {"width": width, "height": 900}
    context = browser.new_context(viewport=sizes, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Iterator[Sample]:
    with pytest.MonkeyPatch.context() as patch:
        made = sirens(tmp_path_factory.mktemp("compared"), patch).write()
        compare.main.callback()
        yield made


@pytest.fixture(scope="module")
def explored(tmp_path_factory) -> dict[str, Path]:
    """The pages of a recording and of a dataset."""
    root = tmp_path_factory.mktemp("explored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(root))
        project = Project(root)
        project.card("tunes", task="genres", source={"folder": "."}, layout={"kind": "class_folders"})
        class_folders(project.data("raw", "tunes"), THREE, 6)
        invoke(manifest_stage.main, "tunes")
        path = write_audio(root / "siren.wav", tone(900, 3, RATE), RATE)
        return {name: explore(name) for name in (str(path), "tunes")}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[str]:
    """The address of `earshot serve`, where a small network listens."""
    root = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EARSHOT_ROOT", str(root))
        patch.setattr(stages, "leave_with_parent", lambda: None)
        patch.setenv("EARSHOT_MIRROR", str(write_backbone(Project(root), untrained.DEFAULT)))
        with serving("earshot.cli", "serve", cwd=root, env=os.environ) as (address, _):
            yield address


def explore(name: str) -> Path:
    done = CliRunner().invoke(main.main, ["explore", name])
    assert done.exit_code == 0, done.output
    return Path(done.output.removeprefix("written: ").strip())


def faults(page: Page) -> list[str]:
    """Return what axe-core finds that keeps someone from using the page, or makes it hard."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} at {node['target']}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "width"), LOOKS[:1])
def test_a_fault_is_found(page):
    faulty = '<h1>Faults</h1><img src="data:,"><p style="color: #eee">hardly seen</p>'
    page.set_content(f'<html lang="en"><title>Faults</title><main>{faulty}</main>')
    assert [fault.split()[0] for fault in faults(page)] == ["color-contrast", "image-alt"]


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [(name, *look) for name in SITE for look in LOOKS] + [(name, *look) for name in LARGE for look in LOOKS[::3]],
)
def test_the_site(page, site, name):
    page.goto((site / name).as_uri())
    page.wait_for_function(
        "document.querySelectorAll('article table:not([class])').length == "
        "document.querySelectorAll('.md-typeset__scrollwrap[tabindex]').length"
    )
    assert faults(page) == []


@looks
def test_the_report(page, compared):
    page.goto((compared.root / "data" / "report" / "index.html").as_uri())
    assert faults(page) == []


@looks
def test_the_windows_behind_a_number_of_the_report(page, compared, monkeypatch):
    monkeypatch.setenv("EARSHOT_ROOT", str(compared.root))
    asked = {"dataset": "synthetic_sirens", "input": "log_mel", "model": "cnn", "wiring": "as_coded"}
    cell = mistakes.MatrixCell(**asked, protocol="grouped", true="emergency", predicted="non_emergency")
    page.set_content(mistakes.page(cell, report="/report/"))
    assert page.locator("audio").count() > 0 and faults(page) == []


@looks
def test_a_recording_and_a_dataset_explored(page, explored):
    for path in explored.values():
        page.goto(path.as_uri())
        assert faults(page) == []


@looks
def test_the_page_that_listens(page, served, tmp_path):
    page.goto(served)
    page.locator("#model option").first.wait_for(state="attached")
    assert faults(page) == []
    page.set_input_files("#file", write_audio(tmp_path / "street.wav", tone(900, 5, 16000), 16000))
    page.locator("#result").wait_for()
    assert faults(page) == []
