"""`earshot serve`."""

from __future__ import annotations

from pathlib import Path

import click

from earshot import project
from earshot.errors import EarshotError, without_traceback
from earshot.web import ports

LOOPBACK = "127.0.0.1"


@click.command(short_help="Listen to recordings on a page in the browser.")
@click.option("--model", "folders", metavar="FOLDER", multiple=True, type=click.Path(path_type=Path))
@click.option("--port", default=5002, show_default=True)
@click.option(
    "--host", default=LOOPBACK, show_default=True, help="0.0.0.0 lets others in; nobody is asked who they are."
)
@click.option("--name", "names", metavar="HOST", multiple=True, help="By which others reach this machine, with --host.")
@click.option("--most-mb", default=50.0, show_default=True, help="Of a recording that is sent.")
@without_traceback
def serve(folders: tuple[Path, ...], port: int, host: str, names: tuple[str, ...], most_mb: float) -> None:
    """Open a page where trained models listen to a recording: see, hear and compare what they find.

    It offers the models in each FOLDER; by default the champions, and one of each experiment of the pipeline.
    """
    models = {str(folder): folder for folder in folders} or _trained()
    if not models:
        raise EarshotError("there is no trained model here: `earshot repro` trains some, --model names one")
    ports.check(host, port)
    import uvicorn

    from earshot.web.listening import app

    print(f"listening on http://{host}:{port} with {len(models)} models; Ctrl-C ends it", flush=True)
    served = app(models, round(most_mb * 1e6), [LOOPBACK, "localhost", host, *names])
    # uvicorn's other way to read HTTP fails where a body is refused that goes on to arrive
    uvicorn.run(served, http="httptools", host=host, port=port, log_level="warning", server_header=False)


def _trained() -> dict[str, Path]:
    """Return the champions, and of each experiment in data/models the first run that no group was shared in."""
    from earshot.deploy import find

    folder = project.models()
    found = {f"champion of {dataset}": find.champion(dataset) for dataset in find.champions()}
    for experiment in sorted(folder.glob("*/*")):
        first = min(
            experiment.glob("*/config.json"), key=lambda path: (not path.parent.name.startswith("grouped"), path)
        )
        found[str(first.parent.relative_to(folder))] = first.parent
    return found
