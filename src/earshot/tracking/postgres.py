"""Locks that machines share in a Postgres: each ends with the process that holds it, however that ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager


def is_one(address: str) -> bool:
    """Tell whether an address is one of Postgres, such as postgresql://anna@db.example.org/runs."""
    return address.partition("://")[0].partition("+")[0] in ("postgres", "postgresql")


@contextmanager
def held(address: str, name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the advisory lock of a name in a database; yield whether it is held.

    Postgres keeps it as long as the connection is open, so that no lock outlives a killed process.

    Parameters
    ----------
    wait : until another process has left it, rather than not to hold it then

    Raises
    ------
    SQLAlchemyError
        If the database doesn't answer.
    """
    from sqlalchemy import NullPool, create_engine, text

    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
    call = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection.execute(text(f"SELECT {call}(:number)"), {"number": number}).scalar() is not False
