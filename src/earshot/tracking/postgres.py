"""Locks that machines share in a Postgres: each ends with the process that holds it, however that ends."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

LOCK_SECONDS = 300.0  # whoever waits longer for a lock, behind a process that was paused, goes on without the store


def is_one(address: str) -> bool:
    """Tell whether an address is one of Postgres, such as postgresql://anna@db.example.org/runs."""
    return address.partition("://")[0].partition("+")[0] in ("postgres", "postgresql")


@contextmanager
def held(address: str, name: str) -> Iterator[None]:
    """Wait until no other process holds the lock of a name in a database, and hold it for the time of the block.

    Raises
    ------
    SQLAlchemyError
        If the database doesn't answer, or another process holds the lock for `LOCK_SECONDS`.
    """
    with _connected(address) as ask:
        ask("pg_advisory_lock", name)
        yield


@contextmanager
def some_held(address: str, names: Iterable[str], most: int) -> Iterator[list[str]]:
    """Hold the locks of those of some names that no other process holds, at most so many; yield the names.

    Raises
    ------
    SQLAlchemyError
        If the database doesn't answer.
    """
    with _connected(address) as ask:
        yield list(islice((name for name in names if ask("pg_try_advisory_lock", name)), most))


@contextmanager
def _connected(address: str) -> Iterator[Callable[[str, str], bool]]:
    """Yield what calls a function of Postgres for advisory locks, which it keeps as long as the connection is open."""
    from sqlalchemy import NullPool, create_engine, text

    engine = create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_SECONDS * 1000:.0f}ms'"))

        def ask(function: str, name: str) -> bool:
            number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
            return connection.execute(text(f"SELECT {function}(:number)"), {"number": number}).scalar() is True

        yield ask
