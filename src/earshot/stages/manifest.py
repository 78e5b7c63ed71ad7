"""Stage: files of a dataset -> the manifest, where each recording is read or set aside with a reason."""

from __future__ import annotations

from earshot import files, project
from earshot.audio.files import told
from earshot.datasets import examine, ignored, manifest, place
from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.settings import PADS, pad_of, read_params, window_of
from earshot.stages import stage


@stage
def main(card: Card) -> None:
    """Write data/manifest/DATASET.parquet and its counts, DATASET.json."""
    if not card.holds_recordings:
        raise EarshotError(f"{card.name} holds no recordings: take it out of datasets in params.yaml ({card.title})")
    params = read_params()
    shortest, pad = window_of(params["windows"], card.task)["length"], pad_of(params["windows"], card.task)
    folder = place.folder(card)
    place.fetch_all(card)
    frame = examine.build(card, folder, shortest, params["manifest"]["silence_dbfs"], pad != PADS[0])
    if card.has_sound:
        place.check(card, frame.dropna(subset="sha256").set_index("path")["sha256"].to_dict())
    others = ignored.find(card, folder, frame["path"])
    counts = manifest.counts(frame, others.counts)
    counts["warnings"] += others.warnings
    what = "files" if card.has_sound else f"rows of {card.layout.file}"
    print(f"{card.label}: {counts['read']} {what} read, set aside: {told(counts['set_aside'])}", end="")
    unnamed = {why: number for why, number in others.counts.items() if why != ignored.NAMED}
    print(f"; ignored: {told(unnamed)}" if unnamed else "")
    if counts["padded"]:
        print(f"  {counts['padded']} recordings are padded to a window of {shortest:g} s ({pad})")
    if without := counts["without_group"]:
        print(f"  {manifest.no_group(card)}: {without} recordings, which the grouped split will not have")
    for warning in counts["warnings"]:
        print(f"  warning: {warning}")
    examine.check(frame, card, params["manifest"]["max_set_aside"])
    files.write_table(project.manifest(card.name), frame, {"dataset": card.name})
    files.write_json(project.manifest_counts(card.name), counts)
