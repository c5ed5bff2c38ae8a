"""What a look-up makes of a payout. Pure: a locked payout and its attempts in, a frozen decision out.

A payout in doubt is looked up on the tenant's ladder (30 s, 2 min, 10 min, 1 h, 6 h), then daily. One that was taken is
told of by webhook; for the day when that is lost, it is looked up daily too.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from tasks.payouts.decisions import Case, Decision, failed, not_sent, taken
from tasks.payouts.pacing import DAY_SECONDS, LOST, key_is_usable
from worker.providers.payouts.port import Found, NotFound, Sighting

SUBMITTED_OVERDUE = "submitted_overdue"
"""The mark of its finding."""
SUBMITTED_OVERDUE_SECONDS = 7 * DAY_SECONDS
"""Banks take days. What was taken so long ago and is neither paid nor failed is for a person."""


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
    return taken(case, found.object_id, found.status, found.code, "lookup")


def _decide_absence(case: Case, asked_at: datetime, settle_seconds: float) -> Decision:
    began = case.payout.in_doubt_since or case.now
    settled_at = began + timedelta(seconds=settle_seconds)
    if asked_at < settled_at:
        return _postponed(case, "not_found_yet", not_after=settled_at)
    if case.attempt.error_code != LOST:
        return failed(case, "not_found", "not_found", "lookup", True, None)
    if key_is_usable(case.attempt, case.now):
        return not_sent(case, "not_found", "lookup", None)
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
