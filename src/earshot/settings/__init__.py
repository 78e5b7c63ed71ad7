"""The settings: params.yaml, which decides what is made before training, and conf/, as Hydra composes both.

Hydra is imported where it is needed, since most stages read params.yaml alone.
"""

from earshot.settings.experiment import Experiment, experiments_of, override
from earshot.settings.run import check_overrides, check_protocol, compose, run_name
from earshot.settings.targets import CUSTOM, class_named
from earshot.settings.written import FORMER_WIRINGS, PADS, WIRINGS, compared, for_task, pad_of, read_params, window_of

__all__ = [
    "CUSTOM",
    "FORMER_WIRINGS",
    "PADS",
    "WIRINGS",
    "Experiment",
    "check_overrides",
    "check_protocol",
    "class_named",
    "compared",
    "compose",
    "experiments_of",
    "for_task",
    "override",
    "pad_of",
    "read_params",
    "run_name",
    "window_of",
]
