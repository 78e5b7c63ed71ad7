"""Stage: files of a dataset -> the manifest, where each is read or set aside with a reason."""

from __future__ import annotations

from earshot import files, project
from earshot.datasets import examine, manifest, place
from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.settings import read_params, window_of
from earshot.stages import stage


@stage
def main(card: Card) -> None:
    """Write data/manifest/DATASET.parquet and its counts, DATASET.json."""
    if not card.holds_recordings:
        raise EarshotError(f"{card.name} holds no recordings: take it out of datasets in params.yaml ({card.title})")
    params = read_params()
    shortest = window_of(params["windows"], card.task)["length"]
    frame = examine.build(card, place.folder(card), shortest, params["manifest"]["silence_dbfs"])
    if card.has_sound:
        place.check(card, frame.dropna(subset="sha256").set_index("path")["sha256"].to_dict())
    counts = manifest.counts(frame)
    aside = ", ".join(f"{number} {reason}" for reason, number in counts["set_aside"].items()) or "none"
    what = "files" if card.has_sound else f"rows of {card.layout.file}"
    print(f"{card.label}: {counts['read']} {what} read, set aside: {aside}")
    for warning in counts["warnings"]:
        print(f"  warning: {warning}")
    examine.check(frame, card.name, params["manifest"]["max_set_aside"])
    files.write_table(project.manifest(card.name), frame, {"dataset": card.name})
    files.write_json(project.manifest_counts(card.name), counts)


if __name__ == "__main__":
    main()
