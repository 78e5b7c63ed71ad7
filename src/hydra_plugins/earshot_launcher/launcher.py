"""The runs of `earshot train -m`: side by side by joblib, or on a cluster where EARSHOT_CLUSTER names one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, setup_globals
from hydra_plugins.hydra_joblib_launcher.config import JobLibLauncherConf
from hydra_plugins.hydra_joblib_launcher.joblib_launcher import JoblibLauncher


class EarshotLauncher(JoblibLauncher):
    """Joblib's launcher, with its options for processes of this machine, and the cluster's workers."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs; return what came of them, in their order."""
        from earshot.cluster import pools

        if not pools.scheduler():
            return super().launch(job_overrides, initial_job_idx)
        from hydra_plugins.hydra_joblib_launcher import _core

        from earshot.cluster.each import each

        setup_globals()
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        shared = (self.hydra_context, self.config, self.task_function, Singleton.get_state())
        todo = [(initial_job_idx + number, overrides, *shared) for number, overrides in enumerate(job_overrides)]
        with pools.for_runs(0, "earshot.training.runs") as pool:
            return list(each(pool, _core.execute_job, todo, "sweep", "run", [" ".join(one) for one in job_overrides]))


# as a dictionary: Hydra loads plugins in a way of its own, and their classes are others in other processes
OPTIONS = asdict(JobLibLauncherConf()) | {"_target_": "hydra_plugins.earshot_launcher.launcher.EarshotLauncher"}
ConfigStore.instance().store(group="hydra/launcher", name="earshot", node=OPTIONS, provider="earshot_launcher")
