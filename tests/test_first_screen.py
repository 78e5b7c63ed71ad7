"""The report's first screen: three sentences that claim no more than is known, and one figure beneath them."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import Browser, Page

from earshot.files import read_recipe, read_table, write_table
from earshot.report.first_screen import Known, sentences
from earshot.stages import compare
from test_compare import GENRES, Sample, elsewhere, html, made_up, sirens

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
UNHEARD = "Tested on recordings, artists or sources it never heard, "
TUTORIALS = "Tested as the tutorials do, on recordings that training may have heard, "
CLEAR = {"waveform__cnn": (0.95, 0.70), "log_mel__cnn": (0.94, 0.85)}
NOISY = {"input": "log_mel", "model": "cnn", "alarm": "siren", "snr_db": 0.0, "f1": 0.9, "recall": 0.81}
NOISY |= {"recall_low": 0.7, "recall_high": 0.9, "false_alarms_per_hour": 12.4}
SWAPPED = {"input": "log_mel", "model": "cnn", "passes": False}
PLAIN = {  # names that the rest of the report uses, each of which stands here behind what it means
    "published": "as the tutorials test (published)",
    "grouped": "nothing heard before (grouped)",
    "95 % interval": "how far other such recordings could move a score (95 % interval)",
}
JARGON = [
    "inflation",
    "protocol",
    "bootstrap",
    "F1",
    "SNR",
    "dB",
    "recall",
    "window",
    "accuracy",
    "leak",
    "fold",
    "split",
]


def told(*datasets: Known) -> list[str]:
    return [sentence.lead + sentence.rest for sentence in sentences(list(datasets))]


def only(pairs: list, protocol: str) -> list:
    """Take one way of testing from made-up pairs, as where params.yaml lists the other alone."""
    for pair in pairs:
        del pair.scores[protocol]
    return [type(pair)(**{**vars(pair), "inflation": None}) for pair in pairs]


def test_a_clear_winner():
    assert told(Known("street", made_up(**CLEAR), 0.5)) == [
        f"{UNHEARD}log_mel-cnn is best with 85% right (83 to 87%).",
        f"{TUTORIALS}waveform-cnn seems to reach 95% but loses 25 points on unheard ones (23 to 27), "
        "the average model loses 17 points.",
        "Be careful: no model was tested on another dataset.",
    ]


def test_what_is_too_close_to_call_is_no_winner():
    three = made_up(waveform__cnn=(0.85, 0.84), log_mel__cnn=(0.84, 0.85), mfcc__cnn=(0.84, 0.845), a__b=(0.84, 0.6))
    unheard, tutorials, _ = told(Known("street", three, 0.5))
    assert unheard == (
        f"{UNHEARD}log_mel-cnn comes first with 85% right (83 to 87%), "
        "too close to call against mfcc-cnn (84%) and waveform-cnn (84%)."
    )
    assert tutorials.startswith(
        f"{TUTORIALS}waveform-cnn seems to reach 85% but whether it loses any on unheard ones is too close to call "
        "(−1 to 3 points)"
    )


def test_many_that_are_close_are_counted():
    pairs = made_up(a__x=(0.9, 0.8), b__x=(0.9, 0.799), c__x=(0.9, 0.798), d__x=(0.9, 0.797), e__x=(0.9, 0.796))
    assert "too close to call against b-x (80%), c-x (80%) and 2 more." in told(Known("street", pairs, 0.5))[0]


def test_no_better_than_guessing():
    unheard, *_ = told(Known("street", made_up(waveform__cnn=(0.9, 0.51), log_mel__cnn=(0.9, 0.3)), 0.5))
    assert (
        unheard
        == f"{UNHEARD}waveform-cnn comes first with 51% right (49 to 53%), not surely better than guessing (50%)."
    )


def test_a_score_that_rises():
    _, tutorials, _ = told(Known("street", made_up(waveform__cnn=(0.7, 0.75)), 0.5))
    assert tutorials == f"{TUTORIALS}waveform-cnn seems to reach 70% but gains 5 points on unheard ones (3 to 7)."


def test_a_score_that_stays():
    _, tutorials, _ = told(Known("street", made_up(0.001, a__x=(0.9, 0.9), b__x=(0.8, 0.801)), 0.5))
    assert (
        tutorials
        == f"{TUTORIALS}a-x seems to reach 90% and loses nothing on unheard ones, the average model loses nothing."
    )


def test_only_published():
    assert told(Known("street", only(made_up(**CLEAR), "grouped"), 0.5)) == [
        f"{UNHEARD}no model has a score: that test was not run.",
        f"{TUTORIALS}waveform-cnn seems to reach 95%, and what is left of it on unheard ones was not tested.",
        "Be careful: no model was tested on another dataset.",
    ]


def test_only_grouped():
    unheard, tutorials, _ = told(Known("street", only(made_up(**CLEAR), "published"), 0.5))
    assert unheard == f"{UNHEARD}log_mel-cnn is best with 85% right (83 to 87%)."
    assert tutorials == f"{TUTORIALS}no model has a score: that test was not run."


def test_without_intervals_nothing_is_sure():
    pairs = made_up(**CLEAR)
    for pair in pairs:
        pair.scores["grouped"] |= {"accuracy_low": None, "accuracy_high": None}
    assert "85% right (interval unknown), not surely better than guessing (50%)" in told(Known("street", pairs, 0.5))[0]


def test_other_data_come_before_noise():
    pairs = made_up(**CLEAR, also=elsewhere(waveform__cnn=0.68, log_mel__cnn=0.55))
    *_, careful = told(Known("sirens", pairs, 0.5, [NOISY]))
    assert careful == "Be careful: waveform-cnn comes first on other data (street) with 68% right (66 to 70%)."
    *_, careful = told(Known("sirens", made_up(**CLEAR), 0.5, [NOISY, NOISY | {"snr_db": None}]))
    assert careful == (
        "Be careful: of those tested in a street as loud as the alarm, log_mel-cnn does best and finds 81% (70 to 90%) "
        "of siren, with 12 false alarms an hour; no model was tested on another dataset."
    )


def test_the_best_that_may_go_by_how_recordings_were_made_is_named():
    *_, careful = told(Known("street", made_up(**CLEAR), 0.5, [], [SWAPPED], warned=True))
    assert careful.endswith(
        "; log_mel-cnn may go by how the recordings were made; the data have a warning, told below."
    )
    *_, careful = told(Known("street", made_up(**CLEAR), 0.5, [], [SWAPPED | {"passes": True}]))
    assert "may go by" not in careful


def test_of_synthetic_recordings_nothing_follows():
    pairs = [type(pair)(**{**vars(pair), "synthetic": True}) for pair in made_up(**CLEAR)]
    *_, careful = told(Known("made", pairs, 0.5))
    begin = "are made by code, so no conclusion about real streets or music follows; "
    assert careful.startswith(f"Be careful: all recordings here {begin}")
    *_, careful = told(Known("made", pairs, 0.5), Known("street", made_up(**CLEAR), 0.5))
    assert careful.startswith(f"Be careful: the recordings of made {begin}")


def test_of_several_datasets_each_is_named_and_there_are_still_three_sentences():
    other = made_up(waveform__cnn=(0.85, 0.80))
    unheard, _, careful = told(Known("street", made_up(**CLEAR), 0.5), Known("birds", other, 0.1))
    assert unheard == (
        f"{UNHEARD}for street, log_mel-cnn is best with 85% right (83 to 87%); "
        "for birds, waveform-cnn, the only model, has 80% right (78 to 82%)."
    )
    assert careful == "Be careful: no model was tested on another dataset.", "what holds for all is said once"


def default(root, monkeypatch) -> Sample:
    """Files like those of the default pipeline: two synthetic datasets, with eight experiments each."""
    sample = sirens(root, monkeypatch)
    inputs = ["waveform", "log_spectrogram", "log_mel"]
    sample.experiments = [f"{name}-{model}" for name in inputs for model in ("cnn", "lstm")]
    sample.experiments += ["summary-ann", "mfcc-linear"]
    sample.datasets = {"synthetic_genres": GENRES, "synthetic_sirens": ["emergency", "non_emergency"]}
    return sample


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Sample:
    with pytest.MonkeyPatch.context() as patch:
        sample = default(tmp_path_factory.mktemp("first_screen"), patch).write()
        compare.main.callback()
    return sample


def first_screen(sample: Sample) -> str:
    """Return the text above the table of contents."""
    shown = html(sample).partition("<body>")[2].partition("<nav")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", shown).split())


def test_no_jargon_without_its_plain_words(made):
    text = first_screen(made)
    for name, plain in PLAIN.items():
        assert text.count(name) == text.count(plain) == 1
    assert not [word for word in JARGON if re.search(rf"\b{word}s?\b", text)]


def test_the_figure_has_numbers_for_all_who_can_not_see_it(made):
    (label,) = re.findall(r'aria-label="(How many of 100 sounds [^"]*synthetic_sirens[^"]*)"', html(made))
    assert all(f"{experiment}: as published " in label for experiment in made.experiments)
    assert first_screen(made).count("guessing: ") == 2


def test_of_many_experiments_the_best_are_drawn_and_the_others_counted(tmp_path, monkeypatch):
    sample = default(tmp_path, monkeypatch)
    sample.datasets = {"synthetic_sirens": ["emergency", "non_emergency"]}
    sample.experiments = [f"input{number}-cnn" for number in range(12)]
    sample.write()
    compare.main.callback()
    assert "the best 10; 2 more below" in first_screen(sample)
    figure = html(sample).partition('<figure class="fall">')[2].partition("</figure>")[0]
    assert len(set(re.findall(r">\s*(input\d+-cnn)\s*<", figure))) == 10


def test_names_from_folders_stay_text_on_the_first_screen(tmp_path, monkeypatch):
    sample = sirens(tmp_path, monkeypatch)
    evil = "<b>loud</b>"
    sample.datasets = {"synthetic_sirens": [evil, "a&b"]}
    sample.write()
    path = tmp_path / "data" / "cross_dataset" / "synthetic_sirens.parquet"
    write_table(path, read_table(path).iloc[:0], read_recipe(path))
    compare.main.callback()
    assert "of &lt;b&gt;loud&lt;/b&gt;, with " in first_screen(sample)
    assert "<b>" not in html(sample)


def test_the_contents_lead_to_every_chapter(made):
    text = html(made)
    contents = text.partition('<nav class="contents"')[2].partition("</nav>")[0]
    asked = re.findall(r'href="#([^"]*)"', contents)
    assert len(asked) == len(set(asked)) and all(f'id="{name}"' in text for name in asked)
    headings = re.findall(r'<h3 id="([^"]*)">', text)
    assert headings and set(headings) <= set(asked)


def opened(browser: Browser, sample: Sample, width: int, height: int) -> Page:
    page = browser.new_page(viewport={"width": width, "height": height})
    page.goto((sample.root / "data" / "report" / "index.html").as_uri())
    return page


def bottom(page: Page, selector: str) -> float:
    return page.locator(selector).evaluate("one => one.getBoundingClientRect().bottom")


@needs_a_browser
@pytest.mark.process
def test_sentences_and_figure_are_on_the_first_screen(made, browser):
    page = opened(browser, made, 1280, 800)
    assert page.locator(".answers p").count() == 3
    assert bottom(page, ".answers") < page.locator(".fall").evaluate("one => one.getBoundingClientRect().top")
    assert bottom(page, ".fall") <= 800


@needs_a_browser
@pytest.mark.process
def test_on_a_phone_the_sentences_are_on_the_first_screen_and_tables_scroll_in_themselves(made, browser):
    page = opened(browser, made, 390, 844)
    assert bottom(page, ".answers") <= 844
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@needs_a_browser
@pytest.mark.process
def test_on_paper_all_is_open_and_black_on_white(made, browser):
    page = opened(browser, made, 700, 1000)  # as wide as A4 between its margins
    inside = page.locator("details .confusion").first
    assert not inside.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert inside.is_visible() and not page.locator("nav").is_visible() and page.locator("audio:visible").count() == 0
    colours = page.evaluate("(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))")
    assert colours == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    cut = page.locator("table").evaluate_all("all => all.filter(one => one.getBoundingClientRect().right > 700).length")
    assert cut == 0
