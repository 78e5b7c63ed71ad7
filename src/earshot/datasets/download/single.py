"""One file of a card that is no dataset's, from a mirror or the network."""

from __future__ import annotations

from pathlib import Path

from earshot.datasets.download.fetch import Expected, FetchError, fetch
from earshot.datasets.download.remote import MIRROR, mirror
from earshot.datasets.sources import RemoteFile
from earshot.errors import EarshotError


def fetch_file(file: RemoteFile, target: Path, kind: str, what: str) -> str:
    """Fetch a file, checked as its card says, to `target`; return the address that gave it.

    Parameters
    ----------
    kind : the folder in a mirror that holds such files
    what : what the file is of, for errors, such as "backbone 'mn04_as'"

    Raises
    ------
    EarshotError
        If no address gives the right file; names each and why.
    """
    failures = []
    for address in mirror(kind, file.path) + file.urls:
        try:
            fetch(address, target, target.parent / "parts", Expected(file.checksum, file.bytes))
        except FetchError as error:
            failures.append(f"  {address}: {error}")
        else:
            return address
    tried = "\n".join([f"{what} could not be obtained. Tried:", *failures])
    raise EarshotError(f"{tried}\n{MIRROR} can name a folder or an http(s) address that holds {kind}/{file.path}.")
