"""Features as given: a dataset's table -> data/features/DATASET/summary/, in the form of the input `summary`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from earshot import inputs, project, provenance
from earshot.datasets import feature_table, manifest, place
from earshot.datasets.card import Card
from earshot.datasets.experiments import GIVEN, check_input
from earshot.datasets.layouts import FeatureTable
from earshot.inputs import kept, shards, stored
from earshot.inputs.given import Given


def write(card: Card, input_name: str, most: int = shards.BYTES) -> None:
    """Write the features of the recordings in the manifest, `most` bytes in a shard.

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
    recordings = recordings.assign(key=provenance.digest(recipe)[:16])
    home = kept.home(input_name, recipe, card.name)
    size = features.shape[1] * np.dtype(np.float64).itemsize
    planned = kept.planned(home, recordings, [size] * len(rows), most)
    for path, some in planned.items():
        table = pa.Table.from_pandas(rows.loc[some.index], preserve_index=False)
        stored.write_part(path, iter([table]), {**recipe, "dataset": card.name})
    index = stored.write_index(home, [*planned], recordings, {**recipe, "dataset": card.name, "digest": digest})
    stored.publish(project.features(card.name, input_name), [*planned, index])
    kept.forget(home, planned)
    print(f"{card.label}: {len(features.columns)} features of {len(rows)} recordings, as {layout.file} gives them")


def given(folder: Path) -> Given:
    """Return the input whose features `write` has written to `folder`."""
    recipe: Mapping[str, Any] = stored.recipe_of(folder)
    return Given(recipe["table"], recipe["names"])
