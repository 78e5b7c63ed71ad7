"""Stretches of a dataset's recordings, to be heard as models get them."""

from __future__ import annotations

import numpy as np

from earshot.audio import clips
from earshot.datasets import manifest
from earshot.datasets.card import channel_of, load_card
from earshot.errors import EarshotError


class Excerpts:
    """Reads stretches of the recordings of a dataset: of the channel that models get, as the card says."""

    def __init__(self, dataset: str) -> None:
        """Take the dataset's name; its manifest is read."""
        self._paths = manifest.paths(dataset)
        self._channel = channel_of(load_card(dataset))

    def read(self, recording: str, start: float, seconds: float) -> np.ndarray | None:
        """Return a stretch as `clips.excerpt` does; None where features were given, without sound.

        Raises
        ------
        EarshotError
            If the recording can't be read.
        """
        path = self._paths.get(recording)
        if path is None:
            return None
        try:
            return clips.excerpt(path, start, seconds, self._channel(recording))
        except (ValueError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise EarshotError(f"{path} can't be read ({why}). Run `dvc repro`") from None
