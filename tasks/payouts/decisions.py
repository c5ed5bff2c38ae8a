"""What may become of a payout, and everything that has to be written for it: frozen values, and how each is made. Pure.

What is proven done, proven not done, or neither: verdicts.py and sightings.py say which of them it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from models.payouts.payout import Attempt, Payout
from models.payouts.states import DUE_STATES, LIVE_OUTCOMES, State
from models.tenants import Policy
from tasks.payouts.pacing import DAY_SECONDS, LOST, in_doubt, not_sent_seconds
from tasks.payouts.policy import LONGEST_COOLDOWN_SECONDS, cooldown, is_exhausted
from worker.providers.payouts.port import ObjectStatus


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


def noted(case: Case, note: str, code: str | None) -> Decision:
    """Nothing moves; the payout's history says what was heard."""
    return Decision(case.attempt, case.payout, note=note, code=code)


def named(payout: Payout, object_id: str) -> Payout:
    """With the provider's id, unless it has one."""
    return replace(payout, provider_reference=payout.provider_reference or object_id)


def taken(case: Case, object_id: str, status: ObjectStatus, code: str | None, cause: str) -> Decision:
    """The provider has it: along every state up to the one it is said to have."""
    attempt = replace(
        case.attempt,
        outcome=status,
        object_id=object_id,
        error_code=code,
        finished_at=case.attempt.finished_at or case.now,
    )
    with_id = named(case.payout, object_id)
    failure_code = None if status in ("submitted", "paid") else code or status
    steps = []
    for state in _path(case.payout.state, status):
        last = state == status
        settled = _settled(with_id, state, case.counting(attempt), failure_code if last else None)
        steps.append(Step(settled, cause, code if last else None))
    note = None if steps else "answer"
    finding = "late_reversal" if status == "returned" else None
    return Decision(attempt, steps[-1].after if steps else with_id, tuple(steps), note, code, finding)


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


def failed(
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


def not_sent(case: Case, code: str, cause: str, retry_after_seconds: float | None) -> Decision:
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


def doubted(case: Case, code: str, cause: str) -> Decision:
    """It may have happened. While it may, there is no other attempt, no other key, and the money stays held."""
    if case.payout.state == "in_doubt":
        return noted(case, "late_answer", code)
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
