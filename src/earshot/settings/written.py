"""What params.yaml says: what is compared, and what is made before training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from earshot import project
from earshot.errors import EarshotError
from earshot.schema.yaml_text import read_yaml, shown

# a model as the tutorial's code connects its layers, and as the tutorial's text describes it
WIRINGS = ("as_coded", "as_described")
FORMER_WIRINGS = {"published": "as_coded", "stacked": "as_described"}  # their names until version 0.2
PADS = ("none", "zero", "repeat", "center")  # of windows.TASK.pad; center: as many zeros before as after
COMPARED = ["datasets", "experiments", "protocols", "wirings", "seeds"]


def read_params() -> dict[str, Any]:
    """Read and check params.yaml.

    Raises
    ------
    EarshotError
        If there is no readable params.yaml in the project's folder, or a key in it is missing, unknown or wrong.
    """
    from earshot.schema.params import check  # pydantic takes half a second

    path = project.root() / "params.yaml"
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise EarshotError(f"{path} is missing: run earshot from the project's folder") from None
    except (ValueError, OSError) as error:
        raise EarshotError(f"{path} can't be read: {error}") from None
    check(path, content)
    _check_wirings(content)
    _contrasts(content)
    return content


def compared(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of params.yaml that lists what is compared.

    Raises
    ------
    EarshotError
        If params.yaml lacks one of the lists, or it is empty; `contrasts` alone may be.
    """
    missing = [name for name in COMPARED if not params.get(name)]
    if missing:
        raise EarshotError(f"{project.root() / 'params.yaml'} lists nothing under {', '.join(missing)}")
    _check_wirings(params)
    return {name: params[name] for name in COMPARED} | {"contrasts": _contrasts(params)}


def _check_wirings(params: Mapping[str, Any]) -> None:
    for wiring in params["wirings"]:
        if wiring not in WIRINGS:
            renamed = f": it is called {FORMER_WIRINGS[wiring]} now" if wiring in FORMER_WIRINGS else ""
            raise EarshotError(f"wirings in params.yaml: '{wiring}' is none of {', '.join(WIRINGS)}{renamed}")


def _contrasts(params: Mapping[str, Any]) -> list[dict[str, list[str]]]:
    """Return what the report sets against each other, e.g. `[{"model": ["cnn", "lstm"]}]`; it may be empty."""
    contrasts = params.get("contrasts") or []
    wrong = [each for each in contrasts if not _is_contrast(each)] if isinstance(contrasts, list) else [contrasts]
    if wrong:
        raise EarshotError(
            f"contrasts in params.yaml: {shown(wrong[0])} does not set two inputs or two models against each "
            "other. Write a list of items such as {model: [cnn, lstm]} or {input: [waveform, log_mel]}"
        )
    return contrasts


def _is_contrast(contrast: Any) -> bool:
    if not isinstance(contrast, dict) or len(contrast) != 1:
        return False
    ((part, names),) = contrast.items()
    two = isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) for name in names)
    return part in ("input", "model") and two and names[0] != names[1]


def for_task(setting: Mapping[str, Any], task: str | None, key: str) -> Any:
    """Return what a setting, `windows` or `split.folds`, says for a task, or its `default`.

    Raises
    ------
    EarshotError
        If it says nothing for the task; `key` is its name.
    """
    found = setting.get(task, setting.get("default"))
    if found is None:
        named = ", ".join(map(str, setting)) or "nothing"
        raise EarshotError(f"{key} in params.yaml has {named}: add a line for the task {task}, or for `default`")
    return found


def window_of(windows: Mapping[str, Any], task: str | None) -> Mapping[str, float]:
    """Return `length` and `hop` of a task's windows, in seconds."""
    window = for_task(windows, task, "windows")
    return {name: (window if name in window else windows["default"])[name] for name in ("length", "hop")}


def pad_of(windows: Mapping[str, Any], task: str | None) -> str:
    """Return how recordings of a task that are shorter than a window are padded, one of `PADS`.

    Raises
    ------
    EarshotError
        If params.yaml names another way.
    """
    pad = for_task(windows, task, "windows").get("pad") or PADS[0]
    if pad not in PADS:
        where = f"windows.{task if task in windows else 'default'}.pad"
        raise EarshotError(f"{where} in params.yaml is {pad}, and must be one of {', '.join(PADS)}")
    return pad
