"""What an answer, or a look-up, makes of a payout. Pure: a locked payout and its attempts in, a frozen decision out.

Look-ups of a payout in doubt follow the tenant's ladder (30 s, 2 min, 10 min, 1 h, 6 h), then come daily. One that was
taken is told of by webhook; for the day when that is lost, it is looked up daily too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from models.payouts.payout import Attempt, Payout
from models.payouts.states import DUE_STATES, LIVE_OUTCOMES, NOT_DONE_OUTCOMES, State
from models.tenants import Policy
from tasks.payouts.pacing import DAY_SECONDS, LOST, in_doubt, key_is_usable, not_sent_seconds
from tasks.payouts.policy import LONGEST_COOLDOWN_SECONDS, cooldown, is_exhausted
from worker.providers.payouts.port import (
    Answer,
    Declined,
    Found,
    InDoubt,
    NotFound,
    NotSent,
    ObjectStatus,
    Sighting,
    Stopped,
    Submitted,
)

SUBMITTED_OVERDUE = "submitted_overdue"
"""The mark of its finding."""
SUBMITTED_OVERDUE_SECONDS = 7 * DAY_SECONDS
"""Banks take days. What was taken so long ago and is neither paid nor failed is for a person."""


@dataclass(frozen=True, slots=True)
class Step:
    """One move: the payout as it becomes."""

    after: Payout
    cause: str
    code: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be written, in one transaction: the attempt, the moves in order, else a note; and a finding.

    `payout` without steps: nothing moved, but its next look-up or its provider's id is another. `given_up`: the
    attempt that waited to be sent, and must not be any more. `mark` tells findings of one kind apart.
    """

    attempt: Attempt
    payout: Payout
    steps: tuple[Step, ...] = ()
    note: str | None = None
    code: str | None = None
    finding: str | None = None
    mark: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    given_up: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A locked payout, all its attempts, which of them it is about, and what its tenant allows.

    `chance` (0 to 1) spreads cooldowns.
    """

    payout: Payout
    attempts: Sequence[Attempt]
    attempt_no: int
    policy: Policy
    now: datetime
    chance: float = 0.0

    @property
    def attempt(self) -> Attempt:
        return next(one for one in self.attempts if one.attempt_no == self.attempt_no)

    @property
    def is_alive(self) -> bool:
        """Is it the attempt that may pay?"""
        return self.attempt.outcome in LIVE_OUTCOMES

    def counting(self, attempt: Attempt) -> int:
        """How many attempts were sent, with this one as it becomes."""
        others = [one for one in self.attempts if one.attempt_no != attempt.attempt_no]
        return sum(was_sent(one) for one in (*others, attempt))


def was_sent(attempt: Attempt) -> bool:
    """Does it count towards the retry limit? Of a lost one nobody knows, until something is found or answered."""
    doubtful = attempt.outcome == "in_doubt" and attempt.error_code == LOST
    return not doubtful and attempt.outcome not in ("sending", "not_sent", "abandoned")


def decide_answer(case: Case, claim_version: int, answer: Answer) -> Decision:
    """What the answer to the call of that claim means now, however long it took.

    Who still has the claim, or would have it had nobody taken it for lost, is believed. Any other can only prove
    that the attempt was done (Submitted); what else it says, the one who sends it now will be told as well.
    """
    if case.payout.claim_version == claim_version and case.payout.state in ("sending", "in_doubt"):
        cause = "answer" if case.payout.state == "sending" else "late_answer"
        return _decide_own(case, answer, cause)
    if isinstance(answer, Submitted):
        return _decide_proof(case, answer)
    return _noted(case, "stale_answer", answer.code)


def _decide_own(case: Case, answer: Answer, cause: str) -> Decision:
    match answer:
        case Submitted(object_id, status, code):
            return _taken(case, object_id, status, code, cause)
        case Declined(code, retryable, retry_after_seconds):
            return _failed(case, "declined", code, cause, retryable, retry_after_seconds)
        case NotSent(code, retry_after_seconds):
            return _not_sent(case, code, cause, retry_after_seconds)
        case Stopped(code):
            return _not_sent(case, code, cause, None)
        case InDoubt(code):
            return _doubted(case, code, cause)


def _decide_proof(case: Case, answer: Submitted) -> Decision:
    attempt, payout = case.attempt, case.payout
    if attempt.object_id not in (None, answer.object_id):
        detail = {"attempt_no": attempt.attempt_no, "object_id": answer.object_id}
        noted = _noted(case, "stale_answer", answer.status)
        return replace(noted, finding="duplicate_at_provider", detail=detail)
    if case.is_alive and payout.state in ("sending", "in_doubt", "submitted", *DUE_STATES):
        return _taken(case, answer.object_id, answer.status, answer.code, "late_answer")
    if attempt.outcome in NOT_DONE_OUTCOMES and payout.state in DUE_STATES and answer.status != "failed":
        return _done_after_all(case, answer)
    if attempt.outcome in ("submitted", "paid", "returned") or attempt.object_id == answer.object_id:
        named = replace(attempt, object_id=attempt.object_id or answer.object_id)
        return Decision(named, _named(payout, answer.object_id), note="answer", code=answer.status)
    detail = {"attempt_no": attempt.attempt_no, "outcome": attempt.outcome, "object_id": answer.object_id}
    return replace(_noted(case, "stale_answer", answer.status), finding="status_mismatch", detail=detail)


def _done_after_all(case: Case, answer: Submitted) -> Decision:
    """We took it for not done, and nothing was sent since: to send another would pay twice."""
    waiting = next((one for one in case.attempts if one.outcome in LIVE_OUTCOMES), None)
    given_up = waiting and replace(waiting, outcome="abandoned", finished_at=case.now)
    taken = _taken(case, answer.object_id, answer.status, answer.code, "late_answer")
    return replace(taken, given_up=given_up)


def lose(case: Case) -> Decision:
    """The claim has run out, and nobody has said what became of the call."""
    return _doubted(case, LOST, LOST)


def _noted(case: Case, note: str, code: str | None) -> Decision:
    return Decision(case.attempt, case.payout, note=note, code=code)


def _named(payout: Payout, object_id: str) -> Payout:
    return replace(payout, provider_reference=payout.provider_reference or object_id)


# Look-ups


def decide_sighting(case: Case, sighting: Sighting, *, asked_at: datetime, settle_seconds: float) -> Decision:
    """What a look-up that began at `asked_at` means for a payout in doubt, or for one that was taken.

    "Not found" is proof when it was asked `settle_seconds` after the doubt began, which is after the call ended.
    An attempt that was lost may still be sent by whoever hangs: then only its own key may be used again. Of a payout
    that was taken it proves nothing: the provider has said that it has it, and contradicts itself.
    """
    match sighting:
        case Found():
            return _decide_found(case, sighting)
        case NotFound() if case.payout.state == "submitted":
            return replace(
                _postponed(case, "not_found"), finding="status_mismatch", mark="submitted_not_found"
            )
        case NotFound():
            return _decide_absence(case, asked_at, settle_seconds)
    return _postponed(case, sighting.code)


def _decide_found(case: Case, found: Found) -> Decision:
    if problem := _unlike(case, found):
        detail = {
            "object_id": found.object_id,
            "amount_minor": found.amount_minor,
            "currency": found.currency,
        }
        return replace(_postponed(case, "found_other"), finding=problem, mark="", detail=detail)
    if found.status == case.payout.state:
        return _postponed(case, found.status)
    return _taken(case, found.object_id, found.status, found.code, "lookup")


def _decide_absence(case: Case, asked_at: datetime, settle_seconds: float) -> Decision:
    began = case.payout.in_doubt_since or case.now
    settled_at = began + timedelta(seconds=settle_seconds)
    if asked_at < settled_at:
        return _postponed(case, "not_found_yet", not_after=settled_at)
    if case.attempt.error_code != LOST:
        return _failed(case, "not_found", "not_found", "lookup", True, None)
    if key_is_usable(case.attempt, case.now):
        return _not_sent(case, "not_found", "lookup", None)
    return replace(_postponed(case, "key_too_old"), finding="in_doubt_overdue")


def _unlike(case: Case, found: Found) -> str | None:
    """The finding, when what was found cannot be what was sent."""
    if case.attempt.object_id not in (None, found.object_id):
        return "duplicate_at_provider"
    if case.payout.currency != found.currency:
        return "currency_mismatch"
    return None if case.payout.amount_minor == found.amount_minor else "amount_mismatch"


def _postponed(case: Case, code: str, not_after: datetime | None = None) -> Decision:
    """It stays as it is. In the end a person is to look at it, and is told again with each look-up."""
    made = case.payout.lookups_made + 1
    ladder = () if case.payout.state == "submitted" else case.policy.in_doubt_ladder_seconds
    next_at = case.now + timedelta(seconds=ladder[made] if made < len(ladder) else DAY_SECONDS)
    if not_after is not None and not_after > case.now:
        next_at = min(next_at, not_after)
    payout = replace(case.payout, lookups_made=made, next_lookup_at=next_at, dispatched_until=None)
    finding, mark = _overdue(case, made)
    detail = {"lookups_made": made, "next_lookup_at": next_at.isoformat()}
    return Decision(case.attempt, payout, note="lookup", code=code, finding=finding, mark=mark, detail=detail)


def _overdue(case: Case, made: int) -> tuple[str | None, str]:
    """The finding that so many look-ups without an end make, and its mark."""
    if case.payout.state == "in_doubt":
        is_over = made >= len(case.policy.in_doubt_ladder_seconds)
        return ("in_doubt_overdue", "") if is_over else (None, "")
    taken_at = case.attempt.finished_at or case.attempt.first_used_at
    is_over = case.now - taken_at >= timedelta(seconds=SUBMITTED_OVERDUE_SECONDS)
    return ("status_mismatch", SUBMITTED_OVERDUE) if is_over else (None, "")


# What becomes of a payout


def _taken(case: Case, object_id: str, status: ObjectStatus, code: str | None, cause: str) -> Decision:
    """The provider has it: along every state up to the one it is said to have."""
    attempt = replace(
        case.attempt,
        outcome=status,
        object_id=object_id,
        error_code=code,
        finished_at=case.attempt.finished_at or case.now,
    )
    named = _named(case.payout, object_id)
    failure_code = None if status in ("submitted", "paid") else code or status
    steps = []
    for state in _path(case.payout.state, status):
        last = state == status
        settled = _settled(named, state, case.counting(attempt), failure_code if last else None)
        steps.append(Step(settled, cause, code if last else None))
    note = None if steps else "answer"
    finding = "late_reversal" if status == "returned" else None
    return Decision(attempt, steps[-1].after if steps else named, tuple(steps), note, code, finding)


def _path(state: State, status: ObjectStatus) -> tuple[State, ...]:
    if status == "returned":
        return "paid", "returned"
    if status == "failed" and state in DUE_STATES:
        return "submitted", "failed"
    return () if state == status else (status,)


def _settled(payout: Payout, state: State, attempts_made: int, failure_code: str | None) -> Payout:
    return replace(
        payout,
        state=state,
        attempts_made=attempts_made,
        failure_code=failure_code,
        next_attempt_at=None,
        cooldown_until=None,
        dispatched_until=None,
        claimed_until=None,
        in_doubt_since=None,
        next_lookup_at=None,
    )


def _failed(
    case: Case, outcome: str, code: str, cause: str, retryable: bool, retry_after_seconds: float | None
) -> Decision:
    """Proven: no money moved and none will. Another attempt after the cooldown, or the end."""
    attempt = replace(case.attempt, outcome=outcome, error_code=code, finished_at=case.now)
    made = case.counting(attempt)
    if not retryable or is_exhausted(case.policy, made):
        return _one_step(attempt, _settled(case.payout, "failed", made, code), cause, code)
    wait = cooldown(case.policy, made, case.now, chance=case.chance, retry_after_seconds=retry_after_seconds)
    cooling = replace(
        _settled(case.payout, "cooling", made, None),
        next_attempt_at=wait.next_attempt_at,
        cooldown_until=wait.until,
    )
    return _one_step(attempt, cooling, cause, code)


def _not_sent(case: Case, code: str, cause: str, retry_after_seconds: float | None) -> Decision:
    """Proven, and no verdict: the same attempt again, with its key. No attempt is spent."""
    attempt = replace(case.attempt, outcome="not_sent", error_code=_sticky(case.attempt, code))
    asked = min(max(retry_after_seconds or 0.0, 0.0), LONGEST_COOLDOWN_SECONDS)
    seconds = max(asked, not_sent_seconds(attempt.sends))
    cooling = replace(
        _settled(case.payout, "cooling", case.counting(attempt), None),
        next_attempt_at=case.now + timedelta(seconds=seconds),
        cooldown_until=case.now + timedelta(seconds=asked) if asked else None,
    )
    return _one_step(attempt, cooling, cause, code)


def _doubted(case: Case, code: str, cause: str) -> Decision:
    """It may have happened. While it may, there is no other attempt, no other key, and the money stays held."""
    if case.payout.state == "in_doubt":
        return _noted(case, "late_answer", code)
    attempt = replace(case.attempt, outcome="in_doubt", error_code=_sticky(case.attempt, code))
    ladder = case.policy.in_doubt_ladder_seconds
    after = in_doubt(case.payout, case.now, ladder[0] if ladder else DAY_SECONDS)
    after = replace(after, attempts_made=case.counting(attempt))
    return _one_step(attempt, after, cause, code, {"lost": True} if code == LOST else {})


def _sticky(attempt: Attempt, code: str) -> str:
    return LOST if attempt.error_code == LOST else code


def _one_step(
    attempt: Attempt, after: Payout, cause: str, code: str, detail: dict[str, Any] | None = None
) -> Decision:
    return Decision(attempt, after, (Step(after, cause, code, detail or {}),), code=code)
