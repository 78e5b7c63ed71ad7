"""The dashboard in a real browser: a pipeline's runs and a small sweep, and the report that links with them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass

import click
import pytest
import requests
from click.testing import CliRunner
from mlflow import MlflowClient
from playwright.sync_api import Page, expect

from conftest import Project, dashboard, needs_a_browser, new_store
from earshot import stages
from earshot.batches import prepare
from earshot.report import mistakes
from earshot.settings import compose
from earshot.stages import audit as audit_stage
from earshot.stages import compare, evaluate
from earshot.stages import cross_dataset as cross_dataset_stage
from earshot.stages import events as events_stage
from earshot.stages import features as features_stage
from earshot.stages import fingerprint as fingerprint_stage
from earshot.stages import manifest as manifest_stage
from earshot.stages import noise as noise_stage
from earshot.stages import split as split_stage
from earshot.stages import swapped as swapped_stage
from earshot.stages import train as train_stage
from earshot.tracking import links
from earshot.training import runs
from earshot.web import views
from earshot.web.dashboard import save_views
from tiny import FEATURES, RATE, THREE, class_folders

pytestmark = pytest.mark.process

LOCAL = ("http://127.0.0.1:", "blob:http://127.0.0.1:", "data:")
PATIENCE = 120_000  # milliseconds
LEARNING_RATES = [0.001, 0.01, 0.1]
ROW = ("tunes", "summary", "ann", "as_coded")


@dataclass
class Shown:
    """A project with runs, its dashboard's address, and MLflow's id of its experiment."""

    project: Project
    address: str
    experiment: str

    @property
    def listed(self) -> str:
        return f"{self.address}/#/experiments/{self.experiment}/runs"


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Shown]:
    """Run all stages on a small dataset, then a sweep; open the dashboard."""
    with pytest.MonkeyPatch.context() as patch:
        project = Project(tmp_path_factory.mktemp("shown"))
        patch.setenv("EARSHOT_ROOT", str(project.root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(stages, "leave_with_parent", lambda: None)
        new_store(project.data("mlflow", "mlflow.db"))
        make_results(project)
        client = MlflowClient(f"sqlite:///{project.data('mlflow', 'mlflow.db')}")
        found = client.get_experiment_by_name("genres").experiment_id
        make_sweep(project)
        with dashboard(project.root) as (address, _):
            yield Shown(project, address, found)


def make_results(project: Project) -> None:
    params = project.params(
        datasets=["tunes"],
        experiments={"one": {"inputs": ["summary"], "models": ["ann"]}},
        audio={"sample_rate": RATE},
        noise={},
    )
    recipe = params["features"]["summary"] | FEATURES["summary"]
    project.params(features=params["features"] | {"summary": recipe}, split=params["split"] | {"folds": {"default": 3}})
    epochs = project.root / "conf" / "model" / "ann.yaml"
    epochs.write_text(epochs.read_text().replace("max_epochs: 100", "max_epochs: 2"))
    project.card("tunes", task="genres", source={"folder": "."}, layout={"kind": "class_folders"})
    class_folders(project.data("raw", "tunes"), THREE, 15)
    stage(manifest_stage.main, "tunes")
    stage(fingerprint_stage.main, "tunes")
    stage(split_stage.main, "tunes")
    stage(audit_stage.main, "tunes")
    stage(features_stage.main, "tunes", "--workers", "1")
    stage(train_stage.main, "tunes", "--workers", "1")
    stage(evaluate.main, "tunes", "--workers", "1")
    stage(noise_stage.main, "tunes", "--workers", "1")
    stage(events_stage.main, "tunes", "--workers", "1")
    stage(swapped_stage.main, "tunes", "--workers", "1")
    stage(cross_dataset_stage.main, "tunes", "--workers", "1")
    compare.main.callback()


def stage(command: click.Command, *arguments: str) -> None:
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output


def make_sweep(project: Project) -> None:
    for rate in LEARNING_RATES:
        cfg = compose(["experiment=genres-summary-ann", f"optimizer.lr={rate}", "mlflow.sweep=rates"])
        runs.train(cfg, prepare.load(cfg), project.root / "outputs" / str(rate))


@pytest.fixture
def page(browser) -> Iterator[Page]:
    """A browser that has not been here, and asks nobody else for anything."""
    asked = []
    context = browser.new_context(viewport={"width": 1600, "height": 900})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    context.on("request", lambda request: asked.append(request.url))
    yield context.new_page()
    context.close()
    assert asked and not [url for url in asked if not url.startswith(LOCAL)]


@needs_a_browser
def test_the_runs_are_found_by_name_with_their_scores(shown, page):
    page.goto(shown.listed)
    page.get_by_role("button", name="Close", exact=True).click()  # MLflow's assistant, which takes a third of the page
    expect(page.get_by_placeholder("Ask a question...")).to_have_count(0)
    page.get_by_role("button", name="Views").click()
    page.get_by_text("Scores", exact=True).click()
    for column in ("test_accuracy", "input"):
        expect(page.locator(".ag-header-cell").get_by_text(column, exact=True)).to_be_visible()
    page.get_by_placeholder("metrics.rmse").fill("attributes.run_name LIKE '%grouped%fold1%'")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 matching run")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("summary-ann grouped-as_coded-seed0-fold1 tunes"))).to_be_visible()


@needs_a_browser
def test_a_sweep_is_one_group_and_its_runs_are_compared(shown, page):
    page.goto(shown.listed)
    page.get_by_role("button", name="Views").click()
    page.get_by_text("Sweeps", exact=True).click()
    expect(page.get_by_text("Group: rates")).to_be_visible()
    expect(page.get_by_text(f"{len(LEARNING_RATES)} matching runs")).to_be_visible()
    page.locator(".ag-row input[type=checkbox]:visible").first.click()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text(f"Comparing {len(LEARNING_RATES)} Runs from 1 Experiment")).to_be_visible()
    expect(page.locator(".js-plotly-plot .parcoords").first).to_be_visible()


@needs_a_browser
def test_a_row_of_the_report_leads_to_its_run_and_back(shown, page):
    page.goto(f"{shown.address}{links.REPORT}")
    row = page.locator(f"#{links.anchor(*ROW)}")
    row.get_by_role("link", name="grouped").click()
    expect(page.get_by_text("3 matching runs")).to_be_visible()
    page.go_back()
    row.get_by_role("link", name="published").click()
    expect(page.get_by_role("heading", name="summary-ann published-as_coded-seed0-fold0 tunes")).to_be_visible()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Its row in the report").click()
    assert opened.value.url == f"{shown.address}{links.REPORT}#{links.anchor(*ROW)}"
    expect(opened.value.locator(f"#{links.anchor(*ROW)}")).to_be_in_viewport()


@needs_a_browser
def test_a_number_of_a_confusion_matrix_leads_to_its_windows_to_be_heard_and_back(shown, page):
    page.goto(f"{shown.address}{links.REPORT}")
    matrix = page.locator(f"#{links.matrix(*ROW, 'grouped')}")
    page.get_by_text("Confusion matrices").click()
    number = matrix.get_by_role("link").first
    count = int(number.inner_text())
    number.click()
    expect(page.get_by_role("listitem")).to_have_count(min(count, mistakes.MOST))
    sound = page.locator("audio").first
    sound.click(position={"x": 25, "y": 19})  # its play button
    expect(sound).to_have_js_property("paused", False)
    heard = (
        "sound => new Promise(done => { sound.ontimeupdate = () => sound.currentTime > 0.1 && done(sound.duration) })"
    )
    assert sound.evaluate(heard) == pytest.approx(4, abs=0.1)
    assert page.locator("img").first.evaluate("picture => picture.naturalWidth") > 100
    page.get_by_role("link", name="the confusion matrix").click()
    expect(matrix).to_be_in_viewport()


@needs_a_browser
def test_a_run_has_charts_of_its_epochs_and_its_confusion_matrix(shown, page):
    page.goto(requests.get(f"{shown.address}{asked('published')}", timeout=300).url)
    page.get_by_role("tab", name="Model metrics").click()
    page.get_by_placeholder("Search metric charts").fill("^(train|val)_loss$")
    expect(page.locator(".js-plotly-plot:has(.scatterlayer .trace)")).to_have_count(2)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("test", exact=True).click()
    page.get_by_text("confusion_matrix.png").click()
    picture = page.locator("img[src^='blob:']:visible")
    picture.wait_for()
    assert picture.evaluate("picture => picture.naturalWidth") > 100


def asked(protocol: str) -> str:
    return links.runs(*ROW, protocol).removeprefix(links.ADDRESS)


def test_the_views_are_saved_once(shown):
    client = MlflowClient(f"sqlite:///{shown.project.data('mlflow', 'mlflow.db')}")
    tags = []
    for _ in range(2):  # the dashboard has saved them when it started
        tags.append(client.get_experiment(shown.experiment).tags)
        save_views()
    assert tags[0] == tags[1] and {views.VIEW_TAG + name for name in views.VIEWS} <= set(tags[0])


def test_what_is_no_run_is_refused(shown):
    for query, status in (("dataset=nightingales", 404), ("dataset=a'b", 400), ("run_id=1", 400)):
        answer = requests.get(f"{shown.address}{links.RUNS}?{query}", timeout=300)
        assert answer.status_code == status and answer.headers["content-type"].startswith("text/plain")


def test_before_there_is_a_report_its_files_are_not_found_either(project):
    new_store(project.data("mlflow", "mlflow.db"))
    with dashboard(project.root) as (address, _):
        for method, path, status in (("GET", "a.png", 404), ("GET", "", 404), ("POST", "", 405)):
            assert requests.request(method, f"{address}{links.REPORT}{path}", timeout=300).status_code == status
        try:
            found = requests.get(address, headers={"X": "a" * 10_000_000}, timeout=300).status_code
        except requests.ConnectionError:
            found = None
        assert found in (400, 431, None), "headers without end are refused"


def test_windows_of_what_is_not_there_are_refused(shown):
    there = dict(zip(("dataset", "input", "model", "wiring"), ROW, strict=True))
    cell = {**there, "protocol": "grouped", "true": "low", "predicted": "low"}
    wrong = [{"dataset": "../raw"}, {"input": "../tunes/summary"}, {"protocol": "x"}, {"wiring": "x"}, {"true": "/etc"}]
    for change, status in [({"path": "/etc/passwd"}, 400), *((change, 404) for change in wrong)]:
        answer = requests.get(f"{shown.address}{links.WINDOWS}", cell | change, timeout=300)
        assert answer.status_code == status and answer.headers["content-type"].startswith("text/plain")
    del cell["true"]
    assert requests.get(f"{shown.address}{links.WINDOWS}", cell, timeout=300).status_code == 400


def test_only_the_report_is_served_and_only_to_this_machine(shown):
    secret = shown.project.data("mlflow", "mlflow.db")
    shown.project.data("report", "link.db").symlink_to(secret)
    reaching = ["../mlflow/mlflow.db", "%2e%2e/mlflow/mlflow.db", "..%2fmlflow%2fmlflow.db", "link.db", f"/{secret}"]
    assert {get(shown, f"{links.REPORT}{path}") for path in reaching} == {404}
    assert get(shown, f"{links.REPORT}comparison.csv") == 200
    for path in ("/", links.REPORT, links.WINDOWS, asked("grouped")):
        assert get(shown, path, Host="example.org") == 403


def get(shown: Shown, path: str, **headers: str) -> int:
    """Return the status of a request whose path no client has tidied up."""
    connection = http.client.HTTPConnection(shown.address.removeprefix("http://"), timeout=300)
    connection.request("GET", path, headers=headers)
    return connection.getresponse().status
