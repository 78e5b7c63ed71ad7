"""Runs of conf/: their config, as Hydra composes it, and which overrides of it make no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earshot import project
from earshot.errors import EarshotError
from earshot.settings.written import WIRINGS, read_params

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

# what params.yaml lists, and the setting that takes one of the list
LISTS = {"seeds": "seed", "protocols": "protocol", "wirings": "model.wiring", "datasets": "dataset"}


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

    from earshot.schema import conf  # pydantic takes half a second

    root = str(project.root()).replace("'", r"\'")
    params = f"hydra.searchpath=['file://{root}']"  # a stage's, whatever EARSHOT_ROOT says
    try:
        with hydra.initialize_config_dir(str(project.root() / "conf"), version_base="1.3"):
            cfg = hydra.compose("config", [params, *overrides])
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise EarshotError(conf.of_composition(error, overrides)) from None
    conf.check_run(cfg)
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
