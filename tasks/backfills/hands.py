"""What backfills work with, handed in: transactions, the tenants of the settings, locks, messages, pace and clocks."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from tasks.backfills.ahead import ReadAhead
from tasks.backfills.port import Pacing, Waiters, full_speed, nobody
from worker.database import Transaction
from worker.settings import TenantSettings

Publish = Callable[[UUID, int, str], object]
"""Sends the message of one batch: the run, its turn (whose message may claim it), and its progress for people. May
raise."""


class Locks(Protocol):
    """Somebody's while it is held, None when it is somebody else's already. Never raises."""

    def held(self, name: UUID | str, seconds: float) -> AbstractContextManager[object | None]: ...


def utc_now() -> datetime:
    """Business time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Hands:
    """One per process. `ticks` are seconds from anywhere, for measuring."""

    transaction: Transaction
    tenants: Mapping[str, TenantSettings]
    locks: Locks
    publish: Publish
    pace: Pacing = full_speed
    waiters: Waiters = nobody
    ahead: ReadAhead = field(default_factory=ReadAhead)
    clock: Callable[[], datetime] = utc_now
    ticks: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
