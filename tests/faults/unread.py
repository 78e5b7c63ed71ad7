"""Each read of a recording fails once, in every format: what of it is not told as the disk's fault is printed."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import failing

failing.load()  # before what it fails

from failing import Failure  # noqa: E402

from earshot.datasets.examine import examine  # noqa: E402
from faults.hostile_audio import FORMATS, RULES, sounds  # noqa: E402

UNREADABLE = Failure("read", errno.EIO)


def reads(path: Path) -> int:
    """Return how many reads examining a recording takes."""
    UNREADABLE.arm(failing.NEVER, path.parent)
    examine(path, RULES)
    return failing.disarm()


def fault(path: Path, nth: int) -> str:
    """Have the Nth read fail; return what follows."""
    UNREADABLE.arm(nth, path.parent)
    try:
        return str(examine(path, RULES))
    except OSError as error:
        return os.strerror(error.errno)
    finally:
        failing.disarm()


def main() -> None:
    """Try all, and print."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, *_) in FORMATS.items():
            path = Path(folder).resolve() / f"sound.{suffix}"
            path.write_bytes(sounds(name)[1])
            faults = [fault(path, nth) for nth in range(1, reads(path) + 1)]
            wrong = [what for what in faults if what != os.strerror(errno.EIO)]
            print(f"{name}: {len(faults)} reads failed, {len(wrong)} were taken for something else {wrong[:3]}")


if __name__ == "__main__":
    main()
