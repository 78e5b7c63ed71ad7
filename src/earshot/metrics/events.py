"""Scores of detected events against labelled ones, of one class: collars, intersections, missed and false events.

Events are arrays (n, 2): start and end in seconds, on one time axis. Clips stand on it one after another, with gaps
between them that no collar reaches across.
"""

from __future__ import annotations

import numpy as np

EXACT = 1e-6  # seconds; times closer than this are equal, as in sed_scores_eval
RIGHT = 0.25  # of a detected event, that labelled ones cover
OFFSET_SHARE = 0.5  # of an event's length: an offset may be as far off, if that is more than the collar (DCASE)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return for how many seconds each event of `one` overlaps each of `other`: shape (n, m)."""
    start = np.maximum(one[:, None, 0], other[None, :, 0])
    return np.maximum(np.minimum(one[:, None, 1], other[None, :, 1]) - start, 0)


def within_collar(
    labelled: np.ndarray, detected: np.ndarray, collar: float, offset_share: float | None = None
) -> np.ndarray:
    """Tell which labelled events are found by a detected one whose onset lies within a collar: bool, (n,).

    Each detected event finds one labelled event at most, and as many are found as can be (Mesaros, Heittola and
    Virtanen 2016, section 3.2; sed_eval's `EventBasedMetrics` with optimal matching).

    Parameters
    ----------
    labelled, detected : (n, 2) and (m, 2)
    collar : seconds that an onset may be off
    offset_share : the offset has to be right, too: off by the collar at most, or by this share of the event's length
        where that is more; None asks for the onset alone
    """
    if not len(labelled) or not len(detected):
        return np.zeros(len(labelled), dtype=bool)
    from scipy.sparse import csr_array  # here alone, so that a stage without events starts quickly
    from scipy.sparse.csgraph import maximum_bipartite_matching

    close = np.abs(labelled[:, None, 0] - detected[None, :, 0]) <= collar + EXACT
    if offset_share is not None:
        allowed = np.maximum(collar, offset_share * (labelled[:, 1] - labelled[:, 0]))[:, None]
        close &= np.abs(labelled[:, None, 1] - detected[None, :, 1]) <= allowed + EXACT
    return maximum_bipartite_matching(csr_array(close), perm_type="column") >= 0


def intersecting(labelled: np.ndarray, detected: np.ndarray, dtc: float, gtc: float) -> tuple[np.ndarray, np.ndarray]:
    """Tell which labelled events are found, and which detected ones are relevant, by how far they intersect.

    A detected event is relevant if labelled events cover `dtc` of it; a labelled one is found if relevant detected
    events cover `gtc` of it (Bilen et al. 2020, section 2: detection and ground truth tolerance criterion).

    Returns
    -------
    found, relevant : bool, (n,) and (m,)
    """
    shared = overlaps(labelled, detected)
    relevant = shared.sum(axis=0) >= dtc * (detected[:, 1] - detected[:, 0]) - EXACT
    found = (shared * relevant).sum(axis=1) >= gtc * (labelled[:, 1] - labelled[:, 0]) - EXACT
    return found, relevant


def meeting(labelled: np.ndarray, detected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell which labelled events are not missed, and which detected ones are no false alarms: bool, (n,) and (m,).

    Labelled events cover a quarter (`RIGHT`) of a detected one that is no false alarm, so that an alarm which never
    ends finds nothing; a labelled event is not missed if it overlaps one of these at all.
    """
    shared = overlaps(labelled, detected)
    right: np.ndarray = shared.sum(axis=0) >= np.maximum(RIGHT * (detected[:, 1] - detected[:, 0]), EXACT)
    return np.any(shared[:, right] > EXACT, axis=1), right


def f1(found: float, wrong: float, missed: float) -> float:
    """Return F1 of numbers of events: 2 found / (2 found + wrong + missed); 0 where there is none at all."""
    return 2 * found / max(2 * found + wrong + missed, 1)
