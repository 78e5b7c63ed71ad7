"""Shards: which recordings of a dataset have their features in one file.

A recording's place is fixed by its name, a shard's size is bounded. So a recording that is added or changed is the
business of one shard, wherever it stands among the others; at times that shard becomes two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

BYTES = 2**26  # of values in a shard at most, but for a single recording that has more
BITS = 20  # of a place: so many halvings, a million shards


def place(recording: str) -> int:
    """Return a recording's place, the first `BITS` bits of the SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256(recording.encode()).digest()[:4], "big") >> (32 - BITS)


def cut(recordings: Sequence[str], sizes: Sequence[int], most: int = BYTES) -> dict[int, list[int]]:
    """Assign recordings to shards.

    A shard has the places that begin with the same bits, and is halved by the next bit where its recordings are too
    large together: extendible hashing (Fagin et al., ACM TODS 4(3), 1979), of the recordings and their sizes alone.

    Parameters
    ----------
    sizes : of each recording's values, in bytes
    most : bytes of a shard

    Returns
    -------
    The positions of each shard's recordings, in their order, by the first place of the shard: ascending, below
    2 ** `BITS`; the first shard's is that of an only one, 0
    """
    places = np.array([place(recording) for recording in recordings], dtype=np.int64)
    order = np.argsort(places, kind="stable")
    until = np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64)[order])])

    def halved(first: int, last: int, begin: int, width: int) -> Iterator[tuple[int, list[int]]]:
        """Yield the shards of places from `begin`, `width` of them, which are those of order[first:last]."""
        if first == last:
            return
        if until[last] - until[first] <= most or last - first == 1 or width == 1:
            yield begin, sorted(order[first:last].tolist())
            return
        middle = begin + width // 2
        between = first + int(np.searchsorted(places[order[first:last]], middle))
        yield from halved(first, between, begin, width // 2)
        yield from halved(between, last, middle, width // 2)

    return dict(halved(0, len(order), 0, 2**BITS))
