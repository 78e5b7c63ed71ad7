"""Run the pipeline with events, an operating point and calibration on real sirens; for docs/events.md.

By benchmarks/real.py, in build/events: the grouped protocol alone. Writes build/bench/events.json.
"""

from __future__ import annotations

import json
import subprocess
import sys

import yaml
from measure import PROJECT, write

DATASET, TASK = "sirens_standin", "sirens"
SETTINGS = {
    "events": {
        TASK: {
            "alarm": "emergency",
            "background": "non_emergency",
            "hours": 1.0,
            "clip_seconds": 60.0,
            "event_seconds": [4.0, 15.0],
            "events_per_hour": 60.0,
            "snr_db": [0, 20],
            "step": 1.0,
            "inputs": ["log_mel", "embedding", "tags", "waveform_32k"],
        }
    },
    "operating_point": {TASK: {"max_false_alarms_per_hour": 1}},
    "calibration": {TASK: "temperature"},
}
RUN = {
    "datasets": [DATASET],
    "protocols": ["grouped"],
    "contrasts": [],
    "noise": {},
    "swapped": {"when": "never", "max_drop": 0.05},
    "experiments": {
        "over_time": {"inputs": ["log_mel"], "models": ["cnn"]},
        "embedded": {"inputs": ["embedding"], "models": ["linear"]},
        "tagged": {"inputs": ["tags"], "models": ["zero_shot"]},
        "framed": {"inputs": ["waveform_32k"], "models": ["frames"]},
    },
}


def main() -> None:
    """Run the pipeline, and write what it found."""
    changes = [f"{key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in (RUN | SETTINGS).items()]
    copy = PROJECT / "build" / "events"
    subprocess.run([sys.executable, str(PROJECT / "benchmarks" / "real.py"), "--to", copy.name, *changes], check=True)
    summary = json.loads((copy / "data" / "report" / "summary.json").read_text("utf-8"))
    found = {name: summary[name] for name in ("events", "calibration", "scores")}
    write("events", {"setting": SETTINGS["events"][TASK], "dataset": DATASET, "task": TASK, **found})


if __name__ == "__main__":
    main()
