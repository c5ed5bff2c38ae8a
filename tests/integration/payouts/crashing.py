"""Where the sending of a payout may be cut off: every statement, commit, command to Redis and call of the provider.

The points are found by watching what is done. A process may be killed there, or something may break there.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

import redis
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from tasks.payouts.attempts import attempt
from tasks.payouts.dispatch import tick
from tasks.payouts.hands import Accounts, Hands
from tasks.payouts.resolving import resolve
from tests.integration.crashes import children
from tests.integration.crashes.children import Child
from tests.integration.crashes.points import Point, Reach, Trail, around, redis_commands, statements
from tests.integration.payouts.attempting import settings_of
from worker.database import make_engine, transactions
from worker.locks import PayoutLocks
from worker.providers.payouts.accounts import PayoutAccount, PayoutAccounts
from worker.providers.payouts.port import Answer, Instruction, Sighting

Act = Callable[[Hands, UUID], object]
ACTS: dict[str, Act] = {
    "attempt": attempt,
    "resolve": resolve,
    "tick": lambda hands, _payout_id: tick(hands),
}


@dataclass(frozen=True)
class Watched:
    """A provider with a point before and after each call."""

    inner: Any
    reach: Reach

    def send(self, instruction: Instruction) -> Answer:
        answer: Answer = around(self.inner.send, "the call", self.reach)(instruction)
        return answer

    def look_up(
        self, reference: str, *, since: datetime, destination: str, object_id: str | None = None
    ) -> Sighting:
        asking = around(self.inner.look_up, "the look-up", self.reach)
        sighting: Sighting = asking(reference, since=since, destination=destination, object_id=object_id)
        return sighting

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True)
class WatchedAccounts:
    inner: Accounts
    reach: Reach

    def find(self, tenant: str, provider: str) -> PayoutAccount | None:
        found = self.inner.find(tenant, provider)
        return found and replace(found, provider=Watched(found.provider, self.reach))


class Broken(Exception):
    """A bug, at this point."""


def broken(label: str) -> Exception:
    """What breaks at a point of this kind, and may pass: the connection to what is talked to there."""
    if "redis" in label:
        return redis.ConnectionError("the connection was lost")
    if "the call" in label or "the look-up" in label:
        return Broken(label)
    return OperationalError("", {}, ConnectionResetError("the connection was lost"))


@contextmanager
def watching(trail: Trail, hands: Hands, engine: Engine | type[Engine]) -> Iterator[Hands]:
    """Hands of which every move is a point."""
    with statements(engine, trail.reach), redis_commands(trail.reach):
        yield replace(hands, accounts=WatchedAccounts(hands.accounts, trail.reach))


@dataclass(frozen=True)
class Place:
    """Where a process of its own finds everything."""

    database_url: str
    redis_url: str
    sandbox_url: str


@dataclass(frozen=True)
class Life:
    """The points that a process reached, if it lived, and how it ended."""

    points: list[Point]
    exitcode: int | None


def begin(
    act: str, payout_id: UUID, now: datetime, place: Place, chosen: Point | None, number: signal.Signals
) -> Child:
    """Let a process of its own do it, which sends itself that signal at the chosen point."""
    return children.begin(_child, act, payout_id, now, place, chosen, number)


def ended(child: Child) -> Life:
    """Waits for its end."""
    said = [points for points in child.heard() if isinstance(points, list)]
    return Life(said[0] if said else [], child.exitcode())


def live(act: str, payout_id: UUID, now: datetime, place: Place, chosen: Point | None = None) -> Life:
    """Do it in a process of its own, which is killed at the chosen point."""
    return ended(begin(act, payout_id, now, place, chosen, signal.SIGKILL))


def _child(
    act: str,
    payout_id: UUID,
    now: datetime,
    place: Place,
    chosen: Point | None,
    number: signal.Signals,
    parent: Connection,
) -> None:
    trail = Trail(chosen, die=lambda: os.kill(os.getpid(), number))
    with watching(trail, child_hands(place, now), Engine) as hands:
        ACTS[act](hands, payout_id)
    parent.send(trail.points)
    parent.close()


def child_hands(place: Place, now: datetime) -> Hands:
    """Of a process of its own, whose clock stands still."""
    engine = make_engine(place.database_url, role="ledgerbeat_worker")
    return Hands(
        transactions(engine),
        PayoutAccounts(settings_of(place.sandbox_url)),
        PayoutLocks(place.redis_url),
        lambda _task, _payout_id: None,
        clock=lambda: now,
        sleep=lambda _seconds: None,
        chance=lambda: 0.0,
    )
