"""Stores that machines share, as fixtures: databases of a real Postgres, and a bucket on a real server of S3."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import fsspec
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import NullPool, create_engine, text

import postgres
from conftest import PROJECT
from earshot.tracking import address


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    """Start Postgres; yield where it listens."""
    if why := postgres.why_not():
        pytest.skip(why)
    with postgres.running() as at:
        yield at


@pytest.fixture
def database(postgres_server, monkeypatch) -> str:
    """Return the address of an empty database, whose password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    server, name = f"postgresql://{postgres.USER}@{postgres_server}", f"test_{uuid.uuid4().hex}"
    engine = create_engine(f"{server}/postgres", poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return f"{server}/{name}"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Start a server of S3; yield its address."""
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket_in_s3(s3_server, monkeypatch) -> Iterator[fsspec.AbstractFileSystem]:
    """Yield a file system with an empty s3://bucket, whose keys are in the environment."""
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "s3-secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.clear_instance_cache()  # of another test's server
    system.mkdir("bucket")
    yield system
    system.rm("bucket", recursive=True)


@pytest.fixture
def runs_elsewhere(database, bucket_in_s3, s3_server, monkeypatch) -> None:
    """Have runs logged to the database, and their artifacts to the bucket, by the lines of docs/storage.md."""
    given = dict(re.findall(r"^export (\w+)=(\S+)", (PROJECT / "docs" / "storage.md").read_text(), re.MULTILINE))
    here = {"postgresql://anna@db.example.org/earshot": database, "https://minio.example.org": s3_server}
    for name in ("MLFLOW_TRACKING_URI", address.ARTIFACTS, "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, here.get(given[name], given[name].replace("my-bucket", "bucket")))
