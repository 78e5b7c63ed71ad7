"""The config group `augmentation`: its operations, each null or with its probability and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from earshot.errors import EarshotError
from earshot.schema.sections import ClassName, Finite, NotEmpty, Once, Section, checked, must

Kind = Literal["samples", "rows", "numbers"]  # what a window of an input is made of
TOLD = {"samples": "samples", "rows": "rows of a spectrogram", "numbers": "one row of numbers"}


def _ordered(values: list[float]) -> list[float]:
    if len(values) != 2 or values[0] > values[1]:
        raise ValueError
    return values


Number = Annotated[float, Finite]
Above = Annotated[float, Finite, Field(gt=0)]
Pair = AfterValidator(_ordered)
Decibels = Annotated[list[Number], Pair, must("two numbers of decibels, the lower first, such as [-12, 6]")]
Frequencies = Annotated[list[Above], Pair, must("two frequencies in Hz, the lower first, such as [4000, 16000]")]
Share = Annotated[float, Finite, Field(gt=0, le=1), must("a share above 0, at most 1, such as 0.1")]
Count = Annotated[int, Field(ge=1), must("a whole number, 1 or more")]
Bits = Annotated[int, Field(ge=2, le=16)]


class Operation(Section):
    """What all operations have."""

    p: Annotated[float, Finite, Field(ge=0, le=1), must("a probability from 0 to 1")]


class Shift(Operation):
    """Windows are turned round in time by at most a share of their length: what leaves one end enters the other."""

    share: Share


class Background(Operation):
    """Training windows of one class are mixed in, at a signal-to-noise ratio drawn from a range."""

    label: ClassName
    snr_db: Decibels


class Room(Operation):
    """The reverberation of a room, its time and the level of the direct sound above it drawn from ranges."""

    rt60: Annotated[list[Above], Pair, must("two reverberation times in seconds, the lower first, such as [0.1, 0.8]")]
    direct_db: Decibels


class Band(Operation):
    """A high-pass and a low-pass of 24 dB an octave, each at a frequency drawn from a range."""

    low_hz: Frequencies
    high_hz: Frequencies


class Tilt(Operation):
    """A spectrum that rises or falls by so much an octave."""

    db_per_octave: Decibels


class Rate(Operation):
    """A resampling to a rate drawn from a range, and back."""

    hz: Frequencies


class Gain(Operation):
    """Another level."""

    db: Decibels


class Codec(Operation):
    """A coarse quantisation: of G.711's mu-law, or linear with a number of bits drawn from a range."""

    kinds: Annotated[
        list[Literal["mu_law", "bits"]], Once, NotEmpty, must("a list of mu_law and bits, such as [mu_law, bits]")
    ]
    bits: Annotated[list[Bits], Pair, must("two whole numbers from 2 to 16, the lower first, such as [8, 12]")]


class Filter(Operation):
    """A gain drawn anew at the ends of the spectrum and between some bands, in a straight line from one to the next."""

    db: Decibels
    bands: Count


class Masks(Operation):
    """Stretches that are hidden, each of at most a share of the whole."""

    number: Count
    share: Share


class Mixup(Operation):
    """Windows and their labels are mixed in pairs; `alpha` is that of the Beta distribution of the shares."""

    alpha: Annotated[float, Finite, Field(gt=0), must("a number above 0, such as 0.3")]


class Augmentation(Section):
    """The whole group, in the order in which the operations are done."""

    shift: Shift | None = None
    background: Background | None = None
    room: Room | None = None
    band: Band | None = None
    tilt: Tilt | None = None
    rate: Rate | None = None
    gain: Gain | None = None
    codec: Codec | None = None
    filter: Filter | None = None
    time_masks: Masks | None = None
    frequency_masks: Masks | None = None
    mixup: Mixup | None = None

    @property
    def operations(self) -> dict[str, Operation]:
        """The operations that are done, by name."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: operation for name, operation in named.items() if operation is not None and operation.p > 0}


OF_SAMPLES = ("background", "room", "band", "tilt", "rate", "gain", "codec")
OF_ROWS = ("filter", "time_masks", "frequency_masks")
POSSIBLE: dict[Kind, tuple[str, ...]] = {
    "samples": ("shift", *OF_SAMPLES, "mixup"),
    "rows": ("shift", *OF_ROWS, "mixup"),
    "numbers": ("mixup",),
}


def read(content: Mapping[str, Any]) -> Augmentation:
    """Return the group once it has been checked.

    Raises
    ------
    EarshotError
        Naming each key that is missing, unknown or wrong, with its value and what is right.
    """
    return checked(Augmentation, dict(content), "augmentation")


def check_kind(settings: Augmentation, kind: Kind, input_name: str) -> None:
    """Refuse operations that an input's windows can't take.

    Raises
    ------
    EarshotError
        Naming the operation, the input and what there is for it.
    """
    wrong = [name for name in settings.operations if name not in POSSIBLE[kind]]
    if wrong:
        raise EarshotError(
            f"augmentation.{wrong[0]} is not for the input {input_name}, whose windows are {TOLD[kind]}: set "
            f"augmentation.{wrong[0]}=null; for them there are {', '.join(POSSIBLE[kind])}"
        )
