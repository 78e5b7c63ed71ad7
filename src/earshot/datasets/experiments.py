"""The experiments that a dataset allows: all of params.yaml on recordings, few on a table of features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earshot.datasets.card import Card, card_path
from earshot.errors import EarshotError
from earshot.settings import Experiment, experiments_of

GIVEN = "summary"  # the input whose place given features take: one row for each recording


def experiments_on(card: Card, params: Mapping[str, Any]) -> list[Experiment]:
    """Return the experiments of params.yaml that can be run on a dataset, in its order.

    Raises
    ------
    EarshotError
        If the dataset gives features, and no experiment takes them.
    """
    compared = experiments_of(params)
    if card.has_sound:
        return compared
    found = [experiment for experiment in compared if experiment.input == GIVEN]
    if compared and not found:
        raise EarshotError(
            f"{card.name} is a table of features in place of sound, which takes the place of the input {GIVEN}: no "
            f"experiment in params.yaml has that. Add e.g. given: {{inputs: [{GIVEN}], models: [ann]}} to experiments"
        )
    return found


def left_out(card: Card, params: Mapping[str, Any]) -> str:
    """Return a line on the experiments that can't be run on a dataset, empty where all can."""
    run = experiments_on(card, params)
    names = [experiment.name for experiment in experiments_of(params) if experiment not in run]
    return f"{card.label}: without sound there is no {', '.join(names)}" if names else ""


def check_input(card: Card, input_name: str) -> None:
    """Check that a dataset has an input.

    Raises
    ------
    EarshotError
        If it gives features, and the input is computed from sound.
    """
    if not card.has_sound and input_name != GIVEN:
        raise EarshotError(
            f"{card.name} is a table of features in place of sound ({card_path(card.name)}), so it has no "
            f"{input_name}: use input={GIVEN}"
        )
