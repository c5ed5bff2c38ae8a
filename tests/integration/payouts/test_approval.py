"""Approval: asked for above the threshold, given by another person in time, and nothing leaves without it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from freezegun import freeze_time
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models.payouts.payout import Payout
from models.payouts.rows import lock_payouts
from tasks.payouts.policy import has_expired
from tests.integration.payouts.cashier import SIGNED, Cashier


@pytest.fixture
def waiting(cashier: Cashier) -> UUID:
    """Asked for by app:cashier; its approval expires after an hour."""
    cashier.policy(approval_threshold_minor=50, approval_expires_seconds=3600)
    return cashier.opened(100)


def test_only_what_is_above_the_threshold_waits(cashier: Cashier, waiting: UUID) -> None:
    assert [one["state"] for one in cashier.request(50, 51)] == ["approved", "awaiting_approval"]
    payout = cashier.payout(waiting)
    assert (payout["state"], payout["next_attempt_at"]) == ("awaiting_approval", None)
    assert payout["approval_expires_at"] == cashier.now + timedelta(hours=1)
    assert (cashier.held(), cashier.reserved()) == (201, 201)


def test_approved_it_is_due_at_once_and_says_by_whom(cashier: Cashier, waiting: UUID) -> None:
    cashier.now += timedelta(minutes=5)
    assert cashier.command("approve", waiting)["state"] == "approved"
    payout = cashier.payout(waiting)
    assert (payout["approved_by"], payout["next_attempt_at"]) == ("ops:dana", cashier.now)
    [told] = cashier.rows("SELECT actor, reason FROM payout_events WHERE cause = 'approved'")
    assert told == SIGNED
    assert cashier.held() == 100


@pytest.mark.parametrize("actor", ["app:cashier", "APP:Cashier", "app:cashier ", "app: cashier"])
def test_whoever_asked_for_it_may_not_approve_it(cashier: Cashier, waiting: UUID, actor: str) -> None:
    refused = cashier.command("approve", waiting, actor=actor)
    assert (refused["state"], refused["code"]) == ("refused", "same_person")
    assert cashier.state(waiting) == "awaiting_approval"
    assert cashier.rows("SELECT * FROM audit_events WHERE action = 'payouts.approve'") == []
    assert cashier.command("approve", waiting)["state"] == "approved"


def test_the_database_keeps_four_eyes_whatever_the_code_believes(cashier: Cashier, waiting: UUID) -> None:
    with pytest.raises(IntegrityError, match="payouts_four_eyes"), cashier.transaction() as session:
        session.execute(text("UPDATE payouts SET approved_by = requested_by WHERE id = :id"), {"id": waiting})


@pytest.mark.parametrize(
    ("seconds", "code"), [(3599, None), (3600, "approval_expired"), (7200, "approval_expired")]
)
def test_an_approval_that_comes_late_is_refused(
    cashier: Cashier, waiting: UUID, seconds: int, code: str | None
) -> None:
    expires_at = cashier.payout(waiting)["approval_expires_at"]
    with freeze_time(cashier.now + timedelta(seconds=seconds)):
        cashier.now = datetime.now(UTC)
        outcome = cashier.command("approve", waiting)
    assert outcome.get("code") == code
    if code:
        assert outcome["expired_at"] == expires_at.isoformat()
        assert (cashier.state(waiting), cashier.held()) == ("awaiting_approval", 100)


def test_a_late_rejection_and_a_late_cancel_still_count(cashier: Cashier, waiting: UUID) -> None:
    other = cashier.opened(100)
    cashier.now += timedelta(days=2)
    assert cashier.command("reject", waiting)["state"] == "cancelled"
    assert cashier.command("cancel", other)["state"] == "cancelled"
    assert [cashier.payout(one)["failure_code"] for one in (waiting, other)] == ["rejected", "cancelled"]
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (1000, 0, 0)


def test_expiry_is_decided_by_one_rule(cashier: Cashier, waiting: UUID) -> None:
    """The one that the sweep asks too."""

    def stands() -> Payout:
        with cashier.transaction() as session:
            return lock_payouts(session, "acme", [waiting])[waiting]

    expires_at = cashier.now + timedelta(hours=1)
    assert [has_expired(stands(), expires_at + timedelta(seconds=one)) for one in (-1, 0)] == [False, True]
    cashier.policy(approval_expires_seconds=None)
    with cashier.transaction() as session:
        unlimited = cashier.opened(100)
        payout = lock_payouts(session, "acme", [unlimited])[unlimited]
    assert not has_expired(payout, cashier.now + timedelta(days=10_000))


def test_a_policy_changed_later_does_not_release_what_waits(cashier: Cashier, waiting: UUID) -> None:
    cashier.policy(approval_threshold_minor=None)
    assert cashier.state(waiting) == "awaiting_approval"
    assert cashier.request(100)[0]["state"] == "approved"


def test_a_policy_and_a_request_in_one_batch_keep_their_order(cashier: Cashier) -> None:
    [before] = cashier.hand_in("payouts.request", cashier.asking(10))
    cashier.hand_in("policies.set", {"approval_threshold_minor": 0, **SIGNED})
    [after] = cashier.hand_in("payouts.request", cashier.asking(10))
    cashier.drain()
    assert [cashier.state(one) for one in (before, after)] == ["approved", "awaiting_approval"]


def test_a_person_approves_in_the_batch_of_the_request(cashier: Cashier) -> None:
    cashier.policy(approval_threshold_minor=0)
    [payout_id] = cashier.hand_in("payouts.request", cashier.asking(10))
    assert cashier.command("approve", payout_id)["state"] == "approved"
