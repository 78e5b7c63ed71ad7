"""Stage: recordings -> duplicate stretches of sound, and the recording conditions of each window."""

from __future__ import annotations

from earshot import files, project
from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.datasets.reading import reading_of
from earshot.leaks import scan
from earshot.settings import read_params, window_of
from earshot.stages import stage, workers


@stage
@workers
def main(card: Card, workers: int) -> None:
    """Write data/fingerprint/DATASET/duplicates.parquet and conditions.parquet."""
    params = read_params()
    window, reading = dict(window_of(params["windows"], card.task)), reading_of(card, params["windows"])
    with files.writing_table(project.conditions(card.name), {"dataset": card.name}) as take:
        recordings = manifest.read(card.name)
        duplicates = scan.scan(card, recordings, window, params["duplicates"], take, reading, workers)
    files.write_table(project.duplicates(card.name), duplicates, {"dataset": card.name})
    if not card.has_sound:
        print(f"{card.label}: no sound to listen to; {len(duplicates)} pairs of rows hold the same numbers")
        return
    across = (duplicates["recording_a"] != duplicates["recording_b"]).sum()
    print(
        f"{card.label}: {len(duplicates)} stretches sound twice ({duplicates['seconds'].sum():.0f} s), "
        f"{across} of them in two recordings"
    )
