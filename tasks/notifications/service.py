"""Deliver what the outbox holds: lanes take turns, and in a turn each round is claim -> send -> settle.

Nothing is sent inside a transaction. A notification arrives at least once, under one webhook-id; of one subject a
later version is not sent before an earlier one was delivered or given up.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from models.notifications.delivering import Notification, claim, settle
from models.notifications.lanes import (
    LaneNotes,
    close_lane,
    dispatch_lanes,
    note_lane,
    open_lane,
    sync_lanes,
)
from tasks.notifications.policy import Verdict, compose, judge, lane_after
from worker.database import Transaction
from worker.notifying import Answer, Endpoint, Letter, Sender

ROUND_MAX = 16
"""Sent at a time to one receiver; to one that fails, one."""
LANES_MAX = 8
"""Served at a time, by all workers: a third of the threads of one, so that slow receivers leave payouts room."""
TURN_SECONDS = 10.0
DISPATCH_SECONDS = 45
LEASE_SECONDS = 60
"""Longer than a round can take: 15 s for the exchange, and its two transactions."""

log = structlog.get_logger("ledgerbeat.notifications")


class Sending(Protocol):
    """What sends in a turn: `worker.notifying.Sender`."""

    def send(self, letters: Sequence[Letter]) -> list[Answer]: ...


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of a turn, by state; `more` when it ended before the work did."""

    outcomes: Mapping[str, int]
    more: bool = False


def dispatch(transaction: Transaction, endpoints: Mapping[str, Endpoint], *, now: datetime) -> list[str]:
    """Take the lanes that are to be served now, and say which. A lane whose message is lost is taken again later."""
    if not endpoints:
        return []
    until = now + timedelta(seconds=DISPATCH_SECONDS)
    with transaction() as session:
        sync_lanes(session, {tenant: one.fingerprint for tenant, one in endpoints.items()})
        return dispatch_lanes(session, list(endpoints), now=now, until=until, lanes_max=LANES_MAX)


def deliver(
    transaction: Transaction,
    tenant: str,
    endpoint: Endpoint,
    *,
    clock: Callable[[], datetime],
    sender: Callable[[Endpoint], AbstractContextManager[Sending]] = Sender,
    turn_seconds: float = TURN_SECONDS,
) -> Turn:
    """One turn of the tenant's lane: rounds until nothing is due, nothing gets through, or the turn is over."""
    turn_ends = time.monotonic() + turn_seconds
    outcomes: Counter[str] = Counter()
    lane = _Lane(transaction, tenant, endpoint, clock)
    try:
        with sender(endpoint) as sending:
            while time.monotonic() < turn_ends:
                verdicts = lane.round(sending)
                outcomes.update(verdict.settled.state for verdict in verdicts)
                if not any(verdict.settled.state == "delivered" for verdict in verdicts):
                    return Turn(outcomes)
            return Turn(outcomes, more=True)
    finally:
        lane.close(outcomes)


@dataclass(frozen=True, slots=True)
class _Lane:
    """One tenant's receiver, and what is needed to serve it."""

    transaction: Transaction
    tenant: str
    endpoint: Endpoint
    clock: Callable[[], datetime]

    def round(self, sending: Sending) -> list[Verdict]:
        """Claim, send, settle; empty when there is nothing to send or the receiver is to be left alone."""
        notes, claimed = self._claim()
        if notes is None or not claimed:
            return []
        now = self.clock()
        answers = sending.send([compose(one, now=now) for one in claimed])
        return self._settle(notes, claimed, answers)

    def close(self, outcomes: Mapping[str, int]) -> None:
        with self.transaction() as session:
            close_lane(session, self.tenant)
        if outcomes:
            log.info("notifications.served", tenant=self.tenant, **outcomes)

    def _claim(self) -> tuple[LaneNotes | None, list[Notification]]:
        now = self.clock()
        leased_until = now + timedelta(seconds=LEASE_SECONDS)
        with self.transaction() as session:
            notes = open_lane(session, self.tenant, now=now)
            if notes is None:
                return None, []
            limit = 1 if notes.failures_in_a_row else ROUND_MAX
            return notes, claim(session, self.tenant, now=now, leased_until=leased_until, limit=limit)

    def _settle(
        self, notes: LaneNotes, claimed: Sequence[Notification], answers: Sequence[Answer]
    ) -> list[Verdict]:
        now = self.clock()
        verdicts = [
            judge(one, answer, now=now, chance=random.random())  # noqa: S311 - spreads retries, guards nothing
            for one, answer in zip(claimed, answers, strict=True)
        ]
        after = lane_after(notes, verdicts, now=now)
        with self.transaction() as session:
            changed = settle(session, [verdict.settled for verdict in verdicts], now=now)
            note_lane(session, self.tenant, self.endpoint.fingerprint, after, now=now)
        for verdict in verdicts:
            if verdict.settled.notification.id in changed:
                _tell(verdict)
        return verdicts


def _tell(verdict: Verdict) -> None:
    settled, one = verdict.settled, verdict.settled.notification
    facts = {"notification_id": one.id, "tenant": one.tenant, "type": one.type, "subject": one.subject,
             "tries": one.tries}  # fmt: skip
    if verdict.gone:
        log.error("notification.receiver_gone", **facts)
    elif settled.state == "gave_up":
        log.error("notification.gave_up", **facts, cause=settled.error)
    elif settled.state == "pending":
        log.warning("notification.not_delivered", **facts, cause=settled.error)
