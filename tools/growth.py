"""What docs/growth.md says of benchmarks/growth.py's measurements."""

from __future__ import annotations

from typing import Any

import numpy as np

PRICE = 0.04  # USD for a core-hour; about what clouds ask for a core of a general machine
CORES = 2  # of the machine that is measured, all of which a stage may use
GIB = 1024  # MiB


class Growth:
    """The measurements by size, and what larger sizes would take.

    Parameters
    ----------
    found : what the benchmark wrote
    """

    price = PRICE

    def __init__(self, found: dict[str, Any]) -> None:
        """Take the measurements."""
        self.found, self.projects, self.dvc = found, found["projects"], found["dvc"]
        self.sizes = sorted({facts["size"] for facts in self.projects})
        self.names = list(self.of("local", 2)[0]["stages"])
        spread = self.of("dask", 2)[-1]["stages"]  # at the largest size a cluster runs no others
        self.spread = list(spread)

    def of(self, where: str, workers: int) -> list[dict[str, Any]]:
        """Return the projects of one way, by size."""
        mine = [facts for facts in self.projects if (facts["where"], facts["workers"]) == (where, workers)]
        return sorted(mine, key=lambda facts: facts["size"])

    def total(self, facts: dict[str, Any], names: list[str] | None = None) -> float:
        """Return the seconds of some stages, by default of all."""
        return sum(facts["stages"][name]["seconds"] for name in names or self.names)

    def exponent(self, *names: str) -> float:
        """Return the exponent of the time of stages, by default of all, between the two largest sizes."""
        *_, before, last = (self.total(facts, list(names)) for facts in self.of("local", 2))
        return float(np.log(last / before) / np.log(self.sizes[-1] / self.sizes[-2]))

    @property
    def ways(self) -> list[tuple[str, int]]:
        """Where the stages were run, and by how many."""
        return list(dict.fromkeys((facts["where"], facts["workers"]) for facts in self.projects))

    def cell(self, size: int, where: str, workers: int) -> str:
        """Return the seconds of the stages with a task for each recording, where they were measured."""
        mine = [facts for facts in self.of(where, workers) if facts["size"] == size]
        return f"{self.total(mine[0], self.spread):.0f}" if mine else ""

    def peaks(self, key: str, *names: str) -> str:
        """Return the largest of a memory of stages with two workers of Dask, for each size, in MiB."""
        rows = [facts["stages"] for facts in self.of("dask", 2)]
        return ", ".join(f"{max(one[name][key] for name in names or one):.0f}" for one in rows)

    def core_hours(self, name: str, size: int) -> float:
        """Return what a stage would take of so many recordings, by its own exponent, at least 1."""
        last = self.of("local", 2)[-1]
        more = (size / last["size"]) ** max(1.0, self.exponent(name))
        return last["stages"][name]["seconds"] * CORES * more / 3600

    def gib(self, name: str, size: int) -> float:
        """Return the memory that a stage would take by itself, by the straight line through the two largest sizes."""
        (n, low), (m, high) = ((facts["size"], facts["stages"][name]["mib"]) for facts in self.of("local", 2)[-2:])
        return (high + max(0.0, high - low) / (m - n) * (size - m)) / GIB

    def first(self, size: int) -> str:
        """Return the stage that would take the most memory."""
        return max(self.names, key=lambda name: self.gib(name, size))
