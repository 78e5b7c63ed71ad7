"""Parameter groups: a model may ask for another learning rate for some of its parameters."""

from __future__ import annotations

from typing import Any

from torch import nn

from earshot.errors import EarshotError


def groups_of(net: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Return the parameter groups that a model asks for, none where it has no method `parameter_groups`.

    `model.parameter_groups(rate)` returns torch's parameter groups, such as
    `[{"params": body, "lr": rate / 10}, {"params": head, "lr": rate}]`. A schedule changes all their rates alike.

    Parameters
    ----------
    net : as `models.build` makes it
    rate : the optimizer's

    Raises
    ------
    EarshotError
        If a parameter that is trained is in no group, or in two.
    """
    model = getattr(net, "model", net)
    if not hasattr(model, "parameter_groups"):
        return []
    groups = [{**group, "params": list(group["params"])} for group in model.parameter_groups(rate)]
    found = [id(parameter) for group in groups for parameter in group["params"]]
    trained = [id(parameter) for parameter in net.parameters() if parameter.requires_grad]
    if sorted(found) != sorted(trained):
        raise EarshotError(
            f"{type(model).__name__}.parameter_groups has {len(found)} parameters, {len(set(trained) - set(found))} of "
            f"the {len(trained)} that are trained are not among them: each must be in one group"
        )
    return groups
