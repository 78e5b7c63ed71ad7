"""Candidates for duplicate sound by an inverted file (faiss's IVF), for more sound than can be compared exactly.

Every patch's vector is put into one of many cells; a patch that is looked up is compared with the vectors of the
`nprobe` cells whose centroids are nearest to it. There is a cell for `PER_CELL` vectors, so what is compared for a
patch doesn't grow with the sound. Neither does the search for the nearest centroids, by a graph of them (HNSW: Malkov
and Yashunin 2018), more than logarithmically.

Vectors are kept on disk: first all in a file, then by shards, each of some neighbouring cells, with a record of each
patch that is looked up for each of its cells. A shard is searched on its own. In memory are the centroids, some 500
bytes a cell, and a piece of a shard. No step depends on the number of threads: graphs are built by one, and what
threads compute side by side is computed by one each. There are no random numbers but the graph's, whose seed is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse
from threadpoolctl import threadpool_limits

from earshot.leaks import fingerprint
from earshot.leaks.buckets import Buckets
from earshot.leaks.exact import INDEX_STRIDE, LEARNED_FROM, MAX_CANDIDATES, PAIR, QUERY_STRIDE, SIMILAR
from earshot.leaks.fingerprint import HOP_LENGTH, N_FFT, PATCH_FRAMES

if TYPE_CHECKING:
    import faiss

PER_CELL = 256  # vectors, on average
LEARNED_PER_CELL = 16  # vectors that a centroid is the mean of, on average
ROUNDS = 2  # of Lloyd's algorithm; more find hardly more
NEIGHBOURS = 32  # of a centroid in the graph
DEPTH = 64  # centroids that are kept while the graph is built or the cells of a patch are looked for
DEPTH_ONE = 24  # while the one cell of a vector is looked for
SHARD_CELLS = 1024  # cells, of 260,000 vectors
PIECE = 2**19  # vectors of a shard that are searched in at a time
BLOCK = 2**16  # vectors whose cells are looked for at a time
QUERIES = 2**14  # that are looked up at a time
EVERY_FRAMES = 2**18  # whose candidates are yielded together, 2 hours: of sound all alike there are 800 for each patch
# of a vector's own cell a patch's neighbours may be all that is near: no more of them than this
NEAREST = MAX_CANDIDATES + 2 * PATCH_FRAMES - 1
FOUND = np.dtype([("a", "i8"), ("b", "i8"), ("similarity", "f4")])  # places


@dataclass(frozen=True)
class Frames:
    """The frames of all recordings, numbered one after the other; a number is a place."""

    first: np.ndarray  # place of each recording's first frame, and that after the last: int64, shape (n + 1,)

    @classmethod
    def of(cls, samples: Sequence[np.ndarray]) -> Frames:
        """Number the frames of recordings (see `fingerprint.log_mel`)."""
        count = [fingerprint.n_frames(len(x)) for x in samples]
        return cls(np.concatenate([[0], np.cumsum(count, dtype=np.int64)]))

    def recording(self, place: np.ndarray) -> np.ndarray:
        """Return the recording of each place."""
        return np.searchsorted(self.first, place, side="right") - 1


def candidates(samples: Sequence[np.ndarray], folder: Path, nprobe: int) -> Iterator[pd.DataFrame]:
    """Yield similar patches at different places: columns `exact.PAIR`, a part of the recordings at a time.

    Parameters
    ----------
    samples : see `duplicates.find`
    folder : for what doesn't fit in memory; made here
    nprobe : cells that are searched for each patch
    """
    frames = Frames.of(samples)
    folder.mkdir()
    with threadpool_limits(1, "blas"):
        whitening = _whitening(samples, frames)
        if whitening is None:
            return
        vectors = _write_vectors(samples, frames, whitening, folder / "vectors")
        centroids = _centroids(vectors)
        shards, looked_up = _shards(vectors, centroids, frames, folder, nprobe)
    found = Buckets(folder / "found", FOUND)
    for number in shards.numbers():
        for pairs in _search(shards, looked_up, number, frames):
            found.put(pairs["a"] // EVERY_FRAMES, pairs)
    for number in found.numbers():
        yield _best(found.take(number), frames)


def _log_mel(samples: np.ndarray, first: int, n_patches: int) -> np.ndarray:
    """Return the log-mel frames of consecutive patches of a recording, from a frame on; see `fingerprint.log_mel`."""
    n_frames = n_patches - 1 + PATCH_FRAMES
    return fingerprint.log_mel(samples[first * HOP_LENGTH : (first + n_frames - 1) * HOP_LENGTH + N_FFT])


def _whitening(samples: Sequence[np.ndarray], frames: Frames) -> fingerprint.Whitening | None:
    """Fit the whitening to patches that are spread evenly over all sound; only these are read."""
    total = frames.first[-1]
    places = np.arange(0, total, max(1, total // LEARNED_FROM))
    found = []
    for number, place in zip(frames.recording(places), places, strict=True):
        log_mel = _log_mel(samples[number], place - frames.first[number], 1)
        if len(log_mel) == PATCH_FRAMES:  # else it stands too near to the end
            found.append(fingerprint.patches(log_mel, np.zeros(1, int))[0])
    sample = np.concatenate(found) if found else np.empty((0, 0))
    return fingerprint.Whitening(sample) if len(sample) > 1 else None


def _record(dimensions: int) -> np.dtype:
    """Return the type of a vector's record: half the precision moves a similarity by some 0.0001."""
    return np.dtype([("place", "i8"), ("cell", "i4"), ("vector", "f2", (dimensions,))])


