"""Stage: recordings and groups -> train, validation and test parts of each protocol."""

from __future__ import annotations

from earshot import files, project
from earshot.datasets import manifest, place
from earshot.datasets.card import Card
from earshot.errors import EarshotError
from earshot.settings import read_params, window_of
from earshot.splits import elsewhere
from earshot.splits.left_out import described, left_out, without_window_described
from earshot.splits.protocols import check_classes, check_parts, judge_folds, make
from earshot.splits.spans import holding_windows, train_only, without_window
from earshot.stages import nothing_to_make, stage


@stage
def main(card: Card) -> None:
    """Write data/splits/DATASET/PROTOCOL.parquet for the protocols in params.yaml."""
    if card.test_only:
        nothing_to_make(card, project.split(card.name, "").parent)
        return
    recordings, params = manifest.read(card.name), read_params()
    duplicates = files.read_table(project.duplicates(card.name))
    if not params["protocols"]:
        raise EarshotError("params.yaml asks for no split: protocols needs an entry")
    classes, window = manifest.classes_of(recordings), window_of(params["windows"], card.task)
    check_classes(holding_windows(recordings, window), classes, card.name)
    if lost := without_window_described(without_window(recordings, window)):
        print(f"{card.label}: {lost}")
    for protocol in params["protocols"]:
        split = make(protocol, card, recordings, duplicates, params, place.folder(card))
        untested = train_only(card) if protocol == "grouped" else []
        judged = judge_folds(split, recordings) if protocol == "grouped" else None
        held_out = protocol == "grouped" and elsewhere.asked(card, params["split"])
        check_parts(split, classes, untested, card.name, bool(judged and judged.used), held_out)
        files.write_table(project.split(card.name, protocol), split, {"protocol": protocol})
        if lacking := described(protocol, left_out(card, recordings, split)):
            print(f"{card.label}: {lacking}")
        sizes = split.groupby(["fold", "part"], sort=False)["group"].agg(["size", "nunique"])
        print(f"{card.label}, {protocol}: {split['fold'].nunique()} fold(s); spans and groups of the first:")
        if judged:
            print(f"  {judged}" + ("; split.folds in params.yaml does not apply" if judged.used else ""))
        if held_out:
            print(f"  {elsewhere.described(elsewhere.held_out(split))}")
        elif protocol == "grouped" and params["split"]["validation"] == "elsewhere":
            print("  validated within: it is no union, so that no dataset of it could be held out")
        print(sizes.loc[0].rename(columns={"size": "spans", "nunique": "groups"}).to_string())
