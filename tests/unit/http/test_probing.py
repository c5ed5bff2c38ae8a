"""One question at a time, and nobody waits past the timeout."""

import asyncio
import threading
import time
from itertools import count

import pytest

from worker.http.probing import Probe


def test_an_answer_is_kept_while_it_is_fresh() -> None:
    probe = Probe(count(1).__next__, fresh_seconds=60)
    assert [probe.get(60), probe.get(60)] == [1, 1]


def test_a_stale_answer_is_asked_for_again() -> None:
    probe = Probe(count(1).__next__, fresh_seconds=0)
    first = probe.get(60)
    time.sleep(0.01)
    assert [first, probe.get(60)] == [1, 2]


def test_what_hangs_is_asked_once_however_many_wait() -> None:
    gate, asked = threading.Event(), list[int]()

    def ask() -> int:
        asked.append(1)
        gate.wait(60)
        return 7

    async def many(probe: Probe[int]) -> None:
        waits = (probe.aget(0.1) for _ in range(50))
        assert all(isinstance(e, TimeoutError) for e in await asyncio.gather(*waits, return_exceptions=True))

    probe = Probe(ask, fresh_seconds=0)
    with pytest.raises(TimeoutError):
        probe.get(0.05)
    asyncio.run(many(probe))
    assert len(asked) == 1
    gate.set()
    assert probe.get(60) == 7


def test_an_error_reaches_whoever_asks() -> None:
    def ask() -> int:
        raise ConnectionError

    probe = Probe(ask, fresh_seconds=60)
    with pytest.raises(ConnectionError):
        probe.get(60)
    with pytest.raises(ConnectionError):
        asyncio.run(probe.aget(60))
