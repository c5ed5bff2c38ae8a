"""A worker tells its events in groups: the first at once, the others together, none of them later than it may."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from freezegun import freeze_time

from worker.consumer import EVENTS_SECONDS, Consumer


class Loop:
    """An event loop whose time is told to it."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Callable[[], Any]]] = []

    def call_later(self, seconds: float, work: Callable[[], Any]) -> None:
        self.later.append((seconds, work))


class Dispatcher:
    """Celery's, as far as the consumer knows it."""

    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


@pytest.fixture
def consumer() -> Any:
    """One without a worker or a broker."""
    consumer: Any = object.__new__(Consumer)
    consumer._events_sent_at, consumer._events_wait = -1.0, False
    consumer.hub, consumer.event_dispatcher = Loop(), Dispatcher()
    return consumer


def test_the_first_goes_at_once_and_the_others_together(consumer: Any) -> None:
    with freeze_time(datetime(2026, 3, 14, tzinfo=UTC)) as clock:
        for _ in range(20):
            consumer._flush_events()
        assert consumer.event_dispatcher.flushed == 1
        [(seconds, work)] = consumer.hub.later
        assert 0 < seconds <= EVENTS_SECONDS
        clock.tick(seconds)
        work()
        assert consumer.event_dispatcher.flushed == 2
        consumer._flush_events()
        assert len(consumer.hub.later) == 2, "and again, after what waited was sent"


def test_after_a_pause_they_go_at_once(consumer: Any) -> None:
    with freeze_time(datetime(2026, 3, 14, tzinfo=UTC)) as clock:
        consumer._flush_events()
        clock.tick(EVENTS_SECONDS)
        consumer._flush_events()
    assert (consumer.event_dispatcher.flushed, consumer.hub.later) == (2, [])
