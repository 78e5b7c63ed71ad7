"""The site: it is built strictly, what is broken fails it, and it asks nobody for anything."""

from __future__ import annotations

import re
import shutil
import subprocess
from itertools import product

import pytest
from markdown_it import MarkdownIt
from playwright.sync_api import expect, sync_playwright

from conftest import BIN, CHROMIUM, PROJECT, QUIET, needs_a_browser

pytestmark = pytest.mark.process

# what is planted, in which file, and what the build then says
FAULTS = {
    "a link": ("docs/explore.md", "[gone](gone.md)", "'gone.md'"),
    "an anchor": ("docs/explore.md", "[gone](method.md#gone)", "'method.md#gone'"),
    "an anchor of its own": ("docs/explore.md", "[gone](#nowhere)", "'#nowhere'"),
    "a picture": ("docs/explore.md", "![gone](images/gone.png)", "'images/gone.png'"),
    "a link to code": ("docs/extending.md", "[gone](../src/earshot/inputs/gone.py)", "'../src/earshot/inputs/gone.py'"),
    "a page in no list": ("docs/lonely.md", "# Lonely", "docs/lonely.md"),
    "a line of the list": ("docs/README.md", "| gone | [gone](never.md) |", "'docs/never.md'"),
    "a link in the front page": ("README.md", "[gone](docs/absent.md)", "'docs/absent.md'"),
}
SHAPE = re.compile(r"<(h\d|ul|ol|li|table|t[rhd]|pre|img)\b")
ELSEWHERE = re.compile(r"""<(?:link|script|img|iframe|audio|source)\b[^>]*\b(?:href|src)=["']?(?:https?:)?//[^>]*""")
MARKDOWN = [*PROJECT.glob("*.md"), PROJECT / "data" / "README.md", *(PROJECT / "docs").glob("*.md")]


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> subprocess.CompletedProcess:
    """A build of a copy with all faults; without what modules hold, it takes little time."""
    copy = tmp_path_factory.mktemp("broken")
    for name in ("docs", "tools", "mkdocs.yml", *(path.name for path in PROJECT.glob("*.md")), "LICENSE"):
        (shutil.copytree if (PROJECT / name).is_dir() else shutil.copy)(PROJECT / name, copy / name)
    for path in [PROJECT / "data" / "README.md", *(PROJECT / "src").rglob("*.py")]:
        to = copy / path.relative_to(PROJECT)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(path.read_text() if path.suffix == ".md" else '"""A module."""\n')
    for file, planted, _ in FAULTS.values():
        with (copy / file).open("a") as text:
            text.write(f"{planted}\n" if planted.startswith("|") else f"\n{planted}\n")
    command = [BIN / "mkdocs", "build", "--strict", "--site-dir", copy / "built"]
    return subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_broken_fails_the_build(broken, fault):
    assert broken.returncode == 1 and FAULTS[fault][2] in broken.stderr, broken.stderr


def test_nothing_but_what_is_planted_is_told(broken):
    more = 2  # a line of the list is a link, too, and a picture is in the gallery
    assert f"Aborted with {len(FAULTS) + more} warnings" in broken.stdout, broken.stderr


def test_nothing_is_asked_of_another_place(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 100
    assert not [(page.name, found) for page in pages for found in ELSEWHERE.findall(page.read_text())]
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", sheet.read_text()), sheet


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_page_has_the_headings_lists_and_tables_that_the_repository_shows(site, path):
    page = path.relative_to(PROJECT).with_suffix(".html")
    built = (site / (page.with_name("index.html") if path.stem == "README" else page)).read_text()
    (article,) = re.findall(r"<article.*?</article>", built, re.DOTALL)
    assert SHAPE.findall(article) == SHAPE.findall(MarkdownIt("commonmark").enable("table").render(path.read_text()))


def test_shapes_and_units_are_in_the_reference(site):
    page = (site / "src" / "earshot" / "metrics" / "intervals.html").read_text()
    assert "shape (G, K), the counts of each group" in page and "low, high; None where no class has two groups" in page
    assert not list(site.rglob("earshot/*/_*.html"))


def test_a_link_to_code_leads_to_its_page_and_one_to_another_file_to_its_text(site):
    assert 'href="../src/earshot/inputs/summary.html"' in (site / "docs" / "extending.html").read_text()
    assert (site / "LICENSE.txt").read_text() == (PROJECT / "LICENSE").read_text()


def test_the_gallery_has_every_picture(site):
    shown = set(re.findall(r'<img [^>]*src="images/(.*?)"', (site / "docs" / "gallery.html").read_text()))
    assert shown == {path.name for path in (PROJECT / "docs" / "images").glob("*.png")}


@needs_a_browser
def test_from_a_folder_it_is_searched_fits_a_phone_and_asks_nobody(site):
    asked, wrong = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        page = browser.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        for width, name in product((390, 1400), ("index", "docs/results", "docs/tour", "src/earshot/inputs/index")):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto((site / f"{name}.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        page.get_by_role("textbox", name="Search").click()
        page.keyboard.type("spectrogram")
        expect(page.locator(".md-search-result__link").first).to_be_visible()
        browser.close()
    assert wrong == [] and {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
