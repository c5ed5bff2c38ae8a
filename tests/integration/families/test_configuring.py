"""wallets.configure and policies.set: permissions, shadow mode, and the trail they leave."""

from typing import Any

from sqlalchemy import Engine

from tests.integration.families.desk import Desk, counting_statements
from tests.integration.families.test_wallets import args


def audit(desk: Desk) -> list[dict[str, Any]]:
    return desk.rows("SELECT * FROM audit_events WHERE tenant = :tenant ORDER BY id")


def policy(**changes: Any) -> dict[str, Any]:
    return {**changes, "actor": "ops:dana", "reason": "agreed"}


def test_overdraft_lets_a_wallet_go_below_zero_also_one_that_is_yet_to_come(desk: Desk) -> None:
    [done] = desk.do("wallets.configure", {"owner": "ada", "allow_overdraft": True})
    assert done["state"] == "done"
    assert [one["state"] for one in desk.do("wallets.debit", args(50), args(5, currency="USD"))] == [
        "done",
        "done",
    ]
    assert (desk.wallet(), desk.wallet(currency="USD")) == (-50, -5)


def test_overdraft_of_one_currency_leaves_the_others_as_they_are(desk: Desk) -> None:
    desk.do("wallets.configure", {"owner": "ada", "currency": "EUR", "allow_overdraft": True})
    euro, dollar = desk.do("wallets.debit", args(50), args(5, currency="USD"))
    assert (euro["state"], dollar["state"]) == ("done", "refused")


def test_overdraft_is_not_taken_from_a_wallet_that_uses_it(desk: Desk) -> None:
    desk.do("wallets.configure", {"owner": "ada", "allow_overdraft": True})
    desk.do("wallets.debit", args(50))
    [refused] = desk.do(
        "wallets.configure", {"owner": "ada", "allow_overdraft": False, "kyc_status": "verified"}
    )
    assert (refused["state"], refused["code"], refused["currencies"]) == ("refused", "overdrawn", ["EUR"])
    assert desk.rows("SELECT kyc_status FROM wallet_owners") == [{"kyc_status": "unverified"}]
    desk.do("wallets.credit", args(50))
    [done] = desk.do("wallets.configure", {"owner": "ada", "allow_overdraft": False})
    assert done["allow_overdraft_by_currency"] == {"EUR": False}
    assert desk.do("wallets.debit", args(1))[0]["code"] == "insufficient_funds"


def test_several_changes_of_one_owner_in_one_batch_take_effect_in_order(desk: Desk) -> None:
    desk.do(
        "wallets.configure",
        {"owner": "ada", "kyc_status": "pending"},
        {"owner": "ben", "kyc_status": "rejected"},
        {"owner": "ada", "kyc_status": "verified", "allow_overdraft": True},
        {"owner": "ada", "currency": "USD", "allow_overdraft": False},
    )
    rows = desk.rows("SELECT owner, kyc_status, allow_overdraft FROM wallet_owners ORDER BY owner")
    assert [tuple(row.values()) for row in rows] == [("ada", "verified", True), ("ben", "rejected", False)]
    assert [one["subject"] for one in audit(desk)] == ["wallet:ada", "wallet:ben", "wallet:ada", "wallet:ada"]
    assert audit(desk)[2]["detail"]["before"]["kyc_status"] == "pending"
    assert {one["actor"] for one in audit(desk)} == {"app:acme"}
    assert [one["state"] for one in desk.do("wallets.debit", args(5), args(5, currency="USD"))] == [
        "done",
        "refused",
    ]


def test_configuring_costs_the_same_statements_for_1_and_200_jobs(desk: Desk, engine: Engine) -> None:
    sent = []
    for jobs in (range(1), range(1, 201)):
        changes = [{"owner": f"o{number}", "currency": "EUR", "allow_overdraft": True} for number in jobs]
        desk.hand_in("wallets.configure", *changes)
        with counting_statements(engine) as statements:
            desk.drain()
        sent.append(len(statements))
    assert sent[0] == sent[1]


def test_a_policy_is_set_and_audited_with_before_and_after(desk: Desk) -> None:
    [done] = desk.do("policies.set", policy(daily_deposit_limit_minor=500, payout_retry_limit=5))
    assert done["changed"] == ["daily_deposit_limit_minor", "payout_retry_limit"]
    desk.do("policies.set", policy(daily_deposit_limit_minor=None))
    [row] = desk.rows("SELECT * FROM tenants WHERE tenant = :tenant")
    assert (row["daily_deposit_limit_minor"], row["payout_retry_limit"], row["kyc_required"]) == (
        None,
        5,
        False,
    )
    first, second = audit(desk)
    assert (first["actor"], first["reason"], first["subject"]) == ("ops:dana", "agreed", "tenant:acme")
    assert first["detail"]["before"] == {"daily_deposit_limit_minor": None, "payout_retry_limit": 3}
    assert second["detail"]["after"] == {"daily_deposit_limit_minor": None}


def test_a_policy_holds_for_what_follows_it_in_the_same_batch(desk: Desk) -> None:
    desk.hand_in("policies.set", policy(ledger_mode="shadow"))
    desk.hand_in("wallets.debit", args(50))
    desk.drain()
    assert desk.wallet() == -50


def test_a_policy_of_one_tenant_leaves_the_other_alone(desk: Desk, other_desk: Desk) -> None:
    other_desk.do("wallets.credit", args(10))
    desk.do("policies.set", policy(ledger_mode="shadow"))
    assert other_desk.do("wallets.debit", args(11))[0]["state"] == "refused"


def test_shadow_records_what_is_missing_and_enforce_waits_until_nobody_is_below_zero(desk: Desk) -> None:
    desk.do("wallets.credit", args(10))
    desk.do("policies.set", policy(ledger_mode="shadow"))
    assert desk.do("wallets.debit", args(15), args(5, owner="new"))[0]["state"] == "done"
    assert desk.rows("SELECT short_minor FROM ledger_mismatches ORDER BY id") == [
        {"short_minor": 5},
        {"short_minor": 5},
    ]
    [refused] = desk.do("policies.set", policy(ledger_mode="enforce", kyc_required=True))
    assert (refused["state"], refused["code"], refused["wallets"]) == ("refused", "negative_balances", 2)
    assert desk.rows("SELECT kyc_required FROM tenants WHERE tenant = :tenant") == [{"kyc_required": False}]
    desk.do("wallets.credit", args(5), args(5, owner="new"))
    assert desk.do("policies.set", policy(ledger_mode="enforce"))[0]["state"] == "done"
    assert desk.do("wallets.debit", args(1))[0]["code"] == "insufficient_funds"
    assert desk.rows("SELECT count(*) AS left FROM accounts WHERE tenant = :tenant AND shadow") == [
        {"left": 0}
    ]


def test_several_policies_in_one_batch_are_decided_one_after_another(desk: Desk) -> None:
    answers = desk.do(
        "policies.set",
        policy(ledger_mode="shadow"),
        policy(ledger_mode="enforce", payout_retry_limit=9),
        policy(ledger_mode="shadow", payout_cooldown_seconds=60),
    )
    assert [one["state"] for one in answers] == ["done"] * 3
    [row] = desk.rows(
        "SELECT ledger_mode, payout_retry_limit, payout_cooldown_seconds FROM tenants WHERE tenant = :tenant"
    )
    assert tuple(row.values()) == ("shadow", 9, 60)
