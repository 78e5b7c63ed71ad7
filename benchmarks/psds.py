"""Compare earshot's event scores with those of the field's libraries, on drawn scores and events.

PSDS 1 and 2 with sed_scores_eval 0.0.4, which fails with pandas 3, and the event-based F1 with sed_eval 0.2. So it runs
in an environment of its own, which needs of earshot its source alone:

    python3.11 -m venv /tmp/psds
    /tmp/psds/bin/pip install 'pandas==2.3.*' sed_scores_eval==0.0.4 sed_eval
    PYTHONPATH=src /tmp/psds/bin/python benchmarks/psds.py

Prints the values that tests/test_event_scores.py holds, and fails where two differ by more than 1e-9.
"""

from __future__ import annotations

import numpy as np
import sed_eval
from sed_scores_eval.base_modules.scores import create_score_dataframe
from sed_scores_eval.intersection_based import fscore, psds

from earshot.metrics import events
from earshot.metrics.psds import PSDS1, PSDS2, Psds, ScoredClip
from earshot.metrics.psds import psds as ours

CLASSES = ["a", "b", "c"]
SECONDS, STEP = 60.0, 0.5


def drawn(seed: int, n_classes: int, n_clips: int = 40, digits: int = 2) -> list[ScoredClip]:
    """Draw clips with events, and scores that are noisy and higher where there are events; tests/ has the same.

    No onset lies a collar from an edge exactly, where the libraries judge by the last bits of a float.
    """
    rng = np.random.default_rng(seed)
    clips = []
    for _ in range(n_clips):
        edges = np.arange(0, SECONDS + STEP / 2, STEP)
        labelled = []
        for _ in range(n_classes):
            start = np.arange(rng.integers(0, 3)) * 25 + rng.uniform(0, 10)
            labelled.append(np.column_stack([start, start + rng.uniform(2, 14, len(start))]).round(2) + 0.003)
        middle = (edges[1:] + edges[:-1]) / 2
        inside = np.column_stack(
            [((middle[:, None] >= e[:, 0]) & (middle[:, None] < e[:, 1])).any(axis=1) for e in labelled]
        )
        noise = np.convolve(rng.normal(size=len(middle) * n_classes), np.ones(5) / 2, "same").reshape(inside.shape)
        clips.append(ScoredClip(edges, (1 / (1 + np.exp(3 - 4 * inside - 1.5 * noise))).round(digits), labelled))
    return clips


def theirs(clips: list[ScoredClip], setting: Psds, n_classes: int) -> float:
    """Return sed_scores_eval's value."""
    names = CLASSES[:n_classes]
    scores = {str(n): create_score_dataframe(clip.scores, clip.edges, names) for n, clip in enumerate(clips)}
    crossing = setting.alpha_ct if n_classes > 1 else 0.0  # it fails where there is no other class to cross
    found, *_ = psds(
        scores,
        truth(clips, names),
        dict.fromkeys(scores, SECONDS),
        dtc_threshold=setting.dtc,
        gtc_threshold=setting.gtc,
        cttc_threshold=setting.cttc if crossing else None,
        alpha_ct=crossing,
        alpha_st=setting.alpha_st,
        max_efpr=setting.e_max,
    )
    return float(found)


def truth(clips: list[ScoredClip], names: list[str]) -> dict[str, list[tuple[float, float, str]]]:
    """Return the labelled events as sed_scores_eval has them."""
    return {
        str(n): [(*map(float, row), name) for name, rows in zip(names, clip.events, strict=True) for row in rows]
        for n, clip in enumerate(clips)
    }


def detected(clip: ScoredClip, threshold: float) -> np.ndarray:
    """Return the runs of the first class's scores above a threshold."""
    change = np.diff(np.pad(clip.scores[:, 0] > threshold, 1).astype(int))
    return np.column_stack([clip.edges[np.flatnonzero(change == 1)], clip.edges[np.flatnonzero(change == -1)]])


def collars(clips: list[ScoredClip], collar: float, offset: bool) -> tuple[float, float]:
    """Return the event-based F1 of sed_eval, and ours."""
    judge = sed_eval.sound_event.EventBasedMetrics(
        ["a"], t_collar=collar, percentage_of_length=0.5, evaluate_offset=offset, event_matching_type="optimal"
    )
    numbers = np.zeros(3)
    for n, clip in enumerate(clips):
        both = clip.events[0], detected(clip, 0.5)
        judge.evaluate(
            *(
                [{"filename": str(n), "event_label": "a", "onset": a, "offset": b} for a, b in rows.tolist()]
                for rows in both
            )
        )
        found = events.within_collar(*both, collar, events.OFFSET_SHARE if offset else None).sum()
        numbers += found, len(both[1]) - found, len(both[0]) - found
    return float(judge.overall_f_measure()["f_measure"]), events.f1(*numbers)


def intersections(clips: list[ScoredClip]) -> tuple[float, float]:
    """Return sed_scores_eval's intersection-based F1 of the first class, and ours."""
    scores = {str(n): create_score_dataframe(clip.scores[:, :1], clip.edges, ["a"]) for n, clip in enumerate(clips)}
    labelled = truth([ScoredClip(clip.edges, clip.scores, clip.events[:1]) for clip in clips], ["a"])
    value, *_ = fscore(scores, labelled, 0.5, dtc_threshold=0.5, gtc_threshold=0.5)
    numbers = np.zeros(3)
    for clip in clips:
        found, relevant = events.intersecting(clip.events[0], detected(clip, 0.5), 0.5, 0.5)
        numbers += found.sum(), (~relevant).sum(), (~found).sum()
    value = value["a"] if isinstance(value, dict) else value
    return float(value), events.f1(*numbers)


def main() -> None:
    """Compare, print, and fail where a value differs."""
    pairs = {}
    for seed, n_classes in ((0, 1), (1, 3), (2, 3)):
        for name, setting in (("PSDS1", PSDS1), ("PSDS2", PSDS2)):
            clips = drawn(seed, n_classes)
            pairs[f"{name}, seed {seed}, {n_classes} classes"] = theirs(clips, setting, n_classes), ours(clips, setting)
    clips = drawn(0, 1)
    for collar in (0.2, 1.0):
        for offset in (False, True):
            pairs[f"F1, {collar} s, offset {offset}"] = collars(clips, collar, offset)
    pairs["F1, intersection 0.5"] = intersections(clips)
    for name, (one, other) in pairs.items():
        print(f"{name}: {one:.12f} {other:.12f}")
    assert all(abs(one - other) < 1e-9 for one, other in pairs.values())


if __name__ == "__main__":
    main()
