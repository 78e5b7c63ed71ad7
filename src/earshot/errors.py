"""Errors a user can make, which are reported in one message without a traceback.

Kept separate because every room raises `EarshotError`, and this module imports no room.
"""

from __future__ import annotations

import _thread
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

SOON = 0.01  # seconds


class EarshotError(Exception):
    """An error that the user can fix; the message names the file or key, what is wrong and what to do."""


def printable(text: str) -> str:
    """Return text with control characters as escapes: names of files and classes come from others.

    Line ends and tabs stay.
    """
    plain = (letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)
    return "".join(plain)


def heed_dropped() -> None:
    """Have a signal come again whose exception was dropped: what C code calls back can't raise one through it.

    numba compiles with such calls. Python would go on, and tell of it with a traceback.
    """
    sys.unraisablehook = _come_again


def _come_again(dropped: Any) -> None:
    again = {KeyboardInterrupt: signal.SIGINT, SystemExit: signal.SIGTERM}.get(dropped.exc_type)
    if again is None:
        sys.__unraisablehook__(dropped)
    else:  # not by `threading`, whose start waits for the thread: what comes meanwhile would be dropped with a word
        _thread.start_new_thread(_send_again, (again, threading.get_ident()))


def _send_again(number: int, thread: int) -> None:
    """Send a signal to this process once a thread has left `_come_again`, when the call may have returned."""
    time.sleep(SOON)
    while _is_in(sys._current_frames().get(thread), _come_again.__code__):
        time.sleep(SOON)
    if sys.platform == "win32":  # where os.kill ends a process, whatever the signal
        signal.raise_signal(number)
    else:
        os.kill(os.getpid(), number)


def _is_in(frame: FrameType | None, code: CodeType) -> bool:
    """Tell whether a function is among those that a frame was called by, or its own."""
    while frame and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None


def without_traceback(main: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that what a user or a disk has done is printed to stderr, and the exit code is 1.

    That is an `EarshotError`, or an error of the operating system: no space, no memory, no permission, no such file.
    Ctrl-C and SIGTERM are not lost in what C code calls back.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs):
        heed_dropped()
        try:
            return main(*args, **kwargs)
        except EarshotError as error:
            told = str(error)
        except MemoryError as error:
            told = " ".join(["not enough memory", *str(error).split()])
        except BrokenPipeError:  # click's: who reads the output has enough of it
            raise
        except OSError as error:
            told = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
        print(printable(f"error: {told}"), file=sys.stderr)
        raise SystemExit(1)

    return wrapped