def _write_vectors(
    samples: Sequence[np.ndarray], frames: Frames, whitening: fingerprint.Whitening, path: Path
) -> np.ndarray:
    """Write the vectors of all patches to a file, in the order of their places; return its records, mapped."""
    from joblib import Parallel, delayed

    dtype = _record(whitening.projection.shape[1])

    def of(number: int, first: int) -> np.ndarray:
        log_mel = _log_mel(samples[number], first, fingerprint.BLOCK)
        patches, kept = fingerprint.patches(log_mel, fingerprint.starts(len(log_mel), INDEX_STRIDE))
        records = np.zeros(len(kept), dtype)
        records["place"], records["vector"] = frames.first[number] + first + kept, whitening(patches)
        return records

    blocks = (
        (number, first)
        for number, count in enumerate(np.diff(frames.first))
        for first in range(0, max(0, count - PATCH_FRAMES + 1), fingerprint.BLOCK)
    )
    threads = Parallel(n_jobs=-1, prefer="threads", return_as="generator", pre_dispatch="8*n_jobs")
    with path.open("wb") as file:
        for records in threads(delayed(of)(*block) for block in blocks):
            records.tofile(file)
    return np.memmap(path, dtype, "r")


def _centroids(vectors: np.ndarray) -> np.ndarray:
    """Return a centroid for every `PER_CELL` vectors: float32, shape (n, dimensions).

    Lloyd's algorithm from every `PER_CELL`th vector, on one in `PER_CELL / LEARNED_PER_CELL`. The mean is summed up in
    float64, in the vectors' order.
    """
    centroids = vectors["vector"][::PER_CELL].astype(np.float32)
    step = PER_CELL // LEARNED_PER_CELL
    for _ in range(ROUNDS):
        graph = _graph(centroids)
        total, count = np.zeros(centroids.shape), np.zeros(len(centroids))
        for first in range(0, len(vectors), step * BLOCK):
            some = vectors["vector"][first : first + step * BLOCK : step].astype(np.float32)
            cell = _nearest(graph, some, 1, DEPTH_ONE)[:, 0]
            ones = (np.ones(len(cell)), (cell, np.arange(len(cell))))
            total += scipy.sparse.csr_array(ones, shape=(len(centroids), len(cell))) @ some.astype(float)
            count += np.bincount(cell, minlength=len(centroids))
        means = total / np.maximum(count, 1)[:, None]
        centroids = np.where(count[:, None] > 0, means, centroids).astype(np.float32)
    return centroids


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _graph(centroids: np.ndarray) -> faiss.IndexHNSWFlat:
    """Return an index of the centroids. Built by one thread: by several, it would depend on which comes first."""
    import faiss

    graph = faiss.IndexHNSWFlat(centroids.shape[1], NEIGHBOURS)
    graph.hnsw.efConstruction = DEPTH
    with _one_thread():
        graph.add(centroids)
    return graph


