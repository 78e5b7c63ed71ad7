"""Many at once: processes that log, two of each command, and broken requests to each server. For docs/reliability.md.

Writes build/bench/load.json. `make faults` runs it; `--share 0.01` does a hundredth of it.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

PROCESSES, METRICS = 8, 10_000
REQUESTS = {"earshot serve": 50_000, "mlflow models serve": 3000, "earshot dashboard": 3000}
MOST_SECONDS, MOST_GROWTH = 5.0, 100.0  # of an answer; of memory in MiB, per 10,000 requests


def main() -> None:
    """Do all of it, print and write."""
    from measure import write  # here, so that processes that log do not import what they don't need

    from faults import many_metrics, many_requests, pairs

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the counts")
    share = parser.parse_args().share
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        for part in ("metrics", "pairs", "served"):
            (root / part).mkdir()
        logs = many_metrics.metrics_of(root / "metrics", PROCESSES, round(METRICS * share))
        print("metrics", logs, flush=True)
        commands = pairs.two_at_once(root / "pairs")
        print("two at once", commands, flush=True)
        servers = {}
        with many_requests.served(root / "served") as started:
            for server, (address, process, paths) in started.items():
                left_out = many_requests.OF_MLFLOW if server != "earshot serve" else ()
                number = round(REQUESTS[server] * share)
                servers[server] = many_requests.asked(address, process, paths, number, left_out)
                print(server, servers[server], flush=True)
    write("load", {"metrics": logs, "pairs": commands, "servers": servers})
    bad = [f"metrics: {logs}"] if logs["lost"] or logs["doubled"] or logs["unlike"] else []
    bad += [f"two at once: {found}" for key in ("wrong", "unlike", "runs_unlike") if (found := commands[key])]
    for server, found in servers.items():
        growth = (found["memory"][1] - found["memory"][0]) / max(1.0, found["requests"] / 10_000)
        if found["faults"] or found["slowest"] > MOST_SECONDS or growth > MOST_GROWTH:
            bad.append(f"{server}: {found}")
    if bad:
        raise SystemExit("error: " + "\n".join(bad))


if __name__ == "__main__":
    main()
