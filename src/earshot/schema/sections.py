"""Sections of settings: what each key must be, checked by pydantic, and each fault told in a line.

The schema of params.yaml is in `params`, that of a run of conf/ in `conf`; rooms have sections of their own.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from earshot.errors import EarshotError
from earshot.schema.yaml_text import did_you_mean, read_yaml, shown, told_type

MOST_FAULTS = 3  # in one message
LEAST_SEEDS_TOO_MANY = 2**32  # numpy takes those below


def _checked(value: Any, handler: Any, *, right: str) -> Any:
    try:
        return handler(value)
    except (ValidationError, ValueError):
        raise PydanticCustomError("must", "{right}", {"right": right}) from None


class _Must(WrapValidator):
    """What a value must be, which editors show as well."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return handler(schema) | {"description": self.func.keywords["right"]}


def must(right: str) -> WrapValidator:
    """Say in one message whatever is wrong with a value: that it must be `right`."""
    return _Must(functools.partial(_checked, right=right))


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError
    return values


def _range(values: list[float]) -> list[float]:
    if len(values) != 2 or values[0] > values[1]:
        raise ValueError
    return values


Once, NotEmpty, Finite = AfterValidator(_once), Field(min_length=1), Field(allow_inf_nan=False)
FromTo = AfterValidator(_range)
Name = Annotated[str, Field(pattern=r"^\w+$")]
Seed = Annotated[int, Field(ge=0, lt=LEAST_SEEDS_TOO_MANY)]
Seconds = Annotated[float, Finite, Field(gt=0), must("a number of seconds above 0")]
ClassName = Annotated[str, must("the name of a class, as text")]


class Section(BaseModel):
    """A mapping of settings: no unknown keys, and values as YAML reads them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Checked = TypeVar("Checked", bound=Section)


def checked(section: type[Checked], content: Any, key: str) -> Checked:
    """Return a section of the settings that Hydra composed of conf/ and the command line, once it has been checked.

    Parameters
    ----------
    content : dictionaries, lists, texts and numbers
    key : where it stands, such as "model.training"

    Raises
    ------
    EarshotError
        Naming each key that is missing, unknown or wrong, with its value and what is right.
    """
    if not isinstance(content, dict):
        raise EarshotError(f"{key} is {shown(content)}, and must be a mapping, lines such as `name: setting`")
    try:
        return section.model_validate(content)
    except ValidationError as error:
        raise EarshotError(told(error, section, f"{key}.")) from None


Validated = TypeVar("Validated", bound=BaseModel)


def validated(section: type[Validated], content: Any, where: str) -> Validated:
    """Return what a mapping holds, once it has been checked.

    Parameters
    ----------
    section : its schema
    where : what stands before each key, for errors

    Raises
    ------
    EarshotError
        Naming the first key that is missing, unknown or wrong, with its value and what is right.
    """
    try:
        return section.model_validate(content)
    except ValidationError as error:
        faults = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise EarshotError(f"{where}{_conf_fault(faults[0], section)}") from None


def told(error: ValidationError, section: type[Section], prefix: str = "") -> str:
    """Put what is wrong in a section into words; `prefix` stands before each key."""
    faults = [f"{prefix}{_fault(each, section)}" for each in error.errors()]
    more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
    return "; ".join(faults[:MOST_FAULTS]) + more


def _fault(error: Any, section: type[Section]) -> str:
    """Put an error of pydantic's into words."""
    *above, last = map(str, error["loc"])
    key, value, owner = ".".join([*above, last]), error["input"], holder(section, above)
    if error["type"] == "missing":
        right = right_of(owner, last)
        return f"{key} is missing" + (f": {right}" if right else "")
    if error["type"] == "extra_forbidden":
        return f"{key} is no setting; {did_you_mean(last, list(owner.model_fields))}"
    if last == "[key]":
        return f"{'.'.join(above)}: the name of an input has letters, digits and _ alone"
    right = error["ctx"]["right"] if error["type"] == "must" else "a mapping, lines such as `name: setting`"
    return f"{key} is {shown(value)}, and must be {right}"


def holder(section: type[BaseModel], keys: list[str]) -> type[BaseModel]:
    """Return the section that stands at some keys below another, whatever mapping by name is between them."""
    for key in keys:
        field = section.model_fields.get(key)
        section = (_section_in(field.annotation) if field else None) or section
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def read_named(path: Path, section: type[Validated], kind: str, example: str) -> Validated:
    """Read one of the files of a folder of conf/, which people name by its stem.

    Parameters
    ----------
    section : its schema
    kind : what such files are, in the plural, for errors
    example : a line of one, for errors

    Raises
    ------
    EarshotError
        If there is none, or a key is missing, unknown or wrong.
    """
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise EarshotError(f"{path} is missing. {kind} there are: {known}") from None
    except (ValueError, OSError) as error:
        raise EarshotError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise EarshotError(f"{path} holds {told_type(content)}, and must hold settings: lines such as `{example}`")
    return validated(section, content, f"{path}: ")


def right_of(section: type[BaseModel], name: str) -> str | None:
    """Return what a setting must be, if its field says so."""
    markers = section.model_fields[name].metadata
    return next((marker.func.keywords["right"] for marker in markers if isinstance(marker, WrapValidator)), None)


def _conf_fault(error: Any, section: type[BaseModel]) -> str:
    *above, last = map(str, error["loc"])
    key, value, kind = ".".join([*above, last]), error["input"], error["type"]
    if kind == "missing":
        return f"{key} is missing"
    if kind == "extra_forbidden":
        for name in above:
            section = section.model_fields[name].annotation
        return f"{key} is no setting; {did_you_mean(last, list(section.model_fields))}"
    right = error["ctx"]["right"] if kind == "must" else error["msg"].removeprefix("Value error, ")
    return f"{key} is {shown(value)}" + (f", and must be {right}" if kind == "must" else f": {right}")
