"""Write conf/schemas/: the JSON schemas of the files that people edit, for editors that complete and check them.

They are made from the classes that check these files. The first line of a file names its schema, as editors with the
YAML language server read it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from benchmarks.measure import PROJECT
from earshot.backbones.card import BackboneCard
from earshot.datasets.card import Card
from earshot.files import write_text
from earshot.schema.params import Params
from earshot.tuning.plan import Plan

SCHEMAS = PROJECT / "conf" / "schemas"
KINDS: dict[str, type[BaseModel]] = {"params": Params, "card": Card, "backbone": BackboneCard, "plan": Plan}
BY_FILE = "name"  # of a card: its file's, so that the file does not say it


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a kind of file."""
    found = KINDS[kind].model_json_schema()
    if BY_FILE in found["properties"]:
        del found["properties"][BY_FILE]
        found["required"].remove(BY_FILE)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | found


def main() -> None:
    """Write all of them to conf/schemas/, or to the folder that is named."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SCHEMAS
    for kind in KINDS:
        write_text(folder / f"{kind}.json", json.dumps(schema(kind), indent=2, ensure_ascii=False) + "\n")
        print(f"written: {folder / kind}.json")


if __name__ == "__main__":
    main()
