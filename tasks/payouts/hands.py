"""What the services of payouts work with, handed in: transactions, the accounts of this process, locks and clocks."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from worker.database import Transaction
from worker.locks import PayoutLocks
from worker.providers.payouts.accounts import PayoutAccount


class Accounts(Protocol):
    """Finds the account to call; None when this process cannot call it."""

    def find(self, tenant: str, provider: str) -> PayoutAccount | None: ...


def utc_now() -> datetime:
    """Business time."""
    return datetime.now(UTC)


def ticks() -> float:
    """Seconds that also pass while this process, or the whole machine, is asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class Hands:
    """One per process. `publish` sends a task for a payout and may raise; `chance` draws from 0 to 1."""

    transaction: Transaction
    accounts: Accounts
    locks: PayoutLocks
    publish: Callable[[str, UUID], object]
    clock: Callable[[], datetime] = utc_now
    ticks: Callable[[], float] = ticks
    sleep: Callable[[float], object] = time.sleep
    chance: Callable[[], float] = random.random
