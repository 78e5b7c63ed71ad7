"""Whether there are soundscapes of a dataset. Kept apart, since a stage that has nothing to do needs no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from earshot.datasets import manifest
from earshot.datasets.card import Card
from earshot.metrics import labels


def why_not(card: Card, setting: Mapping[str, Any] | None, recordings: pd.DataFrame) -> str:
    """Return why there are no soundscapes of a dataset, "" where there are.

    Parameters
    ----------
    setting : of its task in `events` of params.yaml
    recordings : of its manifest
    """
    if not card.has_sound:
        return "no events: it is a table of features, without sound"
    if card.test_only:
        return "no events: it is for testing alone"
    if not setting:
        return "params.yaml asks for no events of it"
    if labels.are_sets(manifest.by_event_class(recordings)["label"]):
        return "no events: they are mixed from single labels alone"
    classes = manifest.classes_of(recordings)
    for key in ("alarm", "background"):
        if setting[key] not in classes:
            return f"no events: events.{card.task}.{key} in params.yaml is {setting[key]}, classes are {classes}"
    return ""
