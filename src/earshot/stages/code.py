"""Stage: the code itself -> the digests of what decides what each stage makes, data/code/STAGE.json.

The other stages depend on these files and not on the code: it may be a clone's or an installed package's, and a
project's dvc.yaml is the same for both.
"""

from __future__ import annotations

from pathlib import Path

from earshot import files, project, provenance
from earshot.stages import stage

PACKAGE = Path(__file__).parent.parent
# Of each stage the rooms and flat files that it imports, directly or through others, and that decide what it makes; a
# test holds them. What settles where things are, how processes end or which settings are refused is none of them.
TABLES = {"datasets", "files.py", "metrics", "seal.py", "settings"}
INPUTS = TABLES | {"audio", "backbones", "efficientat", "inputs", "splits"}
TRAINED = INPUTS | {"models", "trained"}
PARTS = {
    # the code that fetches is none of them: what arrives is fixed by the card's checksums
    "download": {"audio/mix.py", "datasets/fsd50k_clips.py", "datasets/gtzan_artists.py", "datasets/synthetic"},
    "manifest": TABLES | {"audio"},
    "fingerprint": TABLES | {"audio", "leaks", "splits"},
    "split": TABLES | {"splits"},
    "audit": TABLES | {"leaks", "splits"},
    "features": INPUTS,
    "train": TRAINED | {"augment", "batches", "detection", "soundscapes", "tracking", "training"},
    "evaluate": TRAINED | {"batches", "evaluation", "leaks", "tracking"},
    "noise": TRAINED | {"batches", "evaluation"},
    "events": TRAINED | {"detection", "evaluation", "soundscapes", "tracking"},
    "swapped": TRAINED | {"batches", "evaluation", "leaks", "tracking"},
    "cross_dataset": TRAINED - {"backbones"} | {"batches", "evaluation"},
    "compare": TABLES | {"audio", "pages", "report", "splits", "tracking"},
}


@stage
def main() -> None:
    """Write data/code/STAGE.json for every other stage."""
    for name in PARTS:
        files.write_json(project.code(name), {part: digest(PACKAGE / part) for part in parts(name)})


def parts(name: str) -> list[str]:
    """Return the rooms and files of the package, below its folder, that decide what a stage makes, its own included."""
    return sorted(PARTS[name] | ({f"stages/{name}.py"} if name != "download" else set()))


def digest(path: Path) -> str:
    """Return the SHA-256, in hex, of a file, or of all files in a folder with their names."""
    if path.is_file():
        return files.digest(path)
    found = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    listed = [[file.relative_to(path).as_posix(), digest(file)] for file in found]
    return provenance.digest(listed)
