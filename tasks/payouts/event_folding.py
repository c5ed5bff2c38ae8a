"""Events of one payout, one after another, on facts in memory: the moves, notes and findings they make. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from models.base import require_aware
from models.payouts.moving import Move, Note
from models.payouts.payout import Attempt, Payout
from models.payouts.states import LIVE_OUTCOMES, State
from models.reconciliation import Finding
from tasks.payouts.decisions import was_sent
from tasks.payouts.event_rules import DUPLICATE, Advance, Decision, Ignore, decide
from tasks.payouts.reversals import NONE, REVERSAL_MOVES, Reversals, detail_of
from worker.providers.port import ProviderEvent

NO_REASON = {"failed": "provider_failed", "returned": "provider_returned"}
"""failure_code of a payout whose provider gave no reason."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event about the attempt `attempt_no`, heard as the job `job_id`. `patient`: see event_rules.decide."""

    attempt_no: int
    event: ProviderEvent
    job_id: UUID
    patient: bool


@dataclass(slots=True)
class Case:
    """One payout, its attempts, and what the events of this run make of it. `changed` are numbers of attempts."""

    payout: Payout
    attempts: dict[int, Attempt]
    moves: list[Move] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    changed: set[int] = field(default_factory=set)
    learned: bool = False
    """A newer sequence is known, without a move that would write it down."""
    reversals: Reversals = NONE

    @classmethod
    def of(cls, payout: Payout, attempts: Sequence[Attempt], reversals: Reversals = NONE) -> "Case":
        return cls(payout, {one.attempt_no: one for one in attempts}, reversals=reversals)

    def hear(self, told: Told, now: datetime) -> Decision:
        """Decide, and let it take effect here."""
        attempt = self.attempts[told.attempt_no]
        attempts = list(self.attempts.values())
        event, patient = told.event, told.patient
        decision = decide(self.payout, attempts, attempt, event, patient=patient, reversals=self.reversals)
        if isinstance(decision, Advance | Ignore) and decision.finding:
            self.findings.append(_finding(self.payout, attempt, told.event, decision.finding))
        match decision:
            case Advance(states):
                self._spare_the_waiting(told.attempt_no, now)
                for state in states:
                    self._go(state, told, now)
            case Ignore(reason, fails=fails):
                self.notes.append(_note(self.payout, told, reason))
                self.reversals = self.reversals.heard(detail_of(told.event), None)
                if fails:
                    self._set(attempt, now, outcome="failed", error_code=_code(told.event, "failed"))
                own = event.move not in REVERSAL_MOVES
                if own and decision == DUPLICATE and attempt.outcome == self.payout.state:
                    self._learn(told.event)
        return decision

    def _go(self, state: State, told: Told, now: datetime) -> None:
        attempt, event = self.attempts[told.attempt_no], told.event
        object_id = event.object_id or attempt.object_id
        self._set(attempt, now, outcome=state, error_code=_code(event, state), object_id=object_id)
        after = _after(self.payout, state, event, self._attempts_made, object_id)
        self.moves.append(_move(self.payout, after, told, now))
        self.reversals = self.reversals.heard(detail_of(event), state)
        self.payout = replace(after, version=self.payout.version + 1)
        self.learned = False

    @property
    def _attempts_made(self) -> int:
        return sum(was_sent(one) for one in self.attempts.values())

    def _spare_the_waiting(self, attempt_no: int, now: datetime) -> None:
        """The next attempt, if it waits to be sent, must not be: this one was done after all."""
        for other in list(self.attempts.values()):
            if other.attempt_no != attempt_no and other.outcome in LIVE_OUTCOMES:
                self._set(other, now, outcome="abandoned")

    def _set(self, attempt: Attempt, now: datetime, **changes: Any) -> None:
        finished_at = attempt.finished_at or now
        self.attempts[attempt.attempt_no] = replace(attempt, finished_at=finished_at, **changes)
        self.changed.add(attempt.attempt_no)

    def _learn(self, event: ProviderEvent) -> None:
        """Of the attempt that the payout's state speaks of: another's counter would make its own events stale."""
        if event.sequence is not None and event.sequence > (self.payout.sequence or 0):
            self.payout = replace(self.payout, sequence=event.sequence)
            self.learned = True


def _after(
    payout: Payout, state: State, event: ProviderEvent, attempts_made: int, object_id: str | None
) -> Payout:
    return replace(
        payout,
        state=state,
        attempts_made=attempts_made,
        next_attempt_at=None,
        cooldown_until=None,
        claimed_until=None,
        dispatched_until=None,
        in_doubt_since=None,
        next_lookup_at=None,
        provider_reference=object_id or payout.provider_reference,
        failure_code=_code(event, state),
        sequence=_sequence(payout, event),
    )


def _sequence(payout: Payout, event: ProviderEvent) -> int | None:
    """The newest of its own events: a reversal has times of its own."""
    own = event.sequence is not None and event.move not in REVERSAL_MOVES
    return event.sequence if own else payout.sequence


def _code(event: ProviderEvent, state: str) -> str | None:
    return (event.code or NO_REASON[state]) if state in NO_REASON else None


def _move(before: Payout, after: Payout, told: Told, now: datetime) -> Move:
    return Move(
        before,
        after,
        "webhook",
        attempt_no=told.attempt_no,
        code=after.failure_code,
        job_id=told.job_id,
        occurred_at=_occurred_at(told.event, now),
        detail=detail_of(told.event),
    )


def _note(payout: Payout, told: Told, reason: str) -> Note:
    detail = detail_of(told.event)
    return Note(payout, "webhook", attempt_no=told.attempt_no, code=reason, job_id=told.job_id, detail=detail)


def _finding(payout: Payout, attempt: Attempt, event: ProviderEvent, kind: str) -> Finding:
    """One per payout and kind; what does not fit is told apart by attempt, move and the provider's object."""
    apart = "" if kind == "late_reversal" else f"{attempt.attempt_no}:{event.move}:{event.object_id}"
    return Finding(
        tenant=payout.tenant,
        provider=payout.provider,
        kind=kind,
        subject=payout.subject,
        amount_minor=payout.amount_minor,
        currency=payout.currency,
        detail={
            "state": payout.state,
            "attempt_no": attempt.attempt_no,
            "attempt_outcome": attempt.outcome,
            "reference": attempt.reference,
            "object_id": event.object_id,
            **detail_of(event),
        },
        mark=apart,
    )


def _occurred_at(event: ProviderEvent, now: datetime) -> datetime:
    """When it happened at the provider; now, where it does not say."""
    try:
        return require_aware(datetime.fromisoformat(event.occurred_at or ""))
    except (ValueError, OverflowError):
        return now
