"""Payout jobs by SQL and by Celery: what the shim would refuse becomes a dead job, with the same errors."""

import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from tasks.intake.door import submit
from tests.integration.payouts.cashier import SIGNED, Cashier
from worker.database import Transaction

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("payouts.request", {"destination": "DE89370400440532013000"}, "/destination"),
    ("payouts.request", {"destination": "4111111111111111"}, "/destination"),
    ("payouts.request", {"amount_minor": 1.0}, "/amount_minor"),
    ("payouts.request", {"amount_minor": "100"}, "/amount_minor"),
    ("payouts.request", {"amount_minor": 0}, "/amount_minor"),
    ("payouts.request", {"currency": "XXX"}, "/currency"),
    ("payouts.request", {"state": "paid"}, "/state"),
    ("payouts.mark_paid", {"payout_id": "1"}, "/payout_id"),
    ("payouts.approve", {"reason": ""}, "/reason"),
    ("providers.pause", {"provider": "Sandbox"}, "/provider"),
]
COMMAND = {"payout_id": "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f", **SIGNED}


def arguments(cashier: Cashier, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    plain = {"payouts.request": cashier.asking(), "providers.pause": {"provider": "sandbox", **SIGNED}}
    return plain.get(name, COMMAND) | changes


def by_sql(cashier: Cashier, owner: Transaction, name: str, args: dict[str, Any]) -> UUID:
    enqueue = text("SELECT enqueue_job('acme', :name, 'k', CAST(:args AS jsonb))")
    with owner() as session:
        return UUID(str(session.execute(enqueue, {"name": name, "args": json.dumps(args)}).scalar_one()))


def by_celery(cashier: Cashier, _owner: Transaction, name: str, args: dict[str, Any]) -> UUID:
    """The function behind `jobs.accept`, with what the message holds."""
    return submit(cashier.transaction, tenant="acme", name=name, key="k", args=args, now=cashier.now).job_id


@pytest.mark.parametrize("door", [by_sql, by_celery])
@pytest.mark.parametrize(("name", "changes", "pointer"), BAD)
def test_wrong_arguments_are_dead_and_move_nothing(
    cashier: Cashier,
    owner_transaction: Transaction,
    door: Any,
    name: str,
    changes: dict[str, Any],
    pointer: str,
) -> None:
    job_id = door(cashier, owner_transaction, name, arguments(cashier, name, changes))
    cashier.drain()
    outcome = cashier.outcome(job_id)
    assert (outcome["state"], outcome["code"]) == ("dead", "invalid_arguments")
    assert [error["pointer"] for error in outcome["errors"]] == [pointer]
    assert (cashier.wallet(), cashier.rows("SELECT * FROM payouts")) == (1000, [])
    told = cashier.rows("SELECT result, last_error FROM jobs WHERE id = :id", id=job_id)
    assert "DE89" not in str(told)
    assert "4111" not in str(told)


@pytest.mark.parametrize("door", [by_sql, by_celery])
def test_a_request_by_either_door_is_a_payout(
    cashier: Cashier, owner_transaction: Transaction, door: Any
) -> None:
    job_id = door(cashier, owner_transaction, "payouts.request", cashier.asking(100))
    cashier.drain()
    assert (cashier.state(job_id), cashier.held()) == ("approved", 100)


def test_a_provider_is_paused_and_resumed_with_a_name_and_a_reason(cashier: Cashier) -> None:
    said = {"provider": "sandbox", **SIGNED}
    for name, paused in (("providers.pause", True), ("providers.resume", False)):
        [outcome] = cashier.do(name, said)
        assert outcome == {
            "state": "done",
            "error": None,
            "provider": "sandbox",
            "paused": paused,
            "changed": True,
        }
        [audit] = cashier.rows("SELECT * FROM audit_events WHERE action = :name", name=name)
        assert (audit["actor"], audit["reason"], audit["subject"]) == (*SIGNED.values(), "provider:sandbox")
    [unknown] = cashier.do("providers.pause", {**said, "provider": "nowhere"})
    assert unknown["code"] == "provider_not_configured"
