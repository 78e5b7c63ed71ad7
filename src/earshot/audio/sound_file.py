"""Sound as libsndfile decodes it, but that no fault of the disk is taken for one of the file.

libsndfile goes on where a read fails, with what was in its memory or as if the file ended there: a recording would be
shorter, of another length by its header, or no sound at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import soundfile

from earshot.audio.pieces import Pieces, Whole
from earshot.processes import undisturbed

ENDLESS = 2**62  # samples; libsndfile's number for a length that no header says, as of a FLAC from a pipe, is larger


class SoundFile(soundfile.SoundFile):
    """A file that is open for reading.

    Parameters
    ----------
    content : what it holds; closed with it
    raw : what soundfile needs to know of samples without a header

    Raises
    ------
    soundfile.LibsndfileError
        If libsndfile doesn't know it, or can't decode it.
    OSError
        If the disk does not give it, here and below.
    """

    def __init__(self, content: Whole | Pieces, **raw: Any):
        self._content = content
        try:
            with self._from_the_disk():
                super().__init__(content, **raw)
        except Exception:
            content.close()
            raise

    def block(self, n: int, dtype: str = "float32") -> np.ndarray:
        """Return the next samples: shape (n, channels), or fewer where the sound ends."""
        with self._from_the_disk():
            return self.read(n, dtype=dtype, always_2d=True)

    def seekable(self) -> bool:
        """Tell whether its length is known. Else it is read forward until it ends: soundfile seeks after each read."""
        return self.frames < ENDLESS and super().seekable()

    def close(self) -> None:
        """Close it and what it holds."""
        super().close()
        self._content.close()

    @contextmanager
    def _from_the_disk(self) -> Iterator[None]:
        with undisturbed():  # an exception in the content, which libsndfile calls, would be lost
            try:
                yield
            finally:
                if self._content.failed:
                    raise self._content.failed from None
