"""HTTP as uvicorn speaks it, with heads of limited size: those without end would keep it busy for good."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 2**16  # bytes of a request's address and headers, about


class Bounded(HttpToolsProtocol):
    """A connection that is closed where more than `MOST_HEAD` bytes come that complete no headers, and are no body."""

    waiting = 0  # bytes

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self.waiting += len(data)
        super().data_received(data)
        if self.waiting > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("the headers are too large")

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self.waiting = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of its body."""
        self.waiting = 0
        super().on_body(body)
