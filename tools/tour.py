"""Execute docs/tour.ipynb and keep the outputs in it: `make notebook`.

`python -m tools.tour --to FILE --folder FOLDER` writes the executed notebook elsewhere, which the tests look at.
"""

from __future__ import annotations

import argparse
import base64
import os
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbformat import NotebookNode

from earshot import files
from tools import palette

TOUR = Path(__file__).parent.parent / "docs" / "tour.ipynb"
SECONDS = 300  # that a cell may take


def executed(path: Path, folder: Path) -> NotebookNode:
    """Return a notebook as a fresh kernel of this environment leaves it; nothing in it tells when that was.

    Parameters
    ----------
    path : of the notebook
    folder : the current one of its kernel

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    metadata = notebook.metadata.copy()
    with tempfile.TemporaryDirectory() as own:
        kernel = AsyncKernelManager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # with no other there it is this Python
            transport="ipc",  # no port
            connection_file=str(Path(own, "kernel.json")),
        )
        client = NotebookClient(
            notebook,
            km=kernel,
            timeout=SECONDS,
            record_timing=False,
            coalesce_streams=True,  # what is printed at once is one output, however it arrives
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=os.environ | {"IPYTHONDIR": own}, cleanup_kc=True)
    notebook.metadata = metadata  # without the version of Python
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if picture := output.get("data", {}).get("image/png"):
                output.data["image/png"] = base64.b64encode(palette.small(base64.b64decode(picture))).decode()
    return notebook


def main() -> None:
    """Execute and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=TOUR, help="where it is written; else in place")
    parser.add_argument("--folder", type=Path, default=TOUR.parent, help="the current folder of its kernel")
    chosen = parser.parse_args()
    files.write_text(chosen.to, nbformat.writes(executed(TOUR, chosen.folder)) + "\n")


if __name__ == "__main__":
    main()
