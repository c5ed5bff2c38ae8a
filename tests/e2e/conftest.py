"""The running stacks of the end-to-end tests, each shared by all files of this folder that a test process runs.

A test takes a tenant of its own. The everyday stack runs on the servers that the settings name, in a database of its
own, or on embedded ones; the one whose servers and processes are killed always has embedded ones.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import REDIS_DATABASES, _new_database, _redis_database
from tests.e2e.app import App
from tests.e2e.running import Running, running
from worker.settings import load_settings


@pytest.fixture(scope="package")
def everyday(worker_number: int) -> Iterator[Running]:
    """Everything once: sandbox, worker, Beat, shim, Flower. Stop nothing of it."""
    settings = load_settings()
    with ExitStack() as held:
        servers = {}
        if settings.database_url and settings.redis_url:
            made = held.enter_context(_new_database(settings.database_url, "template0"))
            # Not the other tests' database: this stack's workers would take their messages.
            given = _redis_database(settings.redis_url, worker_number + REDIS_DATABASES // 2)
            servers = {"LEDGERBEAT_DATABASE_URL": made, "LEDGERBEAT_REDIS_URL": given}
        yield held.enter_context(running(servers, durable=False))


@pytest.fixture(scope="package")
def battered() -> Iterator[Running]:
    """Two workers, two Beats, a shim and the sandbox, to be killed, on servers of their own, to be stopped."""
    with running({}, names=("sandbox", "worker", "beat", "shim"), workers=2, beats=2) as started:
        yield started


@pytest.fixture
def app(everyday: Running) -> App:
    """A tenant of the everyday stack that no other test uses."""
    return everyday.app()


@pytest.fixture
def battered_app(battered: Running) -> App:
    """A tenant of the battered stack that no other test uses."""
    return battered.app()
