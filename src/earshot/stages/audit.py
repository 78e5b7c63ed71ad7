"""Stage: the leak audit, sound that the test part of each split shares with its training part."""

from __future__ import annotations

from earshot import files, project
from earshot.datasets.card import Card
from earshot.leaks import audit
from earshot.stages import nothing_to_make, stage


@stage
def main(card: Card) -> None:
    """Write data/audit/DATASET.json; fail if a split that must not leak does."""
    if card.test_only:
        nothing_to_make(card)
        files.write_json(project.audit(card.name), {})
        return
    found = audit.audit(card)
    print(audit.describe(card, found))
    audit.check(card, found)
    files.write_json(project.audit(card.name), found)
