"""One address -> one verified file.

requests speaks HTTP and tenacity waits between attempts; what is added here is to resume where a download
broke off, in the same run or after a kill. (pooch, made for scientific data, starts from the first byte.)
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter
from tqdm import tqdm

from earshot import progress
from earshot.datasets.download.checksums import checksum_of, fits, kind_of

CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0  # without a byte: then the server is taken to have stalled
ATTEMPTS = 4  # in a row that bring nothing new
FIRST_WAIT_SECONDS = 1.0  # doubles with every attempt, plus up to as much by chance
LONGEST_WAIT_SECONDS = 30.0
MOST_BYTES = 50 * 10**9  # for a file whose size nobody tells
CHUNK_BYTES = 1 << 16
SLOW_SECONDS, SLOW_BYTES = 60.0, 30_000  # an address that sends less is given up: half a kilobyte a second
BROKEN_OFF = (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError)
PASSING = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.ReadTimeoutError, *BROKEN_OFF)
# what servers can make of these libraries: a redirect to no address, a length that is no number
FAULTS = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, ValueError)
PASSING_STATUS = {408, 425, 429}  # and all from 500 on: the server may do better in a moment


class FetchError(Exception):
    """An address didn't give the file; the message says why."""


class _Broken(FetchError):
    """A failure that may pass: worth another attempt."""


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is there: SHA-256 or MD5, exact size, and a limit in any case."""

    checksum: str | None = None
    bytes: int | None = None
    most_bytes: int = MOST_BYTES

    def check_size(self, size: int) -> None:
        """Raise `FetchError` if a file of `size` bytes can't be the one."""
        if self.bytes is not None and size != self.bytes:
            raise FetchError(f"{size} bytes where the card says {self.bytes}")
        if size > self.most_bytes:
            raise FetchError(f"{size} bytes, more than the {self.most_bytes} allowed")

    def check(self, path: Path) -> None:
        """Raise `FetchError` if the file at `path` isn't the one."""
        self.check_size(path.stat().st_size)
        if self.checksum and (found := checksum_of(path, kind := kind_of(self.checksum))) != self.checksum:
            raise FetchError(f"wrong bytes: {kind} is {found}, expected {self.checksum}")


class _Part:
    """The part of a file that has arrived from one address, and the server's mark for its version."""

    def __init__(self, path: Path) -> None:
        self.path, self._mark = path, path.with_suffix(".mark")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def mark(self) -> str:
        return self._mark.read_text() if self._mark.is_file() else ""

    def start(self, mark: str) -> None:
        """Begin a new part of the version `mark`, empty if the server names none."""
        self.path.unlink(missing_ok=True)
        self._mark.write_text(mark)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)

    def check(self, expected: Expected) -> None:
        """Raise `FetchError`, and discard what has arrived, if it isn't the expected file."""
        try:
            expected.check(self.path)
        except FetchError:
            self.discard()
            raise


def is_web(address: str) -> bool:
    """Tell an address from a path."""
    return address.startswith(("http://", "https://"))


def fetch(address: str, target: Path, parts: Path, expected: Expected) -> None:
    """Bring the file at `address`, an http(s) address or a path, to `target`, checked.

    Parameters
    ----------
    address : where the file is
    target : where it goes, once it is complete and right; one that is there and right already is kept
    parts : folder for what has arrived; kept when the connection breaks or this process is killed
    expected : what the file must be

    Raises
    ------
    FetchError
        If the address doesn't give the file, or gives another one.
    OSError
        If it can't be written here.
    """
    if expected.checksum and target.is_file() and fits(target, expected.checksum):
        return
    parts.mkdir(parents=True, exist_ok=True)
    # an address has a part of its own, so bytes of two servers are never put together
    part = _Part(parts / f"{target.name}.{hashlib.sha256(address.encode()).hexdigest()[:8]}.part")
    (_download if is_web(address) else _copy)(address, part, expected)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.path.replace(target)
    part.discard()


def _copy(path: str, part: _Part, expected: Expected) -> None:
    source = Path(path)
    try:
        reader = source.open("rb")
    except OSError as error:
        raise FetchError(error.strerror) from None
    with reader:
        expected.check_size(source.stat().st_size)
        part.discard()
        with part.path.open("xb") as writer:
            shutil.copyfileobj(reader, writer)
    part.check(expected)


def _download(address: str, part: _Part, expected: Expected) -> None:
    sizes = [part.size]

    def without_progress(state: RetryCallState) -> bool:
        sizes.append(part.size)
        return len(sizes) > ATTEMPTS and max(sizes[-ATTEMPTS:]) <= max(sizes[:-ATTEMPTS])

    attempts = Retrying(
        retry=retry_if_exception_type(_Broken),
        stop=without_progress,
        wait=wait_exponential_jitter(
            multiplier=FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS, jitter=FIRST_WAIT_SECONDS
        ),
        before_sleep=_print_next_attempt,
        reraise=True,
    )
    attempts(_attempt, address, part, expected)


