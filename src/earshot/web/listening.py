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

import anyio.to_thread
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from earshot.audio import sources
from earshot.detection.answer import answer
from earshot.detection.detector import Detector, Window
from earshot.detection.rule import Rule
from earshot.errors import EarshotError
from earshot.web.overview import Overview

HERE = Path(__file__).parent
RATE = 16000  # of the spectrogram, in Hz
MAX_SECONDS = 3600.0  # of a recording: a small file may hold days of silence
MAX_MODELS = 2  # in a request
AT_ONCE = 2  # recordings in work at a time
WAITING = 14  # recordings in the queue; others are refused
CACHED_MODELS = 4
MOST_CLASSES = 20  # of a model in an answer; a page has no room for more
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
FILES = {"/": "page.html", "/page.js": "page.js", "/style.css": "style.css"}


class Refusal(Exception):
    """A request that is refused, with the HTTP status and the reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Listening:
    """The models, and a queue of recordings of which a few are worked on at a time.

    models : name to what loads the model
    most_bytes : the maximum size of a recording
    """

    def __init__(self, models: dict[str, Callable[[], Detector]], most_bytes: int):
        self.models, self.most_bytes = models, most_bytes
        self.places = threading.Semaphore(AT_ONCE + WAITING)
        self.limiter = anyio.CapacityLimiter(AT_ONCE)
        self.loading = anyio.CapacityLimiter(AT_ONCE)  # a model may first be fetched, while others listen
        self.detector = functools.lru_cache(maxsize=CACHED_MODELS)(lambda name: models[name]())

    async def listen(self, request: Request) -> Response:
        """Return the predictions of the models named in the query for the body, an audio file of any format."""
        try:
            names, given = self._parameters(request)
            with self._place(), tempfile.NamedTemporaryFile() as file:
                await self._save_body(request, file)
                for name in names:
                    await anyio.to_thread.run_sync(self.detector, name, limiter=self.loading)
                found = await anyio.to_thread.run_sync(
                    self._predict, Path(file.name), names, given, limiter=self.limiter
                )
        except Refusal as refusal:
            return JSONResponse({"error": str(refusal)}, refusal.status, HEADERS)
        except EarshotError as error:
            return JSONResponse({"error": str(error)}, 422, HEADERS)
        except ClientDisconnect:
            return Response(status_code=400)
        return JSONResponse(found, headers=HEADERS)

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
            raise Refusal(503, "too many recordings at once: try again in a moment")
        try:
            yield
        finally:
            self.places.release()

    async def _save_body(self, request: Request, file: IO[bytes]) -> None:
        """Write the body to a file; stop reading if it is too large."""
        declared = request.headers.get("content-length", "0")
        size = int(declared) if declared.isdigit() else 0
        if size <= self.most_bytes:
            size = 0
            async for chunk in request.stream():
                size += len(chunk)
                if size > self.most_bytes:
                    break
                file.write(chunk)
        if size > self.most_bytes:
            raise Refusal(413, f"more than {self.most_bytes / 1e6:g} MB; `earshot predict` takes any size")
        file.flush()

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


def app(models: dict[str, Callable[[], Detector]], most_bytes: int, hosts: list[str]) -> Starlette:
    """Return the server's application.

    Parameters
    ----------
    models : name to what loads the model, when it is first asked for; in the order of the page
    most_bytes : the maximum size of a recording; a larger one is refused and not read
    hosts : host names that requests may have; others are refused, as a guard against DNS rebinding
    """
    listening = Listening(models, most_bytes)
    rule = asdict(Rule())

    def file(name: str) -> Callable[[Request], Response]:
        return lambda _: FileResponse(HERE / name, headers=HEADERS)

    def list_models(_: Request) -> Response:
        return JSONResponse({"models": list(models), "rule": rule, "most_bytes": most_bytes}, headers=HEADERS)

    routes = [Route(path, file(name)) for path, name in FILES.items()]
    routes += [Route("/models", list_models), Route("/listen", listening.listen, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)])
