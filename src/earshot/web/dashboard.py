"""MLflow's dashboard, with the report beside it and links between the two.

`mlflow ui --app-name earshot` finds `app` by the entry point in pyproject.toml. MLflow checks host and origin before
the routes that are added here.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from earshot import project
from earshot.errors import EarshotError
from earshot.settings import WIRINGS
from earshot.tracking import address, links, store
from earshot.web import ports, views

if TYPE_CHECKING:
    from fastapi import FastAPI
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run
    from starlette.requests import Request
    from starlette.responses import Response

PARAMS = {
    "dataset": "dataset",
    "input": "input",
    "model": "model.name",
    "protocol": "protocol",
    "seed": "seed",
    "fold": "fold",
}
WIRING = "model.wiring"
TESTED = "test_accuracy"


def start(port: int) -> None:
    """Replace this process by the dashboard's server, on this machine only; or print the address of a remote server.

    Raises
    ------
    EarshotError
        If there are no runs yet, or the port is taken.
    """
    uri = address.uri()
    if uri.startswith("http"):
        print(f"the runs are on the MLflow server at {address.shown()}: open that address")
        return
    if not uri.startswith("sqlite"):
        store.connect()  # MLflow's server would end with a traceback
    if uri == address.local_uri() and not project.mlflow("mlflow.db").exists():
        raise EarshotError("there are no runs yet. Run `earshot repro` or `earshot train` first")
    ports.check("127.0.0.1", port)
    save_views()
    at = f"http://127.0.0.1:{port}"
    print(f"the dashboard is at {at} (stop with Ctrl-C)\nthe report is at    {at}{links.REPORT}", flush=True)
    # one worker is enough for one person: it starts in half the time and the memory that MLflow's four take
    command = [sys.executable, "-m", "mlflow", "ui", "--port", str(port), "--workers", "1"]
    # uvicorn's parser in Python refuses headers without end; the other one would take gigabytes
    command += ["--host", "127.0.0.1", "--app-name", "earshot", "--uvicorn-opts", "--log-level warning --http h11"]
    # earshot uses none of the server's jobs, whose runner takes several times the memory; and no telemetry is sent
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment |= {"MLFLOW_BACKEND_STORE_URI": uri}  # as an argument, all users of the machine would see its password
    os.execve(sys.executable, command, os.environ | environment)


def app() -> FastAPI:
    """Return MLflow's app with the report and the links to runs."""
    from mlflow.server.fastapi_app import app as served
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    class Files(StaticFiles):  # leave their folder neither by .. nor by a link
        async def check_config(self) -> None:
            """Take a folder that is not there as one without files: there is no report yet."""

    served.router.routes[:0] = [  # before MLflow's last route, which takes everything
        Route(links.RUNS, _runs),
        Route(links.WINDOWS, _windows),
        Route(links.REPORT, _report),
        Mount(links.REPORT, Files(directory=project.report(), check_dir=False)),
    ]
    return served


def save_views() -> None:
    """Save earshot's views in the experiments that exist.

    A database that is locked or read-only can be looked at without them.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    with suppress(MlflowException, SQLAlchemyError):
        client = _client()
        for experiment in _experiments(client):
            views.save(client, experiment)


def _report(_: Request) -> Response:
    """Return the report; its links lead to this dashboard, whatever its port."""
    from starlette.responses import HTMLResponse, PlainTextResponse

    path = project.report("index.html")
    if not path.is_file():
        return PlainTextResponse("there is no report yet: `earshot repro` makes it", 404)
    return HTMLResponse(path.read_text("utf-8").replace(f'"{links.ADDRESS}/', '"/'))


def _runs(request: Request) -> Response:
    """Redirect to the requested run, or to the list where there are several."""
    from starlette.responses import PlainTextResponse, RedirectResponse

    query = dict(request.query_params)
    if wrong := [name for name, value in query.items() if name not in {*PARAMS, "wiring"} or not _is_name(value)]:
        return PlainTextResponse(f"not understood: {', '.join(wrong)}", 400)
    found, condition = _find(_client(), query)
    if not found:
        return PlainTextResponse(f"MLflow has no tested run of {query}: it may have been trained elsewhere", 404)
    page = f"/#/experiments/{found[0].info.experiment_id}/runs"
    if len(found) == 1:
        return RedirectResponse(f"{page}/{found[0].info.run_id}")
    return RedirectResponse(f"{page}?{urlencode({'searchFilter': condition})}")


def _windows(request: Request) -> Response:
    """Return the page of the windows in a cell of a confusion matrix."""
    from starlette.responses import HTMLResponse, PlainTextResponse

    from earshot.report import mistakes

    query = dict(request.query_params)
    names = {field.name for field in fields(mistakes.MatrixCell)}
    if wrong := names ^ query.keys():
        return PlainTextResponse(f"missing, or not understood: {', '.join(sorted(wrong))}", 400)
    try:
        return HTMLResponse(mistakes.page(mistakes.MatrixCell(**query), report=links.REPORT))
    except EarshotError as error:
        return PlainTextResponse(str(error), 404)


def _find(client: MlflowClient, query: dict[str, str]) -> tuple[list[Run], str]:
    """Return the two newest tested runs that match the request, and MLflow's search filter for all of them."""
    conditions = [f"params.`{PARAMS[name]}` = '{value}'" for name, value in query.items() if name in PARAMS]
    conditions += [f"metrics.{TESTED} >= 0"]  # a score that only runs in the report have
    # a model whose code and text agree has no wiring to choose: the report names it as coded
    wired = [f"params.`{WIRING}` = '{query['wiring']}'"] if "wiring" in query else []
    unwired = [f"params.`{WIRING}` IS NULL"] if query.get("wiring") == WIRINGS[0] else []
    everywhere = [experiment.experiment_id for experiment in _experiments(client)]
    for wiring in (wired, unwired) if wired else ([],):
        condition = " AND ".join([*conditions, *wiring])
        if found := client.search_runs(everywhere, condition, max_results=2):  # one, or several: more need not be known
            return list(found), condition
    return [], ""


def _is_name(value: str) -> bool:
    return re.fullmatch(r"[\w.+-]+", value) is not None


def _client() -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(address.uri())


def _experiments(client: MlflowClient) -> list[Experiment]:
    return list(client.search_experiments(max_results=1000))