def _nearest(graph: faiss.IndexHNSWFlat, vectors: np.ndarray, n: int, depth: int) -> np.ndarray:
    """Return the cells whose centroids are nearest to each vector: int64, shape (len(vectors), n); -1 where none."""
    graph.hnsw.efSearch = max(depth, n)
    return graph.search(vectors, n)[1]


def _shards(
    vectors: np.ndarray, centroids: np.ndarray, frames: Frames, folder: Path, nprobe: int
) -> tuple[Buckets, Buckets]:
    """Put each vector into the shard of its cell, and what is looked up into those of the cells to be searched."""
    graph, dtype = _graph(centroids), vectors.dtype
    shards, looked_up = Buckets(folder / "shards", dtype), Buckets(folder / "looked_up", dtype)
    for first in range(0, len(vectors), BLOCK):
        some = np.array(vectors[first : first + BLOCK])
        some["cell"] = _nearest(graph, some["vector"].astype(np.float32), 1, DEPTH_ONE)[:, 0]
        shards.put(some["cell"] // SHARD_CELLS, some)
        asked = some[_is_looked_up(some["place"], frames)]
        cells = _nearest(graph, asked["vector"].astype(np.float32), min(nprobe, len(centroids)), DEPTH)
        asked, cells = np.repeat(asked, cells.shape[1]), cells.ravel()
        asked["cell"] = cells
        looked_up.put(cells[cells >= 0] // SHARD_CELLS, asked[cells >= 0])
    return shards, looked_up


def _is_looked_up(place: np.ndarray, frames: Frames) -> np.ndarray:
    """Say which places `fingerprint.starts` gives for `QUERY_STRIDE`."""
    recording = frames.recording(place)
    last = frames.first[recording + 1] - PATCH_FRAMES
    return ((place - frames.first[recording]) % QUERY_STRIDE == 0) | (place == last)


def _search(shards: Buckets, looked_up: Buckets, number: int, frames: Frames) -> Iterator[np.ndarray]:
    """Yield similar patches at different places, of one shard: dtype `FOUND`."""
    for vectors in shards.pieces(number, PIECE):
        index = _inverted_file(vectors)
        for asked in looked_up.pieces(number, QUERIES):
            keys = asked["cell"].astype(np.int64)[:, None] % SHARD_CELLS
            similarity, b = index.search_preassigned(
                asked["vector"].astype(np.float32), NEAREST, keys, np.zeros(keys.shape, np.float32)
            )
            row, column = np.nonzero((b >= 0) & (similarity >= SIMILAR))
            pairs = np.empty(len(row), FOUND)
            pairs["a"], pairs["b"], pairs["similarity"] = asked["place"][row], b[row, column], similarity[row, column]
            apart = np.abs(pairs["a"] - pairs["b"]) >= PATCH_FRAMES
            yield pairs[apart | (frames.recording(pairs["a"]) != frames.recording(pairs["b"]))]


def _inverted_file(vectors: np.ndarray) -> Any:
    """Return faiss's index of a shard's vectors, in the cells that they have; its labels are places."""
    import faiss

    x, place = vectors["vector"].astype(np.float32), np.ascontiguousarray(vectors["place"])
    cell = vectors["cell"].astype(np.int64) % SHARD_CELLS
    quantizer = faiss.IndexFlatIP(x.shape[1])  # never asked, since the cells are given
    index = faiss.IndexIVFFlat(quantizer, x.shape[1], SHARD_CELLS, faiss.METRIC_INNER_PRODUCT)
    index.is_trained, index.nprobe = True, 1
    index.add_core(len(x), *(faiss.swig_ptr(part) for part in (x, place, cell)))
    return index


def _best(found: np.ndarray, frames: Frames) -> pd.DataFrame:
    """Return the `MAX_CANDIDATES` most similar for each patch that was looked up: columns `exact.PAIR`."""
    pairs = pd.DataFrame(found).sort_values(["a", "similarity", "b"], ascending=[True, False, True])
    pairs = pairs.groupby("a").head(MAX_CANDIDATES)
    places = {name: pairs[name].to_numpy() for name in ("a", "b")}
    sides = {name: frames.recording(place) for name, place in places.items()}
    columns = {f"frame_{name}": places[name] - frames.first[sides[name]] for name in places}
    return pd.DataFrame(sides | columns)[PAIR]