def _print_next_attempt(state: RetryCallState) -> None:
    tqdm.write(f"  {state.outcome.exception()}; next attempt in {state.next_action.sleep:.0f} s")


def _attempt(address: str, part: _Part, expected: Expected) -> None:
    """Download what is missing of `part`, and check the whole."""
    resumed = False
    try:
        resumed = _receive(address, part, expected)
        part.check(expected)
    except FAULTS as error:
        raise (_Broken if isinstance(error, PASSING) else FetchError)(_reason(error)) from None
    except FetchError as error:
        if resumed:  # the file may have changed between the two parts
            raise _Broken(f"{error}; starting again") from None
        raise


def _receive(address: str, part: _Part, expected: Expected) -> bool:
    """Append to `part` what the server sends; return whether earlier bytes were kept.

    A part is only continued where a mixture of two versions would be noticed: by the server, which is sent
    the mark of the first, or by the checksum.
    """
    if not (part.mark or expected.checksum):
        part.discard()
    headers = {"Accept-Encoding": "identity"}  # else offsets would count compressed bytes
    if part.size:
        headers |= {"Range": f"bytes={part.size}-"} | ({"If-Range": part.mark} if part.mark else {})
    with requests.get(address, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
        kept = _kept_bytes(response, part)
        if response.status_code != 416:
            _write(response, part, kept, expected)
    return kept > 0


def _kept_bytes(response: requests.Response, part: _Part) -> int:
    """Return how many bytes of `part` the response goes on from, after making `part` ready for it."""
    status, content_range = response.status_code, response.headers.get("Content-Range", "")
    if status == 200:
        part.start(_mark(response))
        return 0
    if status == 206 and content_range.startswith(f"bytes {part.size}-"):
        return part.size
    if status == 416 and part.size and content_range == f"bytes */{part.size}":
        return part.size  # it was complete: killed before the check
    if status in (206, 416):
        part.discard()
        raise _Broken(f"the server has no bytes from where the download broke off ({status})")
    failure = _Broken if status in PASSING_STATUS or status >= 500 else FetchError
    raise failure(f"{status} {response.reason}".strip())


def _mark(response: requests.Response) -> str:
    """Return what If-Range accepts: a strong ETag, else the date of the last change."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified", "")


def _write(response: requests.Response, part: _Part, kept: int, expected: Expected) -> None:
    announced = response.headers.get("Content-Length", "")
    total = kept + int(announced) if announced.isdecimal() else expected.bytes
    if total is not None:
        expected.check_size(total)
        _check_space(part.path.parent, total - kept)
    name = part.path.name.rsplit(".", 2)[0]
    # disable=None: no bar in a log, where it would be noise
    bar = progress.bar(desc=name, total=total, initial=kept, unit="B", unit_scale=True, leave=False, disable=None)
    with bar, part.path.open("ab", buffering=0) as file:  # unbuffered: a kill loses nothing that has arrived
        for chunk in _pieces(response):
            if file.tell() + len(chunk) > (expected.bytes or expected.most_bytes):
                raise FetchError("sends more bytes than the card allows")
            file.write(chunk)
            bar.update(len(chunk))
    whole = expected.bytes or _whole(response)
    if whole and part.size < whole:  # without an announced length a break looks like an end
        raise _Broken(f"the connection broke off after {part.size} of {whole} bytes")


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yield what arrives, as it arrives, as long as it is not too slow."""
    since, arrived = time.monotonic(), 0
    while piece := response.raw.read1(CHUNK_BYTES):  # requests' own way waits until a whole chunk is there
        yield piece
        arrived += len(piece)
        if time.monotonic() - since > SLOW_SECONDS:
            if arrived < SLOW_BYTES:
                raise FetchError(f"too slow: {arrived} bytes in {SLOW_SECONDS:g} s")
            since, arrived = time.monotonic(), 0


def _whole(response: requests.Response) -> int | None:
    """Return the size of the whole file, of which an answer with status 206 is a part."""
    size = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(size) if response.status_code == 206 and size.isdecimal() else None


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        told = f"{os.strerror(errno.ENOSPC)}: {needed} bytes to download, {free} free"
        raise OSError(errno.ENOSPC, told, str(folder))


def _reason(error: Exception) -> str:
    """Say what went wrong without the layers that requests and urllib3 wrap around it."""
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {CONNECT_SECONDS:g} s, or no byte within {READ_SECONDS:g} s"
    innermost: BaseException = error
    while cause := innermost.__cause__ or innermost.__context__:
        innermost = cause
    told = getattr(innermost, "strerror", None) or str(innermost) or type(innermost).__name__
    return f"the connection broke off: {told}" if isinstance(error, BROKEN_OFF) else told
