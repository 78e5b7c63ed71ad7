"""The server of `earshot serve`: the page, the models, and their predictions for a recording that is sent."""

from __future__ import annotations

import functools
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import anyio.to_thread
import numpy as np
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earshot.audio import sources
from earshot.detection.answer import answer
from earshot.detection.detector import Detector, Window
from earshot.detection.rule import Rule
from earshot.errors import EarshotError
from earshot.trained import model_folder
from earshot.web.overview import Overview

HERE = Path(__file__).parent
RATE = 16000  # of the spectrogram, in Hz
MAX_SECONDS = 3600.0  # of a recording: a small file may hold days of silence
MAX_MODELS = 2  # in a request
AT_ONCE = 2  # recordings in work at a time
WAITING = 14  # recordings in the queue; others are refused
ARRIVING = 16  # times the largest recording: as much may be on its way at a time
IDLE_SECONDS, UPLOAD_SECONDS = 20.0, 600.0  # that a recording may take without a byte of it, and in all
CACHED_MODELS = 4
MOST_CLASSES = 20  # of a model in an answer; a page has no room for more
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
BUSY = "too many recordings at once: try again in a moment"
FILES = {"/": "page.html", "/page.js": "page.js", "/style.css": "style.css"}


class Refusal(Exception):
    """A request that is refused, with the HTTP status and the reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Listening:
    """The models, and a queue of recordings of which a few are worked on at a time.

    models : name to what loads the model
    folders : of the models that are in one, by name: one that is replaced is loaded anew
    most_bytes : the maximum size of a recording
    """

    def __init__(self, models: dict[str, Callable[[], Detector]], folders: dict[str, Path], most_bytes: int):
        self.models, self.folders, self.most_bytes = models, folders, most_bytes
        self.places = threading.Semaphore(AT_ONCE + WAITING)
        self.limiter = anyio.CapacityLimiter(AT_ONCE)
        self.loading = anyio.CapacityLimiter(AT_ONCE)  # a model may first be fetched, while others listen
        self.arriving = 0  # bytes
        self._loaded = functools.lru_cache(maxsize=CACHED_MODELS)(self._load)

    async def listen(self, request: Request) -> Response:
        """Return the predictions of the models named in the query for the body, an audio file of any format."""
        try:
            if _of_another_page(request):
                raise Refusal(403, "a page of another site can't send recordings here")
            names, given = self._parameters(request)
            with tempfile.NamedTemporaryFile() as file:
                await self._save_body(request, file)
                with self._place():  # only now: who sends slowly keeps nobody waiting
                    for name in names:
                        await anyio.to_thread.run_sync(self.detector, name, limiter=self.loading)
                    found = await anyio.to_thread.run_sync(
                        self._predict, Path(file.name), names, given, limiter=self.limiter
                    )
        except Refusal as refusal:
            return JSONResponse({"error": str(refusal)}, refusal.status)
        except EarshotError as error:
            return JSONResponse({"error": str(error)}, 422)
        except ClientDisconnect:
            return Response(status_code=400)
        return JSONResponse(found)

    def detector(self, name: str) -> Detector:
        """Return a model, loaded when it is first asked for or has been replaced."""
        folder = self.folders.get(name)
        return self._loaded(name, folder and model_folder.state(folder))

    def _load(self, name: str, _state: Any) -> Detector:
        try:
            return self.models[name]()
        except EarshotError:
            raise
        except Exception as error:
            raise EarshotError(f"{name} is no model that works: {error!r}") from error

    def _parameters(self, request: Request) -> tuple[list[str], dict[str, float]]:
        """Return the models of a request, and what it has instead of their rules."""
        query = request.query_params
        names = query.getlist("model")
        if not 1 <= len(names) <= MAX_MODELS or any(name not in self.models for name in names):
            raise Refusal(404, f"name one or two of the models: {', '.join(self.models)}")
        try:
            return names, {name: float(query[name]) for name in asdict(Rule()) if query.get(name)}
        except ValueError as error:
            raise Refusal(422, str(error)) from None

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self.places.acquire(blocking=False):
            raise Refusal(503, BUSY)
        try:
            yield
        finally:
            self.places.release()

    async def _save_body(self, request: Request, file: IO[bytes]) -> None:
        """Write the body to a file; stop reading if it is too large or too slow."""
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self.most_bytes:
            raise self._too_large()
        size, chunks = 0, request.stream()
        try:
            with anyio.fail_after(UPLOAD_SECONDS):
                while True:
                    with anyio.fail_after(IDLE_SECONDS):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    size += len(chunk)
                    self.arriving += len(chunk)
                    if size > self.most_bytes:
                        raise self._too_large()
                    if self.arriving > ARRIVING * self.most_bytes:
                        raise Refusal(503, BUSY)
                    file.write(chunk)
        except TimeoutError:
            raise Refusal(408, "it arrives too slowly") from None
        finally:
            self.arriving -= size
        file.flush()

    def _too_large(self) -> Refusal:
        return Refusal(413, f"more than {self.most_bytes / 1e6:g} MB; `earshot predict` takes any size")

    def _predict(self, path: Path, names: list[str], given: dict[str, float]) -> dict[str, Any]:
        sources.check(path)
        overview = Overview()
        samples = sum(map(len, overview.watch(_limited(sources.blocks(path, RATE), RATE))))
        by_model = [self._by_model(name, path, given) for name in names]
        return {"seconds": samples / RATE, "hertz": RATE / 2, "spectrogram": overview.picture(), "heard": by_model}

    def _by_model(self, name: str, path: Path, given: dict[str, float]) -> dict[str, Any]:
        detector, windows = self.detector(name), []
        rules = detector.rules(**given)
        found = answer(detector, sources.blocks(path, detector.sample_rate), rules, detector.classes, windows.append)
        shown = _highest(detector.classes, windows)
        return {
            "model": name,
            "label": found.label,
            **asdict(found),
            "scores": {label: found.scores[label] for label in shown},
            "events": [asdict(event) for event in found.events if event.label in shown],
            "timeline": _timeline(detector, windows, shown),
            "rules": {label: asdict(rules[label]) for label in shown},
            "operating_point": detector.settings.get("operating_point"),
        }


def _of_another_page(request: Request) -> bool:
    """Tell whether a browser sends a request for a page of another site; what is no browser says neither."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _limited(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    samples = 0
    for block in blocks:
        samples += len(block)
        if samples > MAX_SECONDS * rate:
            raise EarshotError(f"lasts more than {MAX_SECONDS / 60:g} minutes; `earshot predict` takes any length")
        yield block


