"""Which stages `dvc repro` goes through, asked of DVC itself."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def stages(root: Path, targets: Iterable[str] = ()) -> dict[str, str]:
    """Return the stages that targets need, or all, in the order in which DVC goes through them; each with its `desc`.

    While a stage runs DVC lets others read the project. Nothing is returned where it can't: how many stages there are
    is then not known.
    """
    from dvc.exceptions import DvcException  # half a second
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    try:
        with Repo(str(root)) as repo:
            graph = get_active_graph(repo.index.graph)
            asked = [one for one in graph if _is_of(_name(one), targets)]
            return {_name(one): one.desc or "" for one in plan_repro(graph, asked)}
    except DvcException:  # DVC, which runs, says what there is to say
        return {}


def _name(stage: Any) -> str:
    """Return what DVC, which runs in the project's folder, calls a stage; one of a file NAME.dvc has no other name."""
    return getattr(stage, "name", None) or stage.path_in_repo


def _is_of(stage: str, targets: Iterable[str]) -> bool:
    """Tell whether a stage is a target; `train` is that of all datasets."""
    return any(stage == target or stage.startswith(f"{target}@") for target in targets)
