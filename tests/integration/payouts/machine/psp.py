"""A provider at the port, in this process: keys expire, requests arrive late, look-ups lag; and it knows the truth.

It keeps what `Rules` promises and no more: a key is good for `key_valid_seconds` after it was first processed, and
whatever was sent has arrived and can be seen `settle_seconds` later, not a second sooner if the plan says so.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

from worker.providers.payouts.port import (
    Answer,
    Declined,
    Found,
    InDoubt,
    Instruction,
    NotFound,
    NotSent,
    ObjectStatus,
    Rules,
    Sighting,
    Stopped,
    Submitted,
    Unsure,
)
from worker.providers.port import PayoutMove, ProviderEvent

RULES = Rules(key_valid_seconds=24 * 3600, settle_seconds=60)
VISIBLE_SECONDS = 20
LATE_SECONDS = RULES.settle_seconds - VISIBLE_SECONDS
RETRY_AFTER_SECONDS = 900.0

Behaviour = Literal[
    "paid_at_once", "failed_at_once", "decline_retryable", "decline_wait", "decline_final", "throttled",
    "throttled_long", "down", "stopped", "key_busy", "lost_before", "lost_after", "lost_decline", "late", "latest",
    "unsure",
]  # fmt: skip
BEHAVIOURS: tuple[Behaviour, ...] = get_args(Behaviour)
"""What the next calls meet, one each; after that, what is asked is taken. `unsure` is for look-ups."""

VERDICTS: dict[str, Answer] = {
    "decline_retryable": Declined("bank_unavailable", retryable=True),
    "decline_wait": Declined("bank_unavailable", retryable=True, retry_after_seconds=RETRY_AFTER_SECONDS),
    "decline_final": Declined("account_closed", retryable=False),
    "lost_decline": Declined("bank_unavailable", retryable=True),
}
"""Processed, and kept under the key."""
UNPROCESSED: dict[str, Answer] = {
    "throttled": NotSent("throttled"),
    "throttled_long": NotSent("throttled", RETRY_AFTER_SECONDS),
    "down": NotSent("no_connection", down=True),
    "stopped": Stopped("unauthorized"),
    "key_busy": InDoubt("key_busy"),
    "lost_before": InDoubt("timeout"),
}
LATE = {"late": 5, "latest": LATE_SECONDS}
"""The caller has given up; the request arrives so many seconds later."""


@dataclass(slots=True)
class Thing:
    """A payout at the provider. Its money left when it was taken, and came back when it `failed` or `returned`."""

    object_id: str
    reference: str
    amount_minor: int
    currency: str
    seen_at: datetime
    status: ObjectStatus = "submitted"
    sequence: int = 0

    @property
    def payout(self) -> UUID:
        return UUID(self.reference.rsplit("-", 1)[0])

    @property
    def is_back(self) -> bool:
        return self.status in ("failed", "returned")


@dataclass(slots=True)
class Kept:
    """What the provider said to a key, and when."""

    answer: Answer
    at: datetime


@dataclass
class Psp:
    """Safe for threads. `keys` are those it was ever asked with: payout -> key -> when it was first used."""

    now: datetime
    things: dict[str, Thing] = field(default_factory=dict)
    told: list[ProviderEvent] = field(default_factory=list)
    keys: dict[UUID, dict[str, datetime]] = field(default_factory=dict)
    calls: int = 0
    _plan: deque[str] = field(default_factory=deque)
    _kept: dict[str, Kept] = field(default_factory=dict)
    _late: list[tuple[datetime, Instruction]] = field(default_factory=list)
    _busy: threading.RLock = field(default_factory=threading.RLock)

    def plan(self, behaviours: Sequence[str]) -> None:
        self._plan = deque(behaviours)

    def advance(self, seconds: float) -> None:
        """Time passes, and what is late arrives."""
        until = self.now + timedelta(seconds=seconds)
        for at, instruction in sorted(self._late, key=lambda one: one[0]):
            if at <= until:
                self.now = max(self.now, at)
                self._late.remove((at, instruction))
                self._process(instruction, Submitted(""))
        self.now = until

    def send(self, instruction: Instruction) -> Answer:
        """See PayoutProvider."""
        with self._busy:
            self.calls += 1
            payout = UUID(instruction.reference.rsplit("-", 1)[0])
            self.keys.setdefault(payout, {}).setdefault(instruction.key, self.now)
            return self._meet(instruction, self._next())

    def look_up(
        self,
        reference: str,
        *,
        since: datetime,  # noqa: ARG002 - it keeps everything
        destination: str,  # noqa: ARG002 - in one place
        object_id: str | None = None,  # noqa: ARG002 - and finds by reference
    ) -> Sighting:
        """See PayoutProvider."""
        with self._busy:
            if self._next(lookup=True):
                return Unsure("timeout")
            seen = [t for t in self.things.values() if t.reference == reference and t.seen_at <= self.now]
            if not seen:
                return NotFound()
            [thing] = seen
            return Found(thing.object_id, thing.status, thing.amount_minor, thing.currency)

    def close(self) -> None:
        """See PayoutProvider."""

    def settle(self, object_id: str, status: ObjectStatus) -> None:
        thing = self.things[object_id]
        thing.status = status
        self._tell(thing)

    def events(self) -> list[ProviderEvent]:
        """All that it has ever had to tell, in order."""
        return self.told

    def objects(self) -> list[Thing]:
        return list(self.things.values())

    def may_still_arrive(self, payout_id: UUID) -> bool:
        return any(one.reference.startswith(payout_id.hex) for _, one in self._late)

    def _next(self, *, lookup: bool = False) -> str:
        """The next of the plan, if it is for a call of this kind."""
        if self._plan and (self._plan[0] == "unsure") == lookup:
            return self._plan.popleft()
        return ""

    def _meet(self, instruction: Instruction, behaviour: str) -> Answer:
        if behaviour in UNPROCESSED:
            return UNPROCESSED[behaviour]
        if behaviour in LATE:
            arrives_at = self.now + timedelta(seconds=LATE[behaviour])
            self._late.append((arrives_at, instruction))
            return InDoubt("timeout")
        status: ObjectStatus = "submitted"
        if behaviour.endswith("_at_once"):
            status = "paid" if behaviour.startswith("paid") else "failed"
        answer = self._process(instruction, VERDICTS.get(behaviour) or Submitted("", status))
        return InDoubt("timeout") if behaviour.startswith("lost") else answer

    def _process(self, instruction: Instruction, verdict: Answer) -> Answer:
        """The verdict, or what was said to this key before."""
        kept = self._kept.get(instruction.key)
        if kept and self.now < kept.at + timedelta(seconds=RULES.key_valid_seconds):
            return kept.answer
        if isinstance(verdict, Submitted):
            verdict = self._take(instruction, verdict)
        self._kept[instruction.key] = Kept(verdict, self.now)
        return verdict

    def _take(self, instruction: Instruction, verdict: Submitted) -> Submitted:
        thing = Thing(
            f"po_{len(self.things)}_{instruction.reference[:8]}",
            instruction.reference,
            instruction.amount_minor,
            instruction.currency,
            self.now + timedelta(seconds=VISIBLE_SECONDS),
        )
        self.things[thing.object_id] = thing
        self._tell(thing)
        if verdict.status != "submitted":
            self.settle(thing.object_id, verdict.status)
        return replace(verdict, object_id=thing.object_id)

    def _tell(self, thing: Thing) -> None:
        thing.sequence += 1
        moves: dict[ObjectStatus, PayoutMove] = {
            "submitted": "payout_submitted",
            "paid": "payout_paid",
            "failed": "payout_failed",
            "returned": "payout_returned",
        }
        self.told.append(
            ProviderEvent(
                event_key=f"evt_{thing.object_id}_{thing.sequence}",
                type=f"payout.{thing.status}",
                move=moves[thing.status],
                reference=thing.reference,
                object_id=thing.object_id,
                part_id=None,
                amount_minor=thing.amount_minor,
                currency=thing.currency,
                sequence=thing.sequence,
                occurred_at=self.now.isoformat(),
                code="account_closed" if thing.is_back else None,
            )
        )
