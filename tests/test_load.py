"""Broken requests and slow connections: a sample of `make faults`, see faults/load.py."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest
import requests
import uvicorn

from earshot.detection.detector import Detector
from earshot.web import listening
from earshot.web.bounded import MOST_HEAD, Bounded
from faults.broken_requests import Slow, ask, broken
from test_onnx import model

REQUESTS, SLOW = 400, 30
PATHS = ("/", "/page.js", "/models", "/listen?model=a", "/listen?model=a&model=b", "/listen")


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[tuple[str, int]]:
    """Serve a small model as `earshot serve` does, in a thread of this process."""
    folder = model(tmp_path_factory.mktemp("served") / "a", "log_mel", "cnn")
    served = listening.app({"a": partial(Detector.load, folder)}, {}, 1_000_000, ["127.0.0.1"])
    server = uvicorn.Server(uvicorn.Config(served, http=Bounded, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        yield bound.getsockname()
        server.should_exit = True
        thread.join()


def test_no_request_is_a_fault_of_the_server(address):
    for sent in itertools.islice(broken(0, PATHS, f"{address[0]}:{address[1]}"), REQUESTS):
        statuses = ask(address, sent).statuses
        assert not [status for status in statuses if status >= 500], sent.content
    assert requests.get(f"http://{address[0]}:{address[1]}/models", timeout=60).ok


@pytest.mark.parametrize("form", ["address", "header", "headers", "trailers"])
def test_a_head_without_end_is_refused(address, form):
    begun = {
        "address": b"GET /",
        "header": b"GET / HTTP/1.1\r\nX: ",
        "headers": b"GET / HTTP/1.1\r\n",
        "trailers": b"POST /listen HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    }
    more = b"X: a\r\n" * 2000 if form in ("headers", "trailers") else b"a" * 10_000
    sent = 0
    with socket.create_connection(address, timeout=60) as connection, contextlib.suppress(OSError):
        connection.sendall(begun[form])
        while sent < 100 * MOST_HEAD:
            connection.sendall(more)
            sent += len(more)
    assert sent < 100 * MOST_HEAD
    assert requests.get(f"http://{address[0]}:{address[1]}/models", timeout=60).ok


def test_connections_that_are_slow_keep_nobody_waiting(address):
    slow = Slow(address, SLOW)
    for _ in range(20):
        slow.go_on()
        assert requests.get(f"http://{address[0]}:{address[1]}/models", timeout=60).ok
    slow.close()
