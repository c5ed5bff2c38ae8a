"""What one provider event does to one payout: facts in, a decision out. Pure.

The canonical page is ops/state-machines.md, section "Payouts"; a test holds its table against `decide`.
The payout's attempts decide whom an event is about: the one that may pay, one that was taken for not done, or one
that has a rival. Only then the payout's state decides, by `RULES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.payouts.payout import Attempt, Payout
from models.payouts.states import DUE_STATES, LIVE_OUTCOMES, NOT_DONE_OUTCOMES, State
from tasks.payouts.reversals import NONE, REVERSAL_MOVES, Reversals
from worker.providers.payouts.destinations import account_of
from worker.providers.port import COUNTERS_BELOW, PayoutMove, ProviderEvent


@dataclass(frozen=True, slots=True)
class Advance:
    """The payout goes through these states, one move each; the attempt is alive again, if it was not."""

    states: tuple[State, ...]
    finding: str | None = None


@dataclass(frozen=True, slots=True)
class Ignore:
    """The payout stays as it is. `fails`: the attempt is now known to have failed."""

    reason: str
    finding: str | None = None
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Another event of the same object is still missing, and may change what this one means."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """It cannot be right: a person must look. `detail` has the `cause`."""

    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)


Decision = Advance | Ignore | Wait | Reject

DUPLICATE = Ignore("duplicate")
STALE = Ignore("stale")
KNOWN_FAILURE = Ignore("known_failure", fails=True)
IMPOSSIBLE = Ignore("impossible_move", "status_mismatch")
SUPERSEDED = Ignore("superseded", "status_mismatch")
OTHER_OBJECT = Ignore("other_object", "duplicate_at_provider")
TAKEN_BACK_BEFORE = Ignore("stale", "late_reversal")
"""That it was paid is told only after that it failed: the money has come back already."""
TOO_EARLY = Wait("awaiting_earlier")
UNDECIDED = Wait("awaiting_verdict")
"""Taken after all, or told of late what was declined?"""

NOT_REVERSED = Ignore("reversal_failed")
"""The reversal came to nothing: the payee has the money, as we have it."""
OTHER_ACCOUNT = Reject("other_account", {"cause": "account is not the one that the payout was sent to"})

TAKEN = Advance(("submitted",))
PAID = Advance(("paid",))
FAILED = Advance(("failed",))
TAKEN_AND_FAILED = Advance(("submitted", "failed"))
TAKEN_BACK = Advance(("returned",), "late_reversal")
TAKEN_BACK_IN_VAIN = Advance(("paid",), "status_mismatch")
"""The reversal had been paid and has failed since: the payee has the money after all."""
PAID_AND_TAKEN_BACK = Advance(("paid", "returned"), "late_reversal")

RULES: Mapping[PayoutMove, Mapping[State, Decision]] = {
    "payout_submitted": {
        "awaiting_approval": IMPOSSIBLE,
        "approved": TAKEN,
        "sending": TAKEN,
        "submitted": DUPLICATE,
        "in_doubt": TAKEN,
        "cooling": TAKEN,
        "paid": STALE,
        "returned": STALE,
        "failed": STALE,
        "cancelled": IMPOSSIBLE,
    },
    "payout_paid": {
        "awaiting_approval": IMPOSSIBLE,
        "approved": PAID,
        "sending": PAID,
        "submitted": PAID,
        "in_doubt": PAID,
        "cooling": PAID,
        "paid": DUPLICATE,
        "returned": STALE,
        "failed": IMPOSSIBLE,
        "cancelled": IMPOSSIBLE,
    },
    "payout_failed": {
        "awaiting_approval": IMPOSSIBLE,
        "approved": TAKEN_AND_FAILED,
        "sending": FAILED,
        "submitted": FAILED,
        "in_doubt": FAILED,
        "cooling": TAKEN_AND_FAILED,
        "paid": TAKEN_BACK,
        "returned": DUPLICATE,
        "failed": DUPLICATE,
        "cancelled": KNOWN_FAILURE,
    },
    "payout_returned": {
        "awaiting_approval": IMPOSSIBLE,
        "approved": PAID_AND_TAKEN_BACK,
        "sending": PAID_AND_TAKEN_BACK,
        "submitted": PAID_AND_TAKEN_BACK,
        "in_doubt": PAID_AND_TAKEN_BACK,
        "cooling": PAID_AND_TAKEN_BACK,
        "paid": TAKEN_BACK,
        "returned": DUPLICATE,
        "failed": DUPLICATE,
        "cancelled": IMPOSSIBLE,
    },
    "payout_reversed": {
        "awaiting_approval": IMPOSSIBLE,
        "approved": PAID_AND_TAKEN_BACK,
        "sending": PAID_AND_TAKEN_BACK,
        "submitted": PAID_AND_TAKEN_BACK,
        "in_doubt": PAID_AND_TAKEN_BACK,
        "cooling": PAID_AND_TAKEN_BACK,
        "paid": TAKEN_BACK,
        "returned": DUPLICATE,
        "failed": IMPOSSIBLE,
        "cancelled": IMPOSSIBLE,
    },
    "payout_reversal_failed": {
        "awaiting_approval": IMPOSSIBLE,
        "approved": PAID,
        "sending": PAID,
        "submitted": PAID,
        "in_doubt": PAID,
        "cooling": PAID,
        "paid": NOT_REVERSED,
        "returned": NOT_REVERSED,
        "failed": NOT_REVERSED,
        "cancelled": IMPOSSIBLE,
    },
}
"""move of the event -> state of the payout -> what happens, for the attempt that may pay"""


def decide(
    payout: Payout,
    attempts: Sequence[Attempt],
    attempt: Attempt,
    event: ProviderEvent,
    *,
    patient: bool = False,
    reversals: Reversals = NONE,
) -> Decision:
    """The effect on `payout` of an event about `attempt`, one of its `attempts`.

    `patient`: a missing event may still be waited for. `reversals`: what was heard of those before.
    """
    if event.account is not None and event.account != account_of(payout.destination):
        return OTHER_ACCOUNT
    if None not in (attempt.object_id, event.object_id) and attempt.object_id != event.object_id:
        return OTHER_OBJECT
    if conflict := _conflict(payout, event):
        return conflict
    if has_rival(attempt, attempts):
        return _with_rival(attempt, event)
    if event.move in REVERSAL_MOVES:
        return _of_reversal(payout, attempt, event, reversals)
    if event.sequence is not None and payout.sequence is not None and event.sequence < payout.sequence:
        told_late = event.move == "payout_paid" and payout.state == "failed"
        return TAKEN_BACK_BEFORE if told_late else STALE
    if attempt.outcome in NOT_DONE_OUTCOMES:
        return _not_done(payout, attempt, event, patient)
    if attempt.outcome == "failed" and payout.state in DUE_STATES:
        return _failed_before(event)
    return _by_state(payout, event, patient)


def has_rival(attempt: Attempt, attempts: Sequence[Attempt]) -> bool:
    """Has another attempt that may pay left us? One that only waits to be sent need not be sent."""
    others = (one for one in attempts if one.attempt_no != attempt.attempt_no)
    return any(one.outcome in LIVE_OUTCOMES and one.outcome != "not_sent" for one in others)


def move_of(event: ProviderEvent) -> PayoutMove:
    """What it says of its payout. Raises ValueError for an event about something else."""
    match event.move:
        case (
            "payout_submitted"
            | "payout_paid"
            | "payout_failed"
            | "payout_returned"
            | "payout_reversed"
            | "payout_reversal_failed"
        ) as move:
            return move
        case _:
            raise ValueError(f"{event.type} is nothing that a payout does")


def _conflict(payout: Payout, event: ProviderEvent) -> Reject | None:
    if event.amount_minor in (None, payout.amount_minor) and event.currency in (None, payout.currency):
        return None
    told, ours = (event.amount_minor, event.currency), (payout.amount_minor, payout.currency)
    return Reject("amount_conflict", {"cause": f"{told} told, {ours} paid out", "payout_id": str(payout.id)})


def _with_rival(attempt: Attempt, event: ProviderEvent) -> Decision:
    """Two attempts cannot both pay: that this one failed is as it should be, anything else is for a person."""
    if event.move == "payout_failed":
        return KNOWN_FAILURE if attempt.outcome in NOT_DONE_OUTCOMES else DUPLICATE
    if event.move == "payout_submitted" and attempt.outcome == "failed":
        return STALE
    return SUPERSEDED


def _of_reversal(payout: Payout, attempt: Attempt, event: ProviderEvent, reversals: Reversals) -> Decision:
    """Only a paid payout is reversed: whatever becomes of the reversal proves that it was paid."""
    if reversals.is_stale(event):
        return STALE
    is_due = payout.state in DUE_STATES
    if (attempt.outcome in NOT_DONE_OUTCOMES and not is_due) or (attempt.outcome == "failed" and is_due):
        return IMPOSSIBLE
    if (
        event.move == "payout_reversal_failed"
        and payout.state == "returned"
        and reversals.is_undone_by(event)
    ):
        return TAKEN_BACK_IN_VAIN
    return RULES[move_of(event)][payout.state]


def _not_done(payout: Payout, attempt: Attempt, event: ProviderEvent, patient: bool) -> Decision:
    """Declined or not found, says our record. If nothing else was done since, the provider is right.

    Adyen tells first that a transfer was received, then that it was refused, of one that its answer has refused.
    """
    if event.move == "payout_failed":
        return TOO_EARLY if patient and is_early(payout, event) else KNOWN_FAILURE
    if payout.state not in DUE_STATES:
        return IMPOSSIBLE
    if event.move == "payout_submitted" and attempt.outcome == "declined" and patient:
        return UNDECIDED
    return RULES[move_of(event)][payout.state]


def _failed_before(event: ProviderEvent) -> Decision:
    """It has failed, and the payout waits for the next attempt."""
    match event.move:
        case "payout_submitted":
            return STALE
        case "payout_failed":
            return DUPLICATE
        case _:
            return IMPOSSIBLE


def _by_state(payout: Payout, event: ProviderEvent, patient: bool) -> Decision:
    decision = RULES[move_of(event)][payout.state]
    fails = isinstance(decision, Advance) and decision.states[-1] == "failed"
    return TOO_EARLY if fails and patient and is_early(payout, event) else decision


def is_early(payout: Payout, event: ProviderEvent) -> bool:
    """Does the provider's counter say that an event between is missing? The first only says that it was taken."""
    if event.sequence is None or event.sequence >= COUNTERS_BELOW:
        return False
    return event.sequence > max(payout.sequence or 1, 1) + 1
