"""Settings as users write them: YAML, each fault told in a line, the schema of params.yaml, what a run of conf/ has.

`settings.read_params` checks the schema before anything runs. What is checked here is the file by itself; the classes
of `features` check their own settings (see `inputs.build`).
"""

from __future__ import annotations

import difflib
import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

from earshot import project
from earshot.errors import EarshotError

if TYPE_CHECKING:
    from omegaconf import DictConfig

Protocol = Literal["published", "grouped"]
PROTOCOLS = get_args(Protocol)
DATASET = r"\w[\w-]*"  # a dataset's name, which is also that of files and of a model in MLflow's registry
RULE = "of letters, digits, _ and - alone, the first no -"  # `DATASET` in words
MOST_FAULTS = 3  # in one message
MOST_SHOWN = 60  # characters of a wrong value
EDGES = 4.0  # seconds of a soundscape's clip that an event leaves free
LEAST_SEEDS_TOO_MANY = 2**32  # numpy takes those below


def _checked(value: Any, handler: Any, *, right: str) -> Any:
    try:
        return handler(value)
    except (ValidationError, ValueError):
        raise PydanticCustomError("must", "{right}", {"right": right}) from None


def must(right: str) -> WrapValidator:
    """Say in one message whatever is wrong with a value: that it must be `right`."""
    return WrapValidator(functools.partial(_checked, right=right))


def _once(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError
    return values


def _range(values: list[float]) -> list[float]:
    if len(values) != 2 or values[0] > values[1]:
        raise ValueError
    return values


Once, NotEmpty, Finite = AfterValidator(_once), Field(min_length=1), Field(allow_inf_nan=False)
Name = Annotated[str, Field(pattern=r"^\w+$")]
Dataset = Annotated[str, Field(pattern=f"^{DATASET}$")]
Seed = Annotated[int, Field(ge=0, lt=LEAST_SEEDS_TOO_MANY)]
Seconds = Annotated[float, Finite, Field(gt=0), must("a number of seconds above 0")]
Inputs = Annotated[list[Name], Once, must("a list of sections of `features`, each once, such as [log_mel]")]
Models = Annotated[list[str], Once, must("a list of files of conf/model/, each once, such as [cnn, lstm]")]
ClassName = Annotated[str, must("the name of a class, as text")]


class Section(BaseModel):
    """A mapping of settings: no unknown keys, and values as YAML reads them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


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


class Soundscape(Section):
    """An item of `events`: a task whose events are looked for in soundscapes."""

    alarm: ClassName
    background: ClassName
    hours: Annotated[float, Finite, Field(gt=0), must("a number of hours above 0, such as 1")]
    clip_seconds: Seconds
    event_seconds: Annotated[
        list[Annotated[float, Finite, Field(gt=0)]],
        AfterValidator(_range),
        must("the shortest and the longest in seconds, such as [4, 15]"),
    ]
    events_per_hour: Annotated[float, Finite, Field(gt=0), must("a number above 0, such as 60")]
    snr_db: Annotated[
        list[Annotated[float, Finite]], AfterValidator(_range), must("the lowest and the highest, such as [0, 20]")
    ]
    step: Seconds
    inputs: Inputs


class Budget(Section):
    """An item of `operating_point`."""

    max_false_alarms_per_hour: Annotated[float, Finite, Field(ge=0), must("a number, 0 or more, such as 1")]


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
        raise EarshotError(f"{path}: {_told(error, Params)}") from None
    if fault := next(_contradictions(path, content), None):
        raise EarshotError(f"{path}: {fault}")


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
        raise EarshotError(_told(error, section, f"{key}.")) from None


class _Yaml(yaml.SafeLoader):
    """YAML whose keys are text, each once: what else YAML makes of them (`yes` is true, 2024 a number) is told."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                plain = key.value if isinstance(key, yaml.ScalarNode) and key.value else None
                instead = f"write it in quotes, '{plain}'" if plain else "write a name"
                problem = f"the key {plain or ''} is {told_type(name)} to YAML: {instead}"
                raise yaml.MarkedYAMLError(problem=" ".join(problem.split()), problem_mark=key.start_mark)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {name} stands twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file that a user wrote.

    Raises
    ------
    ValueError
        If it isn't YAML in UTF-8, or a key in it is no text or stands twice; one line, which names the line.
    FileNotFoundError
        If it is missing.
    """
    try:
        return yaml.load(path.read_text("utf-8-sig"), _Yaml)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not in UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ValueError(f"line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def told_type(value: Any) -> str:
    """Say what YAML has read a value as."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}
    return "nothing" if value is None else kinds.get(type(value), f"a {type(value).__name__}")


def did_you_mean(name: str, known: list[str]) -> str:
    """Return the known names that one may have meant, or all of them, as the end of a message."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"


def _told(error: ValidationError, section: type[Section], prefix: str = "") -> str:
    """Put what is wrong in a section into words; `prefix` stands before each key."""
    faults = [f"{prefix}{_fault(each, section)}" for each in error.errors()]
    more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
    return "; ".join(faults[:MOST_FAULTS]) + more


def _fault(error: Any, section: type[Section]) -> str:
    """Put an error of pydantic's into words."""
    *above, last = map(str, error["loc"])
    key, value, holder = ".".join([*above, last]), error["input"], _holder(section, above)
    if error["type"] == "missing":
        right = _right(holder, last)
        return f"{key} is missing" + (f": {right}" if right else "")
    if error["type"] == "extra_forbidden":
        return f"{key} is no setting; {did_you_mean(last, list(holder.model_fields))}"
    if last == "[key]":
        return f"{'.'.join(above)}: the name of an input has letters, digits and _ alone"
    right = error["ctx"]["right"] if error["type"] == "must" else "a mapping, lines such as `name: setting`"
    return f"{key} is {shown(value)}, and must be {right}"


def _holder(section: type[BaseModel], keys: list[str]) -> type[BaseModel]:
    """Return the section that stands at some keys below another, whatever mapping by name is between them."""
    for key in keys:
        field = section.model_fields.get(key)
        section = (_section_in(field.annotation) if field else None) or section
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_in(part))), None)


