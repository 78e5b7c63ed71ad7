"""MLflow and its database's library, imported: once, for all workers of a pool that is forked from a process with it.

MLflow reads its settings as it is imported, so they come first.
"""

from __future__ import annotations

from earshot.tracking import store

store.set_defaults()

import mlflow.store.tracking.sqlalchemy_store  # noqa: E402, F401
