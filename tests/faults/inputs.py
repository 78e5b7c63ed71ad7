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
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from measure import write

from faults import hostile_archives, hostile_audio, hostile_models, hostile_texts
from faults.contained import BAD, CRASH, Kind, tried

RECORDINGS, ARCHIVES, OTHERS = 1_000_000, 5000, 2000  # of all formats together; OTHERS of each other kind


def shared(kinds: list[Kind], tries: int) -> dict[str, Counter[str]]:
    """Try so many inputs, the kinds alike, a kind on each core; return the outcomes of each."""
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("fork")) as pool:
        outcomes = pool.map(shown, kinds, itertools.repeat(max(1, tries // len(kinds))))
        return dict(zip((kind.name for kind in kinds), outcomes, strict=True))


def shown(kind: Kind, tries: int) -> Counter[str]:
    """Try inputs of a kind, and print what has followed."""
    found = tried(kind, tries)
    print(f"{kind.name:16} {dict(found)}", flush=True)
    return found


def main() -> None:
    """Try all, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=RECORDINGS)
    parser.add_argument("--archives", type=int, default=ARCHIVES)
    parser.add_argument("--others", type=int, default=OTHERS)
    given = parser.parse_args()
    others = [*hostile_models.kinds(), *hostile_texts.kinds()]
    found = {
        "recordings": shared([*hostile_audio.kinds()], given.recordings),
        "archives": shared([*hostile_archives.kinds()], given.archives),
        "others": shared(others, len(others) * given.others),
    }
    write("inputs", found)
    if bad := [name for of_kind in found.values() for name, counts in of_kind.items() if counts[BAD] or counts[CRASH]]:
        raise SystemExit(f"error: {', '.join(bad)}: see build/bench/inputs/")


if __name__ == "__main__":
    main()
