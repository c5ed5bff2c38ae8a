"""A shim of the test's own, and a client for it."""

from collections.abc import Iterator

import httpx
import pytest

from ops.embedded import ports
from tests.integration.http.serving import serving, settings
from tests.waiting import PATIENCE_SECONDS
from worker.http import app, gauges, readiness


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim of this process waits for the answers of its servers however busy the machine is elsewhere."""
    monkeypatch.setattr(app, "PROBE_SECONDS", 60)
    monkeypatch.setattr(gauges, "WAIT_SECONDS_MAX", PATIENCE_SECONDS)
    monkeypatch.setattr(readiness, "WAIT_SECONDS_MAX", PATIENCE_SECONDS)
    monkeypatch.setattr(readiness, "BROKER_SECONDS_MAX", PATIENCE_SECONDS)


@pytest.fixture
def shim(database_url: str, redis_url: str, patient: None) -> Iterator[str]:
    """The address of a running shim on the test's database."""
    with serving(settings(database_url, redis_url=redis_url)) as address:
        yield address


@pytest.fixture
def client(shim: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shim, timeout=PATIENCE_SECONDS) as client:
        yield client


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on at this moment."""
    return ports.free_port()
