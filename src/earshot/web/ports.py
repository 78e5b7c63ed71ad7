"""Whether a port is free, which both servers check before they start."""

from __future__ import annotations

import socket

from earshot.errors import EarshotError

SERVE = 5002  # of `earshot serve`


def check(host: str, port: int) -> None:
    """Check that a server can listen on a port.

    Raises
    ------
    EarshotError
        If it cannot: the port is taken, or the host is not this machine's.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just closed is free
        try:
            tried.bind((host, port))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise EarshotError(
                f"port {port} of {host} is not available ({why}). Choose another one with --port"
            ) from None
