"""The address of the MLflow store, and what may be shown of it."""

from __future__ import annotations

import logging
import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from earshot import project

SECRETS = (  # variables of the environment
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)
ARTIFACTS = "MLFLOW_DEFAULT_ARTIFACT_ROOT"  # MLflow's own, which its server reads
TRIALS = "OPTUNA_STORAGE"  # Optuna's own, which its commands read
EXTRAS = {"psycopg": "postgres", "psycopg2": "postgres", "boto3": "s3", "botocore": "s3"}  # by the module they bring
LEAST_SECRET = 3  # characters; a shorter one is only hidden where it stands in an address
HIDDEN = "***"
BESIDE = "(raised as a result of"  # how SQLAlchemy begins a line about itself, before that with the cause
NOISY = ("mlflow", "alembic", "sqlalchemy", "urllib3")  # loggers that may write an address


def local_uri() -> str:
    """Return the address of the project's own store, data/mlflow/mlflow.db."""
    path = str(project.mlflow("mlflow.db"))
    if "?" not in path and "%" not in path:
        return f"sqlite:///{path}"
    # SQLAlchemy decodes the path. With the driver in its name MLflow makes no folder that is called as it is encoded
    return f"sqlite+pysqlite:///{path.replace('%', '%25').replace('?', '%3F')}"


def uri() -> str:
    """Return the address of the store: `MLFLOW_TRACKING_URI` where set, else the project's own."""
    return local_uri() if is_local() else os.environ["MLFLOW_TRACKING_URI"]


def is_local() -> bool:
    """Tell whether the store is the project's own."""
    return not os.environ.get("MLFLOW_TRACKING_URI")


def shown() -> str:
    """Return the address of the store without user and password."""
    return without_passwords(uri())


def without_passwords(text: str) -> str:
    """Return a text, such as MLflow's about an error, with all that the address keeps secret hidden."""
    for secret in _secrets():
        text = text.replace(secret, HIDDEN)
    return re.sub(r"://[^\s/@]*@", f"://{HIDDEN}@", text)


def _secrets() -> list[str]:
    """Return the passwords of the stores, as they are written and as they are meant, the longest first."""
    found = [os.environ.get(name, "") for name in SECRETS]
    for address in (uri(), os.environ.get(TRIALS, "")):
        if address.startswith("sqlite"):
            continue
        user = address.partition("://")[2].rpartition("@")[0]  # a password may hold an @ or a /
        query = urlsplit(address).query if "@" not in urlsplit(address).query else ""
        found += [user.partition(":")[2], user if address.startswith("http") else ""]  # it may be a token
        found += [value for name, value in parse_qsl(query) if re.search("pass|pwd|token|secret|key", name.lower())]
    found += [unquote(secret) for secret in found]
    return sorted({secret for secret in found if len(secret) >= LEAST_SECRET}, key=len, reverse=True)


def told(error: BaseException) -> str:
    """Return what an error says in a line, without passwords."""
    lines = [line for line in str(error).splitlines() if not line.startswith(BESIDE)]
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        lines = [f"{error}: pip install 'earshot[{EXTRAS[error.name]}]'"]
    return without_passwords(lines[0][:200] if lines else repr(error))


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if (hidden := without_passwords(message)) != message:
            record.msg, record.args = hidden, None
        return True


def keep_out_of_logs() -> None:
    """Have the loggers of MLflow and of what it uses write no password."""
    handlers = [logging.lastResort, *logging.getLogger().handlers]
    for name in NOISY:
        handlers += logging.getLogger(name).handlers
    for handler in filter(None, handlers):
        if not any(isinstance(present, _Filter) for present in handler.filters):
            handler.addFilter(_Filter())
