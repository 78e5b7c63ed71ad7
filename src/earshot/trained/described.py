"""The schema of config.json, which describes a trained model: it comes with the model, perhaps from a stranger.

What else its parts must be (the settings of the input and of the network) their classes say.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from earshot.errors import EarshotError
from earshot.schema.sections import ClassName, Finite, NotEmpty, Once

LONGEST = 3600.0  # seconds of a window
SHORTEST = 0.001  # seconds from one to the next
LARGEST = 10**8  # numbers in a window; an hour at 16 kHz has half of that
MOST_CLASSES = 10_000
MOST = 10**6  # of a whole number among the settings of an input, such as a sample rate or a number of bands

Length = Annotated[float, Finite, Field(gt=0, le=LONGEST)]
Step = Annotated[float, Finite, Field(ge=SHORTEST, le=LONGEST)]
Share = Annotated[float, Finite, Field(ge=0, le=1)]
Seconds = Annotated[float, Finite, Field(ge=0, le=LONGEST)]


class Part(BaseModel):
    """A mapping that may have more keys: each version of earshot has added some."""

    model_config = ConfigDict(extra="allow")


class Rule(Part):
    """See `detection.rule.Rule`."""

    threshold: Share
    release: Share
    min_duration: Seconds = 0.0
    max_gap: Seconds = 0.0
    median: Seconds = 0.0
    attack: Share = 1.0
    snap: Seconds = 0.0


class Point(Part):
    """The operating point, see `soundscapes.operating_point`."""

    label: ClassName
    step: Step
    rule: Rule


class Temperature(BaseModel):
    """A calibration by one number."""

    method: Literal["temperature"]
    temperature: Annotated[float, Finite, Field(gt=0)]


class Map(BaseModel):
    """What scores become, at some of them."""

    x: list[Share]
    y: list[Share]


class Isotonic(BaseModel):
    """A calibration by a map for each class."""

    method: Literal["isotonic"]
    maps: list[Map]


class Pad(BaseModel):
    """How recordings that are shorter than a window were padded."""

    how: Literal["none", "zero", "repeat", "center"]
    seconds: Length


class Grid(BaseModel):
    """The times of a model of frames."""

    step: Step
    seconds: Length
    margin: Seconds


class Described(Part):
    """What config.json must hold for a model to be built and used."""

    classes: Annotated[list[ClassName], NotEmpty, Once, Field(max_length=MOST_CLASSES)]
    input: dict[str, JsonValue]
    model: dict[str, JsonValue]
    window_shape: tuple[Annotated[int, Field(ge=1, le=LARGEST)], Annotated[int, Field(ge=1, le=MOST)]]
    seconds: Length
    hop: Step
    frames: Grid | None = None
    pad: Pad | None = None
    thresholds: list[Share] | None = None
    calibration: Annotated[Temperature | Isotonic, Field(discriminator="method")] | None = None
    operating_point: Point | None = None
    rule: Rule | None = None


def check(settings: Any) -> None:
    """Make sure that settings describe a model whose use is bounded.

    Raises
    ------
    EarshotError
        Naming the first key that is missing or wrong.
    """
    try:
        found = Described.model_validate(settings)
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"]))
        raise EarshotError(f"{key + ': ' if key else ''}{fault['msg'][:1].lower()}{fault['msg'][1:]}") from None
    n_rows, n_bins = found.window_shape
    if n_rows * n_bins > LARGEST:
        raise EarshotError(f"window_shape: {n_rows} times {n_bins} are more than {LARGEST} numbers")
    for name, value in found.input.items():
        if isinstance(value, int | float) and not -MOST <= value <= MOST:
            raise EarshotError(f"input.{name}: {json.dumps(value)} is not within {MOST}")
    for name, listed in (("thresholds", found.thresholds), ("calibration", getattr(found.calibration, "maps", None))):
        if listed is not None and len(listed) != len(found.classes):
            raise EarshotError(f"{name}: {len(listed)} where there are {len(found.classes)} classes")
    if found.operating_point and found.operating_point.label not in found.classes:
        raise EarshotError(f"operating_point.label: {found.operating_point.label} is no class")
