"""payouts.request: what is refused leaves nothing, what is admitted is held, reserved and written once."""

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from tasks.intake.batch import drain_batch
from tasks.intake.routing import ROUTING
from tests.factories import accept_jobs, credit_args, job_request
from tests.integration.families.desk import counting_statements
from tests.integration.payouts.cashier import SIGNED, Cashier
from worker.database import Transaction

NOTHING = (0, 0, 0, 0)


def counts(cashier: Cashier) -> tuple[int, ...]:
    """Payouts, events, holds, standing reservations."""
    [row] = cashier.rows("""
        SELECT (SELECT count(*) FROM payouts) AS payouts, (SELECT count(*) FROM payout_events) AS events,
            (SELECT count(*) FROM ledger_transactions WHERE kind = 'hold.placed') AS holds,
            (SELECT count(*) FROM limit_reservations WHERE released_at IS NULL) AS reservations
    """)
    return tuple(row.values())


def test_a_request_becomes_a_payout_that_is_due(cashier: Cashier) -> None:
    [job_id] = cashier.hand_in("payouts.request", cashier.asking(400))
    cashier.drain()
    assert cashier.outcome(job_id) == {"state": "approved", "error": None, "payout_id": str(job_id)}
    payout = cashier.payout(job_id)
    asked = ("owner", "amount_minor", "currency", "provider", "destination", "requested_by")
    assert {name: payout[name] for name in asked} == cashier.asking(400)
    assert (payout["state"], payout["next_attempt_at"], payout["approved_by"]) == (
        "approved",
        cashier.now,
        None,
    )
    assert str(payout["business_date"]) == "2026-03-14"
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (600, 400, 400)
    assert cashier.events(job_id) == [("requested", None, "approved")]
    [hold] = cashier.rows("SELECT * FROM ledger_transactions WHERE kind = 'hold.placed'")
    assert hold["job_id"] == job_id


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        ({"provider": "nowhere"}, "provider_not_configured", {"provider": "nowhere"}),
        ({"provider": "gone"}, "provider_not_configured", {"provider": "gone"}),
        ({"owner": "bob"}, "insufficient_funds", {}),
        ({"amount_minor": 1001}, "insufficient_funds", {}),
    ],
)
def test_what_is_refused_leaves_nothing(
    cashier: Cashier, changes: dict[str, Any], code: str, detail: dict[str, Any]
) -> None:
    [outcome] = cashier.do("payouts.request", cashier.asking() | changes)
    assert (outcome["state"], outcome["code"]) == ("refused", code)
    assert {name: outcome[name] for name in detail} == detail
    assert counts(cashier) == NOTHING
    assert (cashier.wallet(), cashier.held()) == (1000, 0)


def test_an_amount_that_the_provider_cannot_pay_is_refused_before_it_is_held(cashier: Cashier) -> None:
    """Stripe pays out Hungarian forints in whole hundreds only."""
    cashier.fund("ada", 100_000, "HUF")
    forints = {"provider": "stripe", "currency": "HUF"}
    odd, even = cashier.do("payouts.request", *(cashier.asking(one, **forints) for one in (12_345, 12_300)))
    assert (odd["code"], odd["provider"]) == ("amount_not_representable", "stripe")
    assert odd["cause"]
    assert even["state"] == "approved"
    assert cashier.held(currency="HUF") == 12_300


@pytest.mark.parametrize("status", ["unverified", "pending", "rejected", None])
def test_kyc_is_asked_for_where_the_policy_says_so(cashier: Cashier, status: str | None) -> None:
    cashier.policy(kyc_required=True)
    if status:
        cashier.do("wallets.configure", {"owner": "ada", "kyc_status": status})
    [refused] = cashier.request(100)
    assert (refused["code"], refused["kyc_status"]) == ("kyc_required", status or "unverified")
    assert counts(cashier) == NOTHING
    cashier.hand_in("wallets.configure", {"owner": "ada", "kyc_status": "verified"})
    assert cashier.request(100)[0]["state"] == "approved"


def test_another_tenants_verification_and_account_are_worth_nothing(
    cashier: Cashier, other_cashier: Cashier
) -> None:
    cashier.policy(kyc_required=True)
    other_cashier.do("wallets.configure", {"owner": "ada", "kyc_status": "verified"})
    assert cashier.request(100)[0]["code"] == "kyc_required"
    assert other_cashier.request(100, provider="stripe")[0]["code"] == "provider_not_configured"


def test_a_paused_provider_refuses_nothing(cashier: Cashier) -> None:
    cashier.rows(
        "UPDATE provider_accounts SET paused_at = :now, paused_by = 'ops', breaker = 'open', probe_at = :now "
        "RETURNING provider",
        now=cashier.now,
    )
    assert cashier.request(100)[0]["state"] == "approved"


