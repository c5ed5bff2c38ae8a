"""A shim of the test's own, and a client for it."""

from collections.abc import Iterator

import httpx
import pytest

from ops.embedded import ports
from tests.integration.http.serving import serving, settings


@pytest.fixture
def shim(database_url: str, redis_url: str) -> Iterator[str]:
    """The address of a running shim on the test's database."""
    with serving(settings(database_url, redis_url=redis_url)) as address:
        yield address


@pytest.fixture
def client(shim: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shim, timeout=20) as client:
        yield client


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on at this moment."""
    return ports.free_port()
