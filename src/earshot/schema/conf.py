"""What Hydra composes of conf/ and a command line: the schema of a run, and why a composition failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from earshot import project
from earshot.errors import EarshotError
from earshot.schema.params import Params, Protocol
from earshot.schema.sections import Name, Seed, must, validated
from earshot.schema.yaml_text import did_you_mean, read_yaml, told_type

if TYPE_CHECKING:
    from omegaconf import DictConfig

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
    strategy: Annotated[Literal["auto", "ddp"], must("auto or ddp")] = "auto"


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
