"""Nudges: few, bounded in time, and never needed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ops.embedded import EmbeddedServices
from worker.locks import NUDGE_SECONDS, Nudger

BOUND_SECONDS = 2.0
PUBLISH = """
import time
from worker.resources import current
for _ in range(3):
    began = time.monotonic()
    sent = current().nudger.nudge(["acme", "globex"])
    print(sent, time.monotonic() - began)
"""


@pytest.fixture
def sent() -> list[str]:
    return []


@pytest.fixture
def nudger(redis_url: str, sent: list[str]) -> Iterator[Nudger]:
    nudger = Nudger(redis_url, sent.append)
    yield nudger
    nudger.close()


@pytest.fixture
def own_services() -> Iterator[EmbeddedServices]:
    with tempfile.TemporaryDirectory(prefix="ledgerbeat-own-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedServices(Path(folder) / "home", durable=False) as services:
            yield services


def test_a_burst_costs_one_message_per_lane(nudger: Nudger, sent: list[str]) -> None:
    for _ in range(1000):
        nudger.nudge(["globex", "acme"])
    assert sent == ["globex", "acme"]
    assert nudger.nudge([]) == []


def test_what_comes_after_a_drain_has_started_is_nudged_again(nudger: Nudger, sent: list[str]) -> None:
    assert nudger.nudge(["acme"]) == ["acme"]
    nudger.started("acme")
    assert nudger.nudge(["acme"]) == ["acme"]
    assert sent == ["acme", "acme"]


def test_a_nudge_that_is_lost_stands_for_seconds_only(nudger: Nudger, redis_url: str) -> None:
    nudger.nudge(["acme"])
    client = redis.Redis.from_url(redis_url)
    assert 0 < client.ttl("ledgerbeat:nudge:acme") <= NUDGE_SECONDS
    client.flushall()
    client.close()
    assert nudger.nudge(["acme"]) == ["acme"]


def test_a_broker_that_refuses_leaves_no_nudge_announced(redis_url: str) -> None:
    def refuse(_tenant: str) -> None:
        raise ConnectionRefusedError("no broker")

    refused = Nudger(redis_url, refuse)
    assert refused.nudge(["acme"]) == []
    refused.close()
    client = redis.Redis.from_url(redis_url)
    assert client.get("ledgerbeat:nudge:acme") is None
    client.close()


def seconds_of_a_nudge(redis_url: str) -> float:
    """The least of three: the machine may be busy elsewhere for seconds."""
    return min(timed_nudge(redis_url) for _ in range(3))


def timed_nudge(redis_url: str) -> float:
    nudger = Nudger(redis_url, pytest.fail)
    began = time.monotonic()
    assert nudger.nudge(["acme", "globex"]) == []
    nudger.started("acme")
    nudger.close()
    return time.monotonic() - began


def test_a_redis_that_is_away_or_frozen_costs_neither_an_error_nor_much_time(
    own_services: EmbeddedServices,
) -> None:
    url, pid = own_services.services.redis_url, own_services.services.redis_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert seconds_of_a_nudge(url) < BOUND_SECONDS
    finally:
        os.kill(pid, signal.SIGCONT)
    own_services.stop_redis()
    assert seconds_of_a_nudge(url) < BOUND_SECONDS


@pytest.mark.parametrize("fault", ["frozen", "away"])
def test_publishing_to_a_broker_that_is_away_or_frozen_is_bounded_too(
    own_services: EmbeddedServices, redis_url: str, fault: str
) -> None:
    services = own_services.services
    if fault == "frozen":
        os.kill(services.redis_pid, signal.SIGSTOP)
    else:
        own_services.stop_redis()
    environment = {"LEDGERBEAT_REDIS_URL": redis_url, "LEDGERBEAT_BROKER_URL": services.redis_url}
    try:
        answer = subprocess.run(
            [sys.executable, "-c", PUBLISH],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    finally:
        if fault == "frozen":
            os.kill(services.redis_pid, signal.SIGCONT)
    told = [line.rsplit(" ", 1) for line in answer.stdout.splitlines() if line.startswith("[")]
    assert [published for published, _ in told] == ["[]"] * 3
    assert min(float(seconds) for _, seconds in told) < BOUND_SECONDS, told