def _highest(classes: list[str], windows: list[Window]) -> list[str]:
    """Return the classes; of many those that reach the highest scores, the highest first."""
    if len(classes) <= MOST_CLASSES:
        return classes
    peaks = np.max([window.probabilities for window in windows], axis=0)
    return [classes[number] for number in np.argsort(-peaks, kind="stable")[:MOST_CLASSES]]


def _timeline(detector: Detector, windows: list[Window], shown: list[str]) -> dict[str, Any]:
    """Return the score of each class that is shown by the middle of each window."""
    places = [detector.classes.index(label) for label in shown]
    scores = np.array([window.probabilities[places] for window in windows]).round(4)
    middles = [window.start + window.seconds / 2 for window in windows]
    return {"seconds": middles, "scores": dict(zip(shown, scores.T.tolist(), strict=True))}


def with_headers(served: ASGIApp) -> ASGIApp:
    """Add `HEADERS` to all that an application answers, refusals as well."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await served(scope, receive, told)

    return wrapped


def app(
    models: dict[str, Callable[[], Detector]], folders: dict[str, Path], most_bytes: int, hosts: list[str]
) -> Starlette:
    """Return the server's application.

    Parameters
    ----------
    models : name to what loads the model, when it is first asked for; in the order of the page
    folders : of the models that are in one
    most_bytes : the maximum size of a recording; a larger one is refused and not read
    hosts : host names that requests may have; others are refused, as a guard against DNS rebinding
    """
    listening = Listening(models, folders, most_bytes)
    rule = asdict(Rule())

    def file(name: str) -> Callable[[Request], Response]:
        return lambda _: FileResponse(HERE / name)

    def list_models(_: Request) -> Response:
        return JSONResponse({"models": list(models), "rule": rule, "most_bytes": most_bytes})

    routes = [Route(path, file(name)) for path, name in FILES.items()]
    routes += [Route("/models", list_models), Route("/listen", listening.listen, methods=["POST"])]
    guards = [Middleware(with_headers), Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    return Starlette(routes=routes, middleware=guards)
