"""Features as given: a dataset's table -> data/features/DATASET/summary.parquet, in the form of the input `summary`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from earshot import files, inputs, project
from earshot.datasets import feature_table, manifest, place
from earshot.datasets.card import Card
from earshot.datasets.experiments import GIVEN, check_input
from earshot.datasets.layouts import FeatureTable
from earshot.inputs.given import Given


def write(card: Card, input_name: str) -> None:
    """Write the features of the recordings in the manifest.

    Raises
    ------
    EarshotError
        If `input_name` needs sound, or the table has a fault.
    """
    check_input(card, input_name)
    layout = card.layout
    assert isinstance(layout, FeatureTable)
    recordings = manifest.read(card.name)
    features = feature_table.read(layout, place.folder(card)).drop(columns="label")
    built = Given(layout.file, tuple(features.columns))
    recipe = inputs.recipe(GIVEN, built)
    rows = features.loc[recordings["recording"]].reset_index()
    rows.insert(1, "window", 0)
    digest = hashlib.sha256("".join([repr(sorted(recipe.items())), *recordings["sha256"]]).encode()).hexdigest()
    files.write_table(project.features(card.name, input_name), rows, {**recipe, "dataset": card.name, "digest": digest})
    print(f"{card.label}: {len(features.columns)} features of {len(rows)} recordings, as {layout.file} gives them")


def stored(path: Path) -> Given:
    """Return the input whose features `write` has written at `path`."""
    recipe: Mapping[str, Any] = files.read_recipe(path)
    return Given(recipe["table"], recipe["names"])