def _right(section: type[BaseModel], name: str) -> str | None:
    """Return what a setting must be, if its field says so."""
    markers = section.model_fields[name].metadata
    return next((marker.func.keywords["right"] for marker in markers if isinstance(marker, WrapValidator)), None)


def shown(value: Any) -> str:
    """Return a value as YAML writes it in one line, cut off where it is long."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    text = " ".join(text.removesuffix("...\n").split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


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
                yield f"windows.{task}.{name} is missing: {_right(Window, name)}"
    crossed = Counter(
        (one, two) for item in content["experiments"].values() for one in item["inputs"] for two in item["models"]
    )
    for (one, two), times in crossed.items():
        if times > 1:
            yield f"experiments: {one} with {two} stands in {times} of them, and must stand in one"


# What Hydra composes of conf/ and a command line

NO_GROUPS = ("cards",)  # folders of conf/ that Hydra does not read
PRECISIONS = Literal[
    "transformer-engine", "transformer-engine-float16", "16-true", "16-mixed", "bf16-true", "bf16-mixed"
] | Literal["32-true", "64-true", "64", "32", "16", "bf16", 64, 32, 16]  # fmt: skip


class _Conf(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Trainer(_Conf):
    accelerator: Annotated[
        Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"], must("one of auto, cpu, gpu, cuda, mps, tpu")
    ]
    devices: Annotated[int | list[int] | Literal["auto"], must("a number of devices, a list of their numbers, or auto")]
    precision: Annotated[PRECISIONS, must("a precision that Lightning knows, such as 32-true or bf16-mixed")]
    threads: Annotated[int, Field(ge=1), must("a whole number, 1 or more")]


class _Mlflow(_Conf):
    sweep: str | int | float | None
    tried: str | None
    trial: int | None
    artifacts: Annotated[bool, must("true or false")]
    system_metrics: Annotated[bool, must("true or false")]


class _Run(BaseModel):
    """What a run has besides its model, its optimizer and params.yaml."""

    model_config = ConfigDict(extra="ignore", strict=True)

    task: Annotated[str, must("the task of a dataset, as text")]
    dataset: Annotated[str | int | None, must("a dataset, or null for the one of the task")]
    input: Annotated[Name, must("a section of `features` in params.yaml, such as log_mel")]
    protocol: Annotated[Protocol, must("published or grouped")]
    seed: Annotated[Seed, must("a whole number, 0 or more")]
    fold: Annotated[int, Field(ge=0), must("a whole number, 0 or more")]
    trainer: _Trainer
    mlflow: _Mlflow


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


def check_run(cfg: DictConfig) -> None:
    """Check what a run has besides its model, the settings of its optimizer, and params.yaml.

    Raises
    ------
    EarshotError
        Naming the key, its value, and what is right; or the file of conf/ that is broken.
    """
    from omegaconf import OmegaConf

    content = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(content, dict)
    content["mlflow"] = content.get("mlflow", {}) | {"sweep": None}  # it may be taken from the environment
    known = {*_Run.model_fields, *Params.model_fields, *(path.name for path in _groups()), "hydra"}
    try:
        if unknown := [str(key) for key in content if key not in known]:
            raise EarshotError(f"{unknown[0]} is no setting; {did_you_mean(unknown[0], [*_Run.model_fields])}")
        validated(_Run, content, "")
        for key in ("model", "optimizer"):
            if not isinstance(content.get(key), dict) or "_target_" not in content[key]:
                raise EarshotError(f"{key}._target_ is missing: the files of conf/{key}/ name the class by it")
    except EarshotError as error:
        raise EarshotError(next(_broken_files(), f"{error}")) from None


def of_composition(error: Exception, overrides: Sequence[str]) -> str:
    """Say in a line why Hydra did not compose conf/ with overrides."""
    if broken := next(_broken_files(), None):
        return broken
    if fault := next(_unknown_choices(overrides), None):
        return fault
    said = " ".join(str(error).split())
    if absent := re.search(r"Could not find '([\w-]+)/([^']+)'", said):
        group, name = absent[1], absent[2]
        known = sorted(path.stem for path in (project.root() / "conf" / group).glob("*.yaml"))
        there = f"there is no conf/{group}/{name}.yaml; {did_you_mean(name, known)}"
        return f"a file of conf/ names {group}: {name}, and {there}"
    key = said.partition("Could not override '")[2].partition("'")[0]
    if key:
        return f"no setting is called {key}; `earshot train --help` lists all"
    unset = [override for override in overrides if not override.partition("=")[2] or override.startswith("=")]
    if type(error).__name__ == "OverrideParseException" or unset:
        wrong = str(getattr(error, "override", "") or (unset or overrides)[0])
        return f"{wrong}: it must be KEY=VALUE, and a value with other than letters and digits in quotes: KEY='VALUE'"
    return f"{' '.join(overrides)}: {said.partition(' See https:')[0]}"


def _groups() -> list[Path]:
    """Return the folders of conf/ of which Hydra takes a file each."""
    return sorted(path for path in (project.root() / "conf").iterdir() if path.is_dir() and path.name not in NO_GROUPS)


def _broken_files() -> Iterator[str]:
    conf = project.root() / "conf"
    for path in sorted([*conf.glob("*.yaml"), *(file for group in _groups() for file in group.glob("*.yaml"))]):
        try:
            content = read_yaml(path)
        except (ValueError, OSError) as error:
            yield f"{path}: {error}"
            continue
        if content is not None and not isinstance(content, dict):
            yield f"{path} holds {told_type(content)}, and must hold settings: lines such as `name: value`"


def _unknown_choices(overrides: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with overrides that choose a file, such as model=cnn,lstm."""
    groups = {path.name: path for path in _groups()}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        folder = groups.get(key.partition("@")[0])
        known = sorted(path.stem for path in folder.glob("*.yaml")) if folder else []
        for name in value.split(",") if folder else ():
            if name.strip("'\" ") not in [*known, "null", ""]:
                yield f"{key}={name}: there is no conf/{folder.name}/{name}.yaml; {did_you_mean(name, known)}"


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
