"""The input representations: what a model is given of a recording.

An input is a class that keeps to the contract of `Input`, and `features.NAME._target_` in params.yaml names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from earshot.errors import EarshotError
from earshot.inputs.log_mel import LogMel
from earshot.inputs.log_spectrogram import LogSpectrogram
from earshot.inputs.mfcc import Mfcc
from earshot.inputs.pcen_mel import PcenMel
from earshot.inputs.protocol import Input
from earshot.inputs.summary import Summary
from earshot.inputs.waveform import Waveform
from earshot.schema.yaml_text import did_you_mean, shown
from earshot.settings import class_named, window_of
from earshot.splits import windows

__all__ = ["Input", "LogMel", "LogSpectrogram", "Mfcc", "PcenMel", "Summary", "Waveform", "build", "recipe", "restore"]
CONTRACT = ("standardised", "columns", "takes_windows", "extract", "rows", "first_row", "n_rows", "finish")


def build(name: str, params: Mapping[str, Any], task: str | None, clips: bool) -> Input:
    """Make an input from the numbers in params.yaml.

    Parameters
    ----------
    name : a section of `features`
    params : the whole of params.yaml
    task : whose windows are meant
    clips : whether the dataset's recordings are short: each summarised as a whole, where the section has `clip_seconds`

    Raises
    ------
    EarshotError
        Naming an unknown input, or a key of `features.NAME` that is missing or unknown.
    """
    if name not in params["features"]:
        raise EarshotError(f"no input is called '{name}'. Inputs there are: {', '.join(params['features'])}")
    where = f"features.{name} in params.yaml"
    settings = {"sample_rate": params["audio"]["sample_rate"]} | dict(params["features"][name] or {})
    made = _class_of(settings.pop("_target_", None), where)
    if hasattr(made, "completed"):
        settings = made.completed(settings)
    window = window_of(params["windows"], task)
    if made.takes_windows:
        clip_seconds = settings.pop("clip_seconds", None)
        of_clips = clips and clip_seconds is not None
        settings |= {"length": clip_seconds, "hop": None} if of_clips else dict(window)
    built = _made(made, settings, where)
    _check_grid(name, built, window["hop"])
    if built.n_rows(window["length"]) < 1:
        raise EarshotError(f"{where}: a window of {window['length']:g} s is shorter than one frame of {name}")
    return built


def recipe(name: str, built: Input) -> dict[str, Any]:
    """Return what decides an input's values, as JSON knows it: its name, class and settings."""
    made = type(built)
    settings = asdict(built)  # type: ignore[call-overload]  # a protocol can't say that it is a dataclass
    found: dict[str, Any] = json.loads(
        json.dumps({"input": name, "_target_": f"{made.__module__}.{made.__qualname__}", **settings})
    )
    return found


def restore(recipe: Mapping[str, Any]) -> Input:
    """Make the input that `recipe` describes.

    Raises
    ------
    EarshotError
        If its class or a setting is unknown.
    """
    where = "input in config.json"
    settings = {key: value for key, value in recipe.items() if key not in ("input", "_target_")}
    return _made(_class_of(recipe.get("_target_"), where), settings, where)


def _class_of(target: object, where: str) -> Any:
    found = class_named(target, __name__, where)
    missing = [name for name in CONTRACT if not hasattr(found, name)]
    if missing or not is_dataclass(found):
        lacks = f", it lacks {', '.join(missing)}" if missing else ""
        raise EarshotError(
            f"{where}: _target_ {target} is no input: a dataclass with what docs/extending.md lists{lacks}"
        )
    return found


def _made(made: Any, settings: dict[str, Any], where: str) -> Input:
    if fault := next(_faults(made, settings), None):
        raise EarshotError(f"{where}: {fault}")
    try:
        built: Input = made(**settings)
    except (TypeError, ValueError) as error:
        raise EarshotError(f"{where}: {error}") from None
    return built


def _faults(made: Any, settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the settings of an input: unknown, missing, or of another type than its field."""
    known = {field.name: field for field in fields(made) if field.init}
    for name in settings.keys() - known.keys():
        yield f"{name} is no setting of {made.__name__}; {did_you_mean(name, sorted(known))}"
    for name, field in known.items():
        if name not in settings and field.default is MISSING and field.default_factory is MISSING:
            yield f"{name} is missing"
    for name, value in settings.items():
        if right := _right(made, name, value):
            yield f"{name} is {shown(value)}, and must be {right}"


def _right(made: Any, name: str, value: Any) -> str | None:
    """Return what a setting must be, if it is something else; a type that pydantic can't check is left to the class."""
    try:
        kind = get_type_hints(made)[name]
        TypeAdapter(kind).validate_python(value, strict=not isinstance(value, list))
    except ValidationError:
        kinds = {int: "a whole number", float: "a number, such as 0.5 or 1.0e-10", bool: "true or false"}
        return kinds.get(kind, str(kind))
    except (PydanticUserError, NameError, TypeError):
        return None
    return None


def _check_grid(name: str, built: Input, hop: float) -> None:
    row = built.first_row(hop)
    if abs(row - round(row)) > windows.GRID:
        raise EarshotError(
            f"windows that start every {hop:g} s do not start on a frame of {name}: {row:g} frames per hop. "
            f"Choose windows in params.yaml so that hop * sample_rate is a multiple of the samples from one frame of "
            f"{name} to the next"
        )
