"""Requests that no honest client sends, over raw sockets, and what a server answers to them."""

from __future__ import annotations

import io
import random
import re
import socket
import string
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import soundfile

MOST_SECONDS = 60.0  # until a server that says nothing is taken for one that hangs
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "get", "BREW"]
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@dataclass(frozen=True)
class Sent:
    """What is sent.

    whole : the server knows that no more comes; else the connection is closed on this side
    """

    content: bytes
    whole: bool


@dataclass(frozen=True)
class Answered:
    """The statuses of what came back, and after how many seconds the first of it; none where it was just closed."""

    statuses: list[int]
    seconds: float


def broken(seed: int, paths: Sequence[str], host: str) -> Iterator[Sent]:
    """Yield requests without end, the same for the same seed.

    Parameters
    ----------
    paths : that the server knows, with their queries
    host : its name and port
    """
    rng = random.Random(seed)
    while True:
        parts = [_request(rng, paths, host) for _ in range(rng.choice([1, 1, 1, 1, 3]))]  # several: pipelined
        ended = [*(part for part in parts[:-1] if part.whole), parts[-1]]
        yield Sent(b"".join(part.content for part in ended), ended[-1].whole)


def _request(rng: random.Random, paths: Sequence[str], host: str) -> Sent:
    body, kind = _body(rng)
    method = rng.choice(METHODS) if rng.random() < 0.5 else "POST"
    lines = [f"{method} {_path(rng, paths)} HTTP/1.{rng.choice('1110')}".encode("latin-1")]
    lines.append(b"Host: " + rng.choice([host] * 9 + ["elsewhere.example", "", "\xff"]).encode("latin-1"))
    lines += [b"Connection: close", b"Content-Type: " + kind, *_odd_headers(rng)]
    framing = rng.random()
    if framing < 0.75:
        return Sent(_joined([*lines, b"Content-Length: %d" % len(body)], body), True)
    if framing < 0.85:
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        return Sent(_joined([*lines, b"Transfer-Encoding: chunked"], chunks), True)
    told = rng.choice([b"999999", b"-1", b"many", b"1e3", b"5, 7", b"0x10", b"18446744073709551617"])
    wrong = rng.choice([[b"Content-Length: " + told], [b"Transfer-Encoding: chunked"], [b"Content-Length: 3"] * 2])
    torn = _joined([*lines, *wrong], body)
    return Sent(torn[: rng.randrange(1, len(torn) + 1)] if rng.random() < 0.5 else torn, False)


def _joined(lines: list[bytes], body: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _path(rng: random.Random, paths: Sequence[str]) -> str:
    path = rng.choice(paths)
    odd = ["", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "%00", "%ff%fe", "//", "?", "#a", "\xe9"]
    if rng.random() < 0.3:
        return path + rng.choice(odd)
    if rng.random() < 0.3:
        return f"{path}{'&' if '?' in path else '?'}{_query(rng)}"
    return path


def _query(rng: random.Random) -> str:
    name = rng.choice(["model", "threshold", "release", "dataset", "fold", _word(rng)])
    value = rng.choice(["nan", "-1e400", "1e400", "", "%00", "'", "%ff", "a" * rng.randrange(20_000), _word(rng)])
    return "&".join([f"{name}={value}"] * rng.choice([1, 1, 2, 500]))[:50_000]


def _word(rng: random.Random) -> str:
    return quote("".join(rng.choices(string.printable + "äλ🎵\0", k=rng.randrange(1, 20))))


def _odd_headers(rng: random.Random) -> list[bytes]:
    odd = [
        [],
        [],
        [b"Content-Encoding: gzip"],
        [b"Expect: 100-continue"],
        [b"Origin: http://elsewhere.example"],
        [b"Sec-Fetch-Site: cross-site"],
        [b"Accept: \xff\xfe", b"Cookie: " + rng.randbytes(20).hex().encode()],
        [b"Range: bytes=9-1,-5,0-"],
        [b"If-None-Match: " + b"a" * 30_000],
        [b"X-%d: 1" % number for number in range(150)],
        [b"Upgrade: websocket", b"Sec-WebSocket-Key: a"],
        [b"X-Null: a\0b"],
    ]
    return rng.choice(odd)


def _body(rng: random.Random) -> tuple[bytes, bytes]:
    """Return a body, and of what type it says to be."""
    noise = rng.randbytes(rng.choice([0, 1, 50, 4000]))
    bodies = [
        (noise, b"application/octet-stream"),
        (noise, b"text/plain; charset=utf-99"),
        (b'{"dataframe_records": [' + noise, b"application/json"),
        (b'{"dataframe_records": [{"audio": "%s"}]}' % noise.hex().encode(), b"application/json"),
        (b"[" * 3000, b"application/json"),
        (b'--a\r\nContent-Disposition: form-data; name="x\r\n\r\n' + noise, b"multipart/form-data; boundary=a"),
        (noise, b"multipart/form-data"),
        (_sound(rng), b"audio/wav"),
    ]
    return rng.choice(bodies)


def _sound(rng: random.Random) -> bytes:
    """Return a short recording, with some of its bytes changed more often than not."""
    out = io.BytesIO()
    samples = np.frombuffer(rng.randbytes(8000), np.int16)
    soundfile.write(out, samples, rng.choice([4000, 8000, 44100]), format=rng.choice(["WAV", "FLAC", "OGG"]))
    found = bytearray(out.getvalue())
    for _ in range(rng.choice([0, 1, 20, 400])):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found[: rng.randrange(1, len(found))] if rng.random() < 0.3 else found)


def ask(address: tuple[str, int], sent: Sent) -> Answered:
    """Send a request on a connection of its own; return what is answered.

    Raises
    ------
    TimeoutError
        If nothing is.
    """
    with socket.create_connection(address, MOST_SECONDS) as connection:
        found, seconds = b"", None
        try:
            connection.sendall(sent.content)
            if not sent.whole:
                connection.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            while part := connection.recv(2**16):
                seconds = seconds or time.monotonic() - began
                found += part
        except (BrokenPipeError, ConnectionResetError):  # it has been refused before all of it was sent
            pass
        return Answered([int(status) for status in STATUS.findall(found)], seconds or 0.0)


class Slow:
    """Connections that send a request byte by byte."""

    def __init__(self, address: tuple[str, int], number: int):
        self.connections = [socket.create_connection(address, MOST_SECONDS) for _ in range(number)]
        self.content = b"POST /listen HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " + b"a" * 10_000
        self.sent = 0

    def go_on(self) -> None:
        """Send the next byte of each."""
        for connection in self.connections:
            connection.send(self.content[self.sent : self.sent + 1])
        self.sent += 1

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