def test_what_one_request_is_refused_the_next_may_have(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=1200)
    outcomes = cashier.request(1100, 600, 700, 400, 1)
    assert [one.get("code") or one["state"] for one in outcomes] == [
        "insufficient_funds", "approved", "limit_exceeded", "approved", "insufficient_funds",
    ]  # fmt: skip
    assert (cashier.wallet(), cashier.held(), cashier.reserved()) == (0, 1000, 1000)


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_of_requests_ends_as_one_by_one(cashier: Cashier, other_cashier: Cashier, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - repeats, guards nothing
    owners = ["ada", "bob", "eve"]
    asked = [(chance.choice(owners), chance.randint(1, 600)) for _ in range(40)]
    for one in (cashier, other_cashier):
        one.policy(daily_payout_limit_minor=1300, approval_threshold_minor=300)
        one.fund("bob", 700)
        one.fund("eve", 2000)
    together = cashier.do("payouts.request", *(cashier.asking(amount, owner) for owner, amount in asked))
    apart = [other_cashier.request(amount, owner=owner)[0] for owner, amount in asked]
    told = [[one.get("code") or one["state"] for one in outcomes] for outcomes in (together, apart)]
    assert told[0] == told[1]
    assert {"approved", "awaiting_approval", "limit_exceeded", "insufficient_funds"} == set(told[0])
    for owner in owners:
        assert cashier.held(owner) == cashier.reserved(owner) == other_cashier.held(owner)


def test_a_credit_pays_for_the_payout_after_it_and_not_for_the_one_before(
    cashier: Cashier, transaction: Transaction
) -> None:
    asks = [
        ("payouts.request", cashier.asking(1500)),
        ("wallets.credit", credit_args("ada", 500)),
        ("payouts.request", cashier.asking(1500)),
    ]
    jobs = accept_jobs(transaction, [job_request(name, args) for name, args in asks], now=cashier.now)
    cashier.drain()
    assert [cashier.outcome(job).get("code") for job in jobs] == ["insufficient_funds", None, None]
    assert cashier.held() == 1500


def test_a_command_may_follow_its_request_within_one_batch(
    cashier: Cashier, transaction: Transaction
) -> None:
    """The payout's id is the job's, so the caller may name it before it stands; and spend what comes back."""
    earlier = cashier.opened(400)
    cashier.hand_in("payouts.cancel", {"payout_id": str(earlier), **SIGNED})
    [job_id] = cashier.hand_in("payouts.request", cashier.asking(1000))
    asks = [
        ("payouts.cancel", {"payout_id": str(job_id), **SIGNED}),
        ("wallets.debit", credit_args("ada", 1000)),
    ]
    jobs = accept_jobs(transaction, [job_request(name, args) for name, args in asks], now=cashier.now)
    assert drain_batch(transaction, "acme", limit=9, now=cashier.now, routing=ROUTING).claimed == 4
    assert [cashier.outcome(job).get("code") for job in jobs] == [None, None]
    assert (cashier.state(job_id), cashier.wallet(), cashier.held()) == ("cancelled", 0, 0)


def test_the_tenant_is_told_once_of_each(cashier: Cashier) -> None:
    cashier.rows("UPDATE tenants SET notified = true WHERE tenant = :tenant RETURNING tenant")
    payout_id = cashier.opened(100)
    [news] = cashier.rows("SELECT * FROM notifications")
    assert (news["type"], news["subject"], news["version"]) == ("payout.approved", f"payout:{payout_id}", 1)
    assert news["data"]["amount_minor"] == 100
    assert "destination" not in news["data"]


@pytest.mark.parametrize("limited", [None, 10**12])
def test_admission_costs_the_same_statements_for_1_and_150(
    cashier: Cashier, engine: Engine, limited: int | None
) -> None:
    cashier.policy(daily_payout_limit_minor=limited, kyc_required=False)
    cashier.fund("flood", 10**9)
    sent = []
    for number in (1, 150):
        cashier.hand_in("payouts.request", *(cashier.asking(10, "flood") for _ in range(number)))
        with counting_statements(engine) as statements:
            cashier.drain()
        sent.append(len(statements))
    assert sent[1] <= sent[0]


@pytest.mark.parametrize("shadow", [False, True])
def test_in_shadow_mode_missing_money_is_a_mismatch_and_no_refusal(cashier: Cashier, shadow: bool) -> None:
    cashier.policy(ledger_mode="shadow" if shadow else "enforce")
    [outcome] = cashier.request(5000)
    assert outcome["state"] == ("approved" if shadow else "refused")
    assert len(cashier.rows("SELECT * FROM ledger_mismatches")) == shadow


def test_the_largest_amount_is_refused_and_breaks_nothing(cashier: Cashier) -> None:
    cashier.policy(daily_payout_limit_minor=2**63 - 1)
    outcomes = cashier.request(2**63 - 1, 2**63 - 1, 100)
    assert [one.get("code") for one in outcomes] == ["insufficient_funds", "insufficient_funds", None]


def test_a_late_business_date_is_the_tenants(cashier: Cashier) -> None:
    cashier.now += timedelta(hours=9, minutes=30)  # 21:30 UTC, half past midnight in Istanbul
    assert str(cashier.payout(cashier.opened())["business_date"]) == "2026-03-15"


def test_an_unknown_payout_id_is_no_payout(cashier: Cashier) -> None:
    assert cashier.command("cancel", uuid4())["code"] == "unknown_payout"
    assert cashier.rows("SELECT * FROM audit_events WHERE action = 'payouts.cancel'") == []


def ids(cashier: Cashier) -> list[UUID]:
    return [row["id"] for row in cashier.rows("SELECT id FROM payouts ORDER BY id")]


def test_each_request_is_a_payout_of_its_own(cashier: Cashier) -> None:
    outcomes = cashier.request(100, 100, 100)
    assert sorted(UUID(one["payout_id"]) for one in outcomes) == ids(cashier)
    assert counts(cashier) == (3, 3, 3, 3)
