"""The schema of params.yaml.

`settings.read_params` checks it before anything runs. What is checked here is the file by itself; the classes of
`features` check their own settings (see `inputs.build`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError

from earshot.errors import EarshotError
from earshot.schema.sections import (
    ClassName,
    Finite,
    FromTo,
    Name,
    NotEmpty,
    Once,
    Seconds,
    Section,
    Seed,
    must,
    right_of,
    told,
)
from earshot.schema.yaml_text import did_you_mean, told_type

Protocol = Literal["published", "grouped"]
PROTOCOLS = get_args(Protocol)
DATASET = r"\w[\w-]*"  # a dataset's name, which is also that of files and of a model in MLflow's registry
RULE = "of letters, digits, _ and - alone, the first no -"  # `DATASET` in words
EDGES = 4.0  # seconds of a soundscape's clip that an event leaves free
Dataset = Annotated[str, Field(pattern=f"^{DATASET}$")]
Inputs = Annotated[list[Name], Once, must("a list of sections of `features`, each once, such as [log_mel]")]
Models = Annotated[list[str], Once, must("a list of files of conf/model/, each once, such as [cnn, lstm]")]


class Crossed(Section):
    """An item of `experiments`: every input with every model."""

    inputs: Inputs
    models: Models


class Manifest(Section):
    """The section `manifest`."""

    max_set_aside: Annotated[float, Finite, Field(ge=0, le=1), must("a share from 0 to 1, such as 0.1 for 10 %")]
    silence_dbfs: Annotated[float, Finite, Field(le=0), must("a number of decibels, 0 or below, such as -80.0")]


class Window(Section):
    """An item of `windows`, and what becomes of a recording that is shorter."""

    length: Seconds = 0.0  # what a task does not name is the default's; see `_contradictions`
    hop: Seconds = 0.0
    pad: Annotated[Literal["none", "zero", "repeat", "center"], must("one of none, zero, repeat, center")] = "none"


class Split(Section):
    """The section `split`."""

    test_share: Annotated[float, Finite, Field(gt=0, lt=1), must("a share above 0 and below 1, such as 0.2")]
    random_state: Annotated[Seed, must("a whole number, 0 or more, such as 12")]
    folds: Annotated[
        dict[str, Annotated[int, Field(ge=2)]], must("numbers of folds by task, each 2 or more, such as {default: 5}")
    ]
    validation_share: Annotated[float, Finite, Field(gt=0, le=0.5), must("a share above 0, at most 0.5, such as 0.2")]
    validation: Annotated[
        Literal["within", "elsewhere"], must("within, or elsewhere: on a dataset of a union that is not trained on")
    ]
    unite_duplicates: Annotated[bool, must("true or false")]
    block_seconds: Seconds
    guard_seconds: Annotated[float, Finite, Field(ge=0), must("a number of seconds, 0 or more")]


class Duplicates(Section):
    """The section `duplicates`: how sound that occurs twice is looked for."""

    exact_hours: Annotated[float, Field(ge=0), must("a number of hours, 0 or more; .inf: whatever the hours")]
    nprobe: Annotated[int, Field(gt=0), must("a whole number of cells above 0, such as 16")]


class Audio(Section):
    """The section `audio`."""

    sample_rate: Annotated[int, Field(gt=0), must("a whole number of samples per second, such as 16000")]


class Noise(Section):
    """An item of `noise`: a task that is tested in noise."""

    alarm: ClassName
    background: ClassName
    snr_db: Annotated[
        list[Annotated[float, Finite]], Once, NotEmpty, must("a list of decibels, each once, such as [20, 10, 0]")
    ]
    inputs: Inputs
    max_false_alarms_per_hour: (
        Annotated[float, Finite, Field(ge=0), must("a number, 0 or more, such as 5, or null")] | None
    ) = None


class Soundscape(Section):
    """An item of `events`: a task whose events are looked for in soundscapes."""

    alarm: ClassName
    background: ClassName
    hours: Annotated[float, Finite, Field(gt=0), must("a number of hours above 0, such as 1")]
    clip_seconds: Seconds
    event_seconds: Annotated[
        list[Annotated[float, Finite, Field(gt=0)]],
        FromTo,
        must("the shortest and the longest in seconds, such as [4, 15]"),
    ]
    events_per_hour: Annotated[float, Finite, Field(gt=0), must("a number above 0, such as 60")]
    snr_db: Annotated[list[Annotated[float, Finite]], FromTo, must("the lowest and the highest, such as [0, 20]")]
    step: Seconds
    inputs: Inputs


class Budget(Section):
    """An item of `operating_point`."""

    max_false_alarms_per_hour: Annotated[float, Finite, Field(ge=0), must("a number, 0 or more, such as 1")]
    margin: Annotated[float, Finite, Field(ge=0), must("a number of logits, 0 or more, such as 1")] = 1.0


class Swapped(Section):
    """The section `swapped`: whether test windows are heard under the recording conditions of another class."""

    when: Annotated[Literal["hinted", "always", "never"], must("one of hinted, always, never")]
    max_drop: Annotated[float, Finite, Field(ge=0, lt=1), must("a share of the windows, such as 0.05 for 5 points")]


class Params(Section):
    """The whole of params.yaml; the contrasts have a check of their own (`settings.compared`)."""

    datasets: Annotated[
        list[Dataset],
        Once,
        must(f"a list of datasets, each once, such as [my_birds, '2024']; names are {RULE}"),
    ]
    experiments: dict[str, Crossed]
    protocols: Annotated[list[Protocol], Once, must(f"a list of protocols, each once, of {', '.join(PROTOCOLS)}")]
    wirings: Annotated[list[str], Once, must("a list of wirings, each once, such as [as_coded]")]
    seeds: Annotated[list[Seed], Once, must("a list of whole numbers, 0 or more, each once, such as [0, 1, 2]")]
    contrasts: Any = None
    manifest: Manifest
    duplicates: Duplicates
    windows: dict[str, Window]
    split: Split
    audio: Audio
    features: dict[Name, Annotated[dict[str, Any] | None, must("the settings of an input, with its _target_")]]
    noise: dict[str, Noise]
    events: dict[str, Soundscape]
    operating_point: dict[str, Budget]
    calibration: dict[str, Annotated[Literal["temperature", "isotonic"], must("temperature or isotonic")]]
    swapped: Swapped


def check(path: Path, content: Any) -> None:
    """Check what params.yaml holds.

    Parameters
    ----------
    path : of params.yaml
    content : what YAML makes of it

    Raises
    ------
    EarshotError
        Naming the file, and each key that is missing, unknown or wrong with its value and what is right.
    """
    if not isinstance(content, dict):
        what = "is empty" if content is None else f"holds {told_type(content)}"
        raise EarshotError(f"{path} {what}, and must hold settings: lines such as `seeds: [0]`")
    try:
        Params.model_validate(content)
    except ValidationError as error:
        raise EarshotError(f"{path}: {told(error, Params)}") from None
    if fault := next(_contradictions(path, content), None):
        raise EarshotError(f"{path}: {fault}")


def _contradictions(path: Path, content: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong between keys that are right by themselves."""
    inputs = list(content["features"])
    models = sorted(file.stem for file in (path.parent / "conf" / "model").glob("*.yaml"))
    events = content["events"]
    for section, items in (
        ("experiments", content["experiments"]),
        ("noise", content["noise"]),
        ("events", events),
    ):
        for name, item in items.items():
            for wrong in [one for one in item["inputs"] if one not in inputs]:
                yield f"{section}.{name}.inputs: no input is called '{wrong}'; {did_you_mean(wrong, inputs)}"
            for wrong in [one for one in item.get("models", []) if one not in models]:
                yield f"{section}.{name}.models: there is no conf/model/{wrong}.yaml; {did_you_mean(wrong, models)}"
            if section != "experiments" and item["alarm"] == item["background"]:
                yield f"{section}.{name}: alarm and background are both {item['alarm']}, and must be two classes"
    for task, item in events.items():
        if item["clip_seconds"] < (least := item["event_seconds"][1] + EDGES):
            yield f"events.{task}.clip_seconds is {item['clip_seconds']:g}, and must be {least:g} for such long events"
    for task in [task for task in content["operating_point"] if task not in events]:
        yield f"operating_point.{task}: events.{task} is missing, which says what is to be found, and in what"
    for task, window in content["windows"].items():
        for name in ("length", "hop"):
            if name not in window and name not in content["windows"].get("default", {}):
                yield f"windows.{task}.{name} is missing: {right_of(Window, name)}"
    crossed = Counter(
        (one, two) for item in content["experiments"].values() for one in item["inputs"] for two in item["models"]
    )
    for (one, two), times in crossed.items():
        if times > 1:
            yield f"experiments: {one} with {two} stands in {times} of them, and must stand in one"
