"""Read what is broken or made to do harm: recordings, archives, model folders, cards, tables, params.yaml.

Each is told of in a line that names it, or used. What ends in a traceback, a crash, ten seconds of a processor or a
gigabyte must not be, and is kept in build/bench/inputs/. Writes build/bench/inputs.json, for docs/reliability.md.
`make faults` runs it.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from math import ceil
from typing import Any

from measure import write, written

from earshot import provenance
from faults import hostile_archives, hostile_audio, hostile_models, hostile_texts
from faults.contained import BAD, CRASH, TOLD, USED, Kind, tried

RECORDINGS, ARCHIVES, OTHERS = 1_000_000, 5000, 2000  # of all formats together; OTHERS of each other kind


def shared(kinds: list[Kind], tries: int, names: list[str]) -> dict[str, dict[str, Any]]:
    """Try so many inputs, the kinds alike, a kind on each core; return the outcomes of those named, or of all."""
    asked = [kind for kind in kinds if kind.name in names or not names]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        return dict(pool.map(outcomes, asked, itertools.repeat(ceil(tries / len(kinds)))))


def outcomes(kind: Kind, tries: int) -> tuple[str, dict[str, Any]]:
    """Try inputs of a kind; print and return its name, and how many there were of each outcome."""
    found = tried(kind, tries)
    print(f"{kind.name:16} {dict(found)}", flush=True)
    return kind.name, {"commit": provenance.commit()} | {what: found[what] for what in (USED, TOLD, BAD, CRASH)}


def main() -> None:
    """Try all, or what is named, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="such as flac, beside what was tried before; all by default")
    parser.add_argument("--recordings", type=int, default=RECORDINGS)
    parser.add_argument("--archives", type=int, default=ARCHIVES)
    parser.add_argument("--others", type=int, default=OTHERS)
    given = parser.parse_args()
    recordings, archives = [*hostile_audio.kinds()], [*hostile_archives.kinds()]
    others = [*hostile_models.kinds(), *hostile_texts.kinds()]
    known = [kind.name for kind in (*recordings, *archives, *others)]
    if unknown := sorted({*given.kinds} - {*known}):
        parser.error(f"no such kind: {', '.join(unknown)}; there are {', '.join(known)}")
    found = {
        "recordings": shared(recordings, given.recordings, given.kinds),
        "archives": shared(archives, given.archives, given.kinds),
        "others": shared(others, len(others) * given.others, given.kinds),
    }
    before = written("inputs") if given.kinds else {}
    write("inputs", {part: before.get(part, {}) | kinds for part, kinds in found.items()})
    tries = {name: counts for kinds in found.values() for name, counts in kinds.items()}
    if bad := [name for name, counts in tries.items() if counts[BAD] or counts[CRASH]]:
        raise SystemExit(f"error: {', '.join(bad)}: see build/bench/inputs/")


if __name__ == "__main__":
    main()
