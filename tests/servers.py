"""A web server on this machine that can misbehave in the ways real ones do."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


@dataclass
class Reply:
    """How one request is answered."""

    status: int = 200
    stop_after: int | None = None  # bytes of the body; then the connection is closed
    stall: bool = False  # at the point where it would stop, say nothing more instead
    announced: int | None = None  # Content-Length, where it isn't the truth; -1 for none
    ranges: bool = True
    mark: bool = True  # send an ETag
    body: bytes | None = None  # instead of the file
    location: str | None = None
    raw: bytes | None = None  # all that is answered, headers too
    trickle: float | None = None  # seconds between two bytes, of which there is no end


class Server:
    """Serves `files`; answers requests for a path with its `replies` in turn, and properly after those."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.replies: dict[str, list[Reply]] = defaultdict(list)
        self.requests: list[tuple[str, str | None]] = []  # path and Range
        self.sent = 0  # bytes of bodies
        self.closing = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # a client that leaves early is no news
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def _handler(server):
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                path = unquote(self.path).lstrip("/")
                server.requests.append((path, self.headers["Range"]))
                reply = server.replies[path].pop(0) if server.replies[path] else Reply()
                if reply.raw is not None:
                    self.close_connection = True
                    self.wfile.write(reply.raw)
                    return
                if reply.trickle is not None:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    while not server.closing.wait(reply.trickle):
                        self.wfile.write(b"x")
                content = server.files.get(path) if reply.body is None else reply.body
                if content is None or reply.status != 200:
                    self.send_response(reply.status if reply.status != 200 else 404)
                    if reply.location:
                        self.send_header("Location", reply.location)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self._send(reply, content)

            def _send(self, reply, content):
                mark = f'"{hashlib.md5(content).hexdigest()}"'
                start = self._start(reply, mark)
                if start and start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = content[start:]
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                if reply.mark:
                    self.send_header("ETag", mark)
                announced = len(body) if reply.announced is None else reply.announced
                if announced >= 0:
                    self.send_header("Content-Length", str(announced))
                self.end_headers()
                body = body[: reply.stop_after]
                self.wfile.write(body)
                server.sent += len(body)
                if reply.stall:
                    server.closing.wait(20)
                self.close_connection = True

            def _start(self, reply, mark):
                wanted = self.headers["Range"]
                if not wanted or not reply.ranges or self.headers.get("If-Range", mark) != mark:
                    return 0
                return int(wanted.removeprefix("bytes=").rstrip("-"))

        return Handler
