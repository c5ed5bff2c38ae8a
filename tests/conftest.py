"""Real servers for every test: one PostgreSQL and one Redis per test process, one database per test.

With both LEDGERBEAT_DATABASE_URL and LEDGERBEAT_REDIS_URL set those servers are used, else embedded ones. The
database that the URL names is only connected to: tests make their own, cloned from a migrated template, and drop them.
"""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import redis
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck
from hypothesis import settings as generated
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from models.tenants import sync_tenants
from ops.embedded import EmbeddedServices, ports
from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport
from tests.waiting import PATIENCE_SECONDS
from worker import locks
from worker.database import Transaction, make_engine, transactions
from worker.settings import load_settings

__all__ = ["pytest_make_collect_report", "pytest_runtest_makereport"]
"""Hooks: with CI=true a skipped test fails."""

ROOT = Path(__file__).resolve().parent.parent
REDIS_DATABASES = 16
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
MEMORY_BYTES = 1 << 29
"""Twice and a half what the files of one test process's servers take."""
SMALL_WAL = {"max_wal_size": "128MB", "min_wal_size": "32MB"}

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell that runs us in the background has it ignored, and so would every process that a test starts."""

generated.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
generated.load_profile("unhurried")


@dataclass(frozen=True, slots=True)
class Server:
    """Addresses of the servers that all tests of this process share; never stop these."""

    database_url: str
    redis_url: str


@pytest.fixture(scope="session")
def services(worker_number: int) -> Iterator[Server]:
    """The shared servers. A test that stops or freezes one starts its own with `EmbeddedServices`."""
    settings = load_settings()
    if settings.database_url and settings.redis_url:
        yield Server(settings.database_url, _redis_database(settings.redis_url, worker_number))
        return
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-tests-", dir=memory_with_room()))
    home.chmod(0o711)
    try:
        with EmbeddedServices(home, durable=False, postgres_settings=SMALL_WAL) as embedded:
            yield Server(embedded.services.database_url, embedded.services.redis_url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def memory_with_room() -> Path | None:
    """Where files are no disk's, when there is room for every test process; else None, the usual place.

    Each test's database is some 300 files, of which a disk makes the longest part of a short test.
    """
    needed = MEMORY_BYTES * int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    try:
        return MEMORY if shutil.disk_usage(MEMORY).free >= needed and os.access(MEMORY, os.W_OK) else None
    except OSError:
        return None


@pytest.fixture(scope="session")
def worker_number() -> int:
    """0, 1, 2, ... for the processes of pytest-xdist; 0 without it."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@pytest.fixture(scope="session")
def template_database(services: Server) -> Iterator[str]:
    """The name of a database migrated to head, which nobody may stay connected to."""
    with _new_database(services.database_url, "template0") as url:
        migrate(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session", autouse=True)
def _ports_apart(worker_number: int) -> Iterator[None]:
    """What one test process has chosen, and will listen on in a moment, no other one may choose meanwhile."""
    workers, every = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")), ports.candidates()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ports, "candidates", lambda: every[worker_number::workers])
        yield


@pytest.fixture
def database_url(services: Server, template_database: str) -> Iterator[str]:
    """A migrated, empty database of the test's own. The URL's user owns it."""
    with _new_database(services.database_url, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(services: Server) -> Iterator[str]:
    """A database without any table: for tests of the migrations."""
    with _new_database(services.database_url, "template0") as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine that acts as `ledgerbeat_worker`, as the real processes do, so that grants are tested too."""
    engine = make_engine(database_url, role="ledgerbeat_worker", pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def transaction(engine: Engine) -> Transaction:
    """`with transaction() as session:` is one transaction, as `ledgerbeat_worker`."""
    return transactions(engine)


@pytest.fixture
def owner_transaction(database_url: str) -> Iterator[Transaction]:
    """The same as the database's owner: for arranging what a worker may not do."""
    engine = make_engine(database_url)
    yield transactions(engine)
    engine.dispose()


@pytest.fixture
def redis_url(services: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty Redis database of this test process's own, which nobody in it gives up for being slow to answer."""
    monkeypatch.setattr(locks, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    client = redis.Redis.from_url(services.redis_url)
    client.flushdb()
    yield services.redis_url
    client.flushdb()
    client.close()


@pytest.fixture
def tenant(transaction: Transaction) -> str:
    """The tenant "acme" (Europe/Istanbul); "globex" (UTC) exists beside it."""
    with transaction() as session:
        sync_tenants(session, {"acme": "Europe/Istanbul", "globex": "UTC"})
    return "acme"


@pytest.fixture
def now() -> datetime:
    """The test's business time: a quiet Saturday noon, in UTC."""
    return datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def migrate(url: str, revision: str = "head") -> None:
    """Alembic to `revision`, upwards."""
    command.upgrade(alembic(url), revision)


def alembic(url: str) -> Config:
    """Its settings, for this database."""
    config = Config(ROOT / "alembic.ini")
    config.attributes["database_url"] = url
    return config


@contextmanager
def _new_database(server_url: str, template: str) -> Iterator[str]:
    """A database cloned from `template`; dropped at the end, whoever is still connected."""
    name = f"ledgerbeat_test_{uuid4().hex[:12]}"
    _run(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _run(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _run(server_url: str, statement: str) -> None:
    url = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def _redis_database(url: str, number: int) -> str:
    """The URL with the database number that belongs to this test process."""
    path = make_url(url).database or "0"
    chosen = str((int(path) + number) % REDIS_DATABASES)
    return make_url(url).set(database=chosen).render_as_string(hide_password=False)
