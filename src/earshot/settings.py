"""The settings: params.yaml, which decides what is made before training, and conf/, as Hydra composes both.

Hydra is imported where it is needed, since most stages read params.yaml alone.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from earshot import project
from earshot.errors import EarshotError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

# a model as the tutorial's code connects its layers, and as the tutorial's text describes it
WIRINGS = ("as_coded", "as_described")
FORMER_WIRINGS = {"published": "as_coded", "stacked": "as_described"}  # their names until version 0.2
PADS = ("none", "zero", "repeat", "center")  # of windows.TASK.pad; center: as many zeros before as after
CUSTOM = "custom"  # the package of the user's own inputs and models, in the project's folder
COMPARED = ["datasets", "experiments", "protocols", "wirings", "seeds"]
# what params.yaml lists, and the setting that takes one of the list
LISTS = {"seeds": "seed", "protocols": "protocol", "wirings": "model.wiring", "datasets": "dataset"}


@dataclass(frozen=True)
class Experiment:
    """An input and a model that is trained on it, by their names in conf/; together they are called INPUT-MODEL."""

    input: str
    model: str

    @property
    def name(self) -> str:
        """INPUT-MODEL, which folders and files of data/ are called by."""
        return f"{self.input}-{self.model}"

    @property
    def overrides(self) -> list[str]:
        """The arguments of `compose` that select it."""
        return [override("input", self.input), f"model={self.model}"]

    @classmethod
    def parse(cls, name: str) -> Experiment:
        """Return the experiment called `name`, INPUT-MODEL."""
        input_name, _, model = name.partition("-")
        return cls(input_name, model)

    @classmethod
    def of(cls, cfg: DictConfig) -> Experiment:
        """Return the experiment of a run's config."""
        return cls(cfg.input, cfg.model.name)


def read_params() -> dict[str, Any]:
    """Read and check params.yaml.

    Raises
    ------
    EarshotError
        If there is no readable params.yaml in the project's folder, or a key in it is missing, unknown or wrong.
    """
    from earshot.params import check, read_yaml  # pydantic takes half a second

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
            f"contrasts in params.yaml: {wrong[0]} does not set two inputs or two models against each other. Write a "
            "list of items such as {model: [cnn, lstm]} or {input: [waveform, log_mel]}"
        )
    return contrasts


def _is_contrast(contrast: Any) -> bool:
    if not isinstance(contrast, dict) or len(contrast) != 1:
        return False
    ((part, names),) = contrast.items()
    two = isinstance(names, list) and len(names) == 2 and all(isinstance(name, str) for name in names)
    return part in ("input", "model") and two and names[0] != names[1]


def experiments_of(params: Mapping[str, Any]) -> list[Experiment]:
    """Return the experiments that params.yaml compares, in its order."""
    return [
        Experiment(input_name, model)
        for crossed in params["experiments"].values()
        for input_name in crossed["inputs"]
        for model in crossed["models"]
    ]


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


def class_named(target: object, room: str, where: str) -> type:
    """Return the class that a `_target_` names.

    A model's folder may come from anywhere, so that what it names is code of this project or of its user, and no other.

    Parameters
    ----------
    target : such as "earshot.models.cnn.CNN"
    room : the package that has the project's own such classes; the user's have `custom`
    where : the file and key that name it, for errors

    Raises
    ------
    EarshotError
        If it is missing, names something else than a class of these packages, or can't be imported.
    """
    module, _, name = str(target).rpartition(".")
    if not all(part.isidentifier() for part in f"{module}.{name}".split(".")) or not _is_below(module, room, CUSTOM):
        raise EarshotError(f"{where}: _target_ is {target}, and must name a class below {room} or {CUSTOM}")
    if _is_below(module, CUSTOM) and str(project.root()) not in sys.path:
        sys.path.insert(0, str(project.root()))
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (ImportError, SyntaxError) as error:
        raise EarshotError(f"{where}: _target_ {target} can't be imported: {error}") from None
    if not isinstance(found, type) or not _is_below(found.__module__, room, CUSTOM):
        raise EarshotError(f"{where}: _target_ is {target}, and {module} has no class of its own with that name")
    return found


def _is_below(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def override(key: str, value: str) -> str:
    """Return an argument of `compose` that sets a text, whatever it looks like: 2024 is no number, null no nothing."""
    return f"{key}='{value}'"


def run_name(cfg: DictConfig) -> str:
    """Return a short name that tells one run of an experiment from the others."""
    wiring = cfg.model.get("wiring", WIRINGS[0])
    return f"{cfg.protocol}-{wiring}-seed{cfg.seed}-fold{cfg.fold}"


def compose(overrides: list[str]) -> DictConfig:
    """Return the Hydra config with overrides, as `earshot train OVERRIDES` sees it.

    Raises
    ------
    EarshotError
        If a file of conf/ is broken, an override names no setting, or a setting of the run is wrong.
    """
    import hydra
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from earshot import params as written  # pydantic takes half a second

    root = str(project.root()).replace("'", r"\'")
    params = f"hydra.searchpath=['file://{root}']"  # a stage's, whatever EARSHOT_ROOT says
    try:
        with hydra.initialize_config_dir(str(project.root() / "conf"), version_base="1.3"):
            cfg = hydra.compose("config", [params, *overrides])
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise EarshotError(written.of_composition(error, overrides)) from None
    written.check_run(cfg)
    return cfg


def check_overrides(overrides: list[str]) -> None:
    """Refuse overrides of params.yaml: training would ignore them, or miss its features.

    Raises
    ------
    EarshotError
        If an override is of a key in params.yaml; says what to type instead.
    """
    params = read_params()
    for override in _parsed(overrides):
        key = override.key_or_group.split(".")[0]
        if key in params:
            raise EarshotError(_instead(override, key))


def _instead(override: Override, key: str) -> str:
    value = override.input_line.split("=", 1)[-1]
    if key in LISTS:
        line = f"{LISTS[key]}={value.strip('[]').replace(' ', '')}"
        return f"'{key}' is what the pipeline goes through, training takes one at a time: use {line} (several: with -m)"
    if key == "experiments":
        return "'experiments' is what the pipeline goes through: use experiment=NAME, one of conf/experiment/"
    queue = "--queue " if override.is_sweep_override() else ""
    then = ", then `dvc queue start`" if queue else ""
    return (
        f"'{override.key_or_group}' decides what is made before training, so here it would change nothing: use "
        f"`dvc exp run {queue}-S '{override.input_line}'`{then}"
    )


def check_protocol(overrides: list[str], default: str) -> None:
    """Refuse to choose settings where the validation windows are those of the test.

    Raises
    ------
    EarshotError
        If the published protocol is asked for.
    """
    asked = [override for override in _parsed(overrides) if override.key_or_group == "protocol"]
    values = [str(value) for o in asked for value in (o.sweep_iterator() if o.is_sweep_override() else [o.value()])]
    if "published" in (values or [default]):
        raise EarshotError(
            "protocol=published validates on the test windows, as the tutorials do: a sweep would choose by the test. "
            "Use protocol=grouped"
        )


def _parsed(overrides: list[str]) -> list[Override]:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_overrides(overrides)
