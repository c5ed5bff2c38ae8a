"""The rules of payouts as tables: who is admitted, who may do what, in which state, at what time."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.jobs.outcomes import Refused
from models.payouts.payout import Attempt, Payout
from models.payouts.states import LIVE_OUTCOMES, MOVES, STATES, State
from models.tenants import Policy
from tasks.payouts.policy import (
    Standing,
    admit,
    approve,
    cancel,
    is_same_person,
    mark_failed,
    mark_paid,
    needs_approval,
    refuse_request,
    reject,
    retry,
)
from tests.unit.payouts.payouts import NOON, a_payout, an_attempt

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("kyc_required", "standing", "code"),
    [
        (False, Standing("sandbox"), None),
        (False, Standing(None), "provider_not_configured"),
        (True, Standing("sandbox"), "kyc_required"),
        (True, Standing("sandbox", "pending"), "kyc_required"),
        (True, Standing("sandbox", "rejected"), "kyc_required"),
        (True, Standing("sandbox", "verified"), None),
        (False, Standing("stripe", "verified", "no"), "amount_not_representable"),
        (True, Standing("stripe", "unverified", "no"), "amount_not_representable"),
        (True, Standing(None, "unverified", "no"), "provider_not_configured"),
    ],
)
def test_who_is_admitted(kyc_required: bool, standing: Standing, code: str | None) -> None:
    refused = refuse_request(Policy(kyc_required=kyc_required), "sandbox", standing)
    assert (refused and refused.code) == code


@pytest.mark.parametrize(
    ("threshold", "amount", "needed"),
    [(None, 10**18, False), (0, 1, True), (100, 100, False), (100, 101, True), (100, 1, False)],
)
def test_approval_is_needed_above_the_threshold(threshold: int | None, amount: int, needed: bool) -> None:
    policy = Policy(approval_threshold_minor=threshold, approval_expires_seconds=60)
    assert needs_approval(policy, amount) is needed
    admitted = admit(a_payout(amount_minor=amount), policy, NOON)
    begins = ("awaiting_approval", None, NOON + timedelta(minutes=1)) if needed else ("approved", NOON, None)
    assert (admitted.state, admitted.next_attempt_at, admitted.approval_expires_at) == begins


def test_without_an_expiry_a_payout_waits_for_ever() -> None:
    admitted = admit(a_payout(), Policy(approval_threshold_minor=0), NOON)
    assert (admitted.state, admitted.approval_expires_at) == ("awaiting_approval", None)


COMMANDS: dict[str, Any] = {
    "approve": lambda payout: approve(payout, "ops:dana", NOON),
    "reject": reject,
    "cancel": lambda payout: cancel(payout, None),
    "retry": lambda payout: retry(payout, Policy(), NOON),
    "mark_paid": mark_paid,
    "mark_failed": mark_failed,
}
ALLOWED: dict[str, dict[State, State]] = {
    "approve": {"awaiting_approval": "approved"},
    "reject": {"awaiting_approval": "cancelled"},
    "cancel": {"awaiting_approval": "cancelled", "approved": "cancelled", "cooling": "cancelled"},
    "retry": {"cooling": "cooling"},
    "mark_paid": {"in_doubt": "paid"},
    "mark_failed": {"in_doubt": "failed"},
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", STATES)
def test_each_command_in_each_state(command: str, state: State) -> None:
    decided = COMMANDS[command](a_payout(state))
    goal = ALLOWED[command].get(state)
    if goal is None:
        assert decided == Refused("wrong_state", {"state": state})
    else:
        assert decided.state == goal
        assert goal == state or goal in MOVES[state]


FIELDS: dict[State, set[str]] = {
    "approved": {"next_attempt_at"},
    "cooling": {"next_attempt_at"},
    "in_doubt": {"in_doubt_since", "next_lookup_at"},
    "awaiting_approval": set(),
}


@pytest.mark.parametrize(("command", "state"), [(name, one) for name in ALLOWED for one in ALLOWED[name]])
def test_each_command_leaves_what_the_new_state_needs_and_nothing_of_the_old(
    command: str, state: State
) -> None:
    """As the CHECKs of `payouts` want it."""
    dated = {"next_attempt_at", "claimed_until", "in_doubt_since", "next_lookup_at"}
    decided = COMMANDS[command](a_payout(state, **dict.fromkeys(FIELDS[state], NOON)))
    assert {name for name in dated if getattr(decided, name)} == FIELDS.get(decided.state, set())
    assert decided.state != "failed" or decided.failure_code


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ops:dana", "ops:dana", True),
        ("ops:dana", "OPS:Dana", True),
        ("ops:dana", "ops:dana ", True),
        ("ops:dana", "ops: dana", True),
        ("straße", "STRASSE", True),
        ("ops:\uff44ana", "ops:dana", True),
        ("ops:dana", "ops:dan", False),
        ("dana", "ops:dana", False),
    ],
)
def test_a_requester_does_not_become_another_by_respelling(one: str, other: str, same: bool) -> None:
    assert is_same_person(one, other) is same
    decided = approve(a_payout("awaiting_approval", requested_by=one), other, NOON)
    assert (decided == Refused("same_person")) is same


@pytest.mark.parametrize(("seconds", "approved"), [(-1, True), (0, False), (1, False)])
def test_an_approval_expires_at_its_second(seconds: int, approved: bool) -> None:
    waiting = a_payout("awaiting_approval", approval_expires_at=NOON)
    decided = approve(waiting, "ops:dana", NOON + seconds * SECOND)
    assert isinstance(decided, Payout) is approved
    if isinstance(decided, Refused):
        assert decided == Refused("approval_expired", {"expired_at": NOON.isoformat()})
    assert isinstance(reject(waiting), Payout)


@pytest.mark.parametrize("outcome", LIVE_OUTCOMES)
@pytest.mark.parametrize("error_code", [None, "throttled", "lost"])
def test_only_what_was_proven_not_to_be_sent_is_cancelled(outcome: str, error_code: str | None) -> None:
    attempt: Attempt = an_attempt(outcome, error_code=error_code)
    decided = cancel(a_payout("cooling", next_attempt_at=NOON), attempt)
    if error_code == "lost":
        assert decided == Refused("attempt_lost", {"attempt_no": 1})
    elif outcome == "not_sent":
        assert isinstance(decided, Payout)
    else:
        assert decided == Refused("wrong_state", {"state": "cooling", "attempt": outcome})


def test_a_person_ends_what_a_frozen_process_may_still_send() -> None:
    """Its provider may be gone for good; then nobody looks it up or sends it, and its money would stay held."""
    waiting, lost = a_payout("cooling", next_attempt_at=NOON), an_attempt("not_sent", error_code="lost")
    paid, failed = mark_paid(waiting, lost), mark_failed(waiting, lost)
    assert isinstance(paid, Payout)
    assert isinstance(failed, Payout)
    assert (paid.state, paid.next_attempt_at) == ("paid", None)
    assert (failed.state, failed.failure_code, failed.next_attempt_at) == ("cancelled", "marked_failed", None)


@pytest.mark.parametrize("live", [None, an_attempt("not_sent", error_code="throttled")])
@pytest.mark.parametrize("mark", [mark_paid, mark_failed])
def test_nobody_marks_what_is_known_not_to_be_sent(mark: Any, live: Attempt | None) -> None:
    assert mark(a_payout("cooling", next_attempt_at=NOON), live) == Refused(
        "wrong_state", {"state": "cooling"}
    )


COOLING = a_payout("cooling", attempts_made=1, cooldown_until=NOON, next_attempt_at=NOON + 60 * SECOND)


@pytest.mark.parametrize(
    ("payout", "now", "expected"),
    [
        (COOLING, NOON, None),
        (COOLING, NOON + SECOND, None),
        (COOLING, NOON - SECOND, ("cooldown_active", {"seconds_left": 1, "retry_at": NOON.isoformat()})),
        (COOLING, NOON - SECOND / 2, ("cooldown_active", {"seconds_left": 1, "retry_at": NOON.isoformat()})),
        (
            COOLING,
            NOON - 300 * SECOND,
            ("cooldown_active", {"seconds_left": 300, "retry_at": NOON.isoformat()}),
        ),
        (replace(COOLING, attempts_made=3), NOON, None),
        (
            replace(COOLING, attempts_made=4),
            NOON - SECOND,
            ("retry_limit_reached", {"attempts_made": 4, "limit": 3}),
        ),
        (
            a_payout("failed", attempts_made=4),
            NOON,
            ("retry_limit_reached", {"attempts_made": 4, "limit": 3}),
        ),
        (a_payout("failed", attempts_made=1), NOON, ("wrong_state", {"state": "failed"})),
        (a_payout("submitted", attempts_made=4), NOON, ("wrong_state", {"state": "submitted"})),
    ],
)
def test_a_person_retries_after_the_cooldown_and_within_the_limit(
    payout: Payout, now: Any, expected: tuple[str, dict[str, Any]] | None
) -> None:
    decided = retry(payout, Policy(payout_retry_limit=3), now)
    if expected:
        assert decided == Refused(*expected)
    else:
        assert decided == replace(payout, next_attempt_at=now)


def test_a_limit_of_none_means_one_attempt() -> None:
    decided = retry(a_payout("failed", attempts_made=1), Policy(payout_retry_limit=0), NOON)
    assert decided == Refused("retry_limit_reached", {"attempts_made": 1, "limit": 0})


@given(st.sampled_from(STATES), st.sampled_from(sorted(COMMANDS)))
def test_no_command_changes_whose_money_it_is(state: State, command: str) -> None:
    payout = a_payout(state)
    decided = COMMANDS[command](payout)
    if isinstance(decided, Payout):
        kept = ("id", "tenant", "owner", "amount_minor", "currency", "destination", "requested_by", "version")
        assert [getattr(decided, name) for name in kept] == [getattr(payout, name) for name in kept]
