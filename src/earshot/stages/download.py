"""Stage: card -> data/raw/DATASET/, complete and verified."""

from __future__ import annotations

from earshot.datasets.card import Card
from earshot.datasets.download import download
from earshot.stages import stage


@stage
def main(card: Card) -> None:
    """Download and verify DATASET into data/raw/DATASET/."""
    download(card)
