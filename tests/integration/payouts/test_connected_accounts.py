"""Payouts to Stripe's connected accounts: told of by the account they went to, whatever the settings list; by no other.

Webhooks as Stripe signs them, read with an account's settings, from the raw body to the ledger.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from models.payouts.payout import attempt_reference
from tests.integration.payouts.event_desk import AMOUNT, EventDesk
from tests.integration.payouts.histories import Histories
from tests.unit.providers import shapes
from worker.database import Transaction
from worker.providers.ownership import Ownership
from worker.providers.registry import receive

MERCHANT = "acct_merchant"


@pytest.fixture
def destination() -> str:
    return f"{MERCHANT}/default"


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime, destination: str) -> Iterator[EventDesk]:
    desk = EventDesk(transaction, tenant, now, Histories(transaction, now, destination=destination))
    yield desk
    desk.check_books()


def hear(
    desk: EventDesk, step: int, type_: str, account: str | None = MERCHANT, **changes: Any
) -> dict[str, Any]:
    """Deliver an event about a payout object of 5.00."""
    event = json.loads(shapes.stripe_body(type_, "stripe_payout", **({"amount": AMOUNT} | changes)))
    about = {"id": f"evt_{step}", "created": shapes.UNIX_NOW + step}
    body = shapes.encoded(event | about | ({"account": account} if account else {}))
    headers = shapes.stripe_headers(body)
    [told] = receive("stripe", [shapes.STRIPE_SECRET], headers, body, shapes.NOW, ours=Ownership()).events
    [outcome] = desk.hear(told)
    return outcome


def object_id(payout_id: UUID) -> str:
    return f"po_{payout_id.hex[-6:]}"


def ours(payout_id: UUID, status: str, **more: Any) -> dict[str, Any]:
    metadata = {"reference": attempt_reference(payout_id, 1)}
    return {"id": object_id(payout_id), "status": status, "metadata": metadata} | more


def reversing(payout_id: UUID, status: str, **more: Any) -> dict[str, Any]:
    about = {"id": "po_reversing", "original_payout": object_id(payout_id), "metadata": {}}
    return about | {"amount": -AMOUNT, "status": status} | more


@pytest.mark.parametrize("account", [MERCHANT, None])
def test_a_reversal_that_fails_leaves_the_money_with_the_payee(desk: EventDesk, account: str | None) -> None:
    payout_id = desk.payout_in("claim", "submit")
    hear(desk, 1, "payout.paid", account, **ours(payout_id, "paid"))
    hear(desk, 2, "payout.updated", account, **ours(payout_id, "paid", reversed_by="po_reversing"))
    hear(desk, 3, "payout.created", account, **reversing(payout_id, "pending"))
    failed = reversing(payout_id, "failed", failure_code="account_closed")
    for _ in range(2):
        hear(desk, 4, "payout.failed", account, **failed)
    assert (desk.state(payout_id), desk.wallet(), desk.findings(payout_id)) == ("paid", 0, [])
    assert desk.ledger(payout_id) == ["hold.placed", "hold.captured"]


def test_one_that_is_paid_brings_it_back_and_one_that_then_fails_takes_it_again(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit")
    hear(desk, 1, "payout.paid", **ours(payout_id, "paid"))
    hear(desk, 3, "payout.paid", **reversing(payout_id, "paid"))
    assert (desk.state(payout_id), desk.wallet()) == ("returned", AMOUNT)
    hear(desk, 9, "payout.failed", **reversing(payout_id, "failed", failure_code="debit_not_authorized"))
    assert (desk.state(payout_id), desk.wallet()) == ("paid", 0)
    assert desk.findings(payout_id) == ["late_reversal", "status_mismatch"]


@pytest.mark.parametrize("account", ["acct_stranger", "acct_Merchant"])
@pytest.mark.parametrize(("type_", "status"), [("payout.paid", "paid"), ("payout.failed", "failed")])
def test_another_account_that_names_our_reference_moves_nothing(
    desk: EventDesk, account: str, type_: str, status: str
) -> None:
    payout_id = desk.payout_in("claim", "doubt")
    outcome = hear(desk, 1, type_, account, **(ours(payout_id, status) | {"id": "po_theirs"}))
    assert (outcome["state"], outcome["code"]) == ("dead", "other_account")
    assert (desk.state(payout_id), desk.findings(payout_id)) == ("in_doubt", [])
    hear(desk, 2, "payout.paid", **ours(payout_id, "paid"))
    assert desk.state(payout_id) == "paid"


@pytest.mark.parametrize("destination", ["ba_1", "default", MERCHANT])
def test_nor_does_a_connected_account_where_the_money_left_our_own(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit")
    assert hear(desk, 1, "payout.failed", **ours(payout_id, "failed"))["code"] == "other_account"
    hear(desk, 2, "payout.paid", None, **ours(payout_id, "paid"))
    assert desk.state(payout_id) == "paid"


def test_the_payouts_that_a_connected_account_makes_itself_are_not_ours(desk: EventDesk) -> None:
    outcome = hear(desk, 1, "payout.paid", id="po_automatic", status="paid", metadata={}, automatic=True)
    assert (outcome["state"], outcome["cause"]) == ("done", "not_ours")


def test_a_stranger_reverses_nothing(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit")
    hear(desk, 1, "payout.paid", **ours(payout_id, "paid"))
    outcome = hear(desk, 2, "payout.paid", "acct_stranger", **reversing(payout_id, "paid"))
    assert (outcome["code"], desk.state(payout_id)) == ("other_account", "paid")
