"""Stage: a card -> data/raw/DATASET/, complete and verified, or not there at all."""

from __future__ import annotations

from earshot.datasets.card import Card
from earshot.datasets.download import download
from earshot.stages import stage


@stage
def main(card: Card) -> None:
    """Download DATASET, verify it and put it into data/raw/DATASET/."""
    download(card)


if __name__ == "__main__":
    main()
