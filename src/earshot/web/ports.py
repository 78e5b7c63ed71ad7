"""A check of the port that a server listens on."""

from __future__ import annotations

import socket

from earshot.errors import EarshotError


def check(host: str, port: int) -> None:
    """Check that a server can listen on a port.

    Raises
    ------
    EarshotError
        If the port is in use, or the host is not an address of this machine.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed one is free at once
        try:
            tried.bind((host, port))
        except (OSError, OverflowError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise EarshotError(f"port {port} of {host} can't be had ({why}). Choose another one with --port") from None
