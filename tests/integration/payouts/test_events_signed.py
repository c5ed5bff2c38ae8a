"""Webhooks as the vendors' own helpers sign them, from the raw body to the ledger; forged ones get nowhere."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from models.payouts.payout import attempt_reference
from tests.integration.payouts.event_desk import AMOUNT, EventDesk
from tests.integration.payouts.histories import Histories
from tests.unit.providers import shapes
from worker.database import Transaction
from worker.providers.port import BadSignature, StaleSignature
from worker.providers.registry import receive

Signed = tuple[bytes, Mapping[str, str]]
SECRETS = {"sandbox": shapes.SANDBOX_SECRET, "stripe": shapes.STRIPE_SECRET, "adyen": shapes.ADYEN_SECRET}


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[EventDesk]:
    desk = EventDesk(transaction, tenant, now, Histories(transaction, now))
    yield desk
    desk.check_books()


def sandbox(payout_id: UUID, step: int, status: str) -> Signed:
    event_id = f"evt_{payout_id.hex}_{step}"
    told = {
        "id": "po_1",
        "reference": attempt_reference(payout_id, 1),
        "amount_minor": AMOUNT,
        "status": status,
    }
    body = shapes.sandbox_body(f"payout.{status}", event_id=event_id, sequence=step, **told)
    return body, shapes.sandbox_headers(body, event_id=event_id)


def stripe(payout_id: UUID, step: int, status: str) -> Signed:
    changes: dict[str, Any] = {"amount": AMOUNT, "status": status}
    changes["metadata"] = {"reference": attempt_reference(payout_id, 1)}
    if status == "returned":  # by another payout, which knows only the id of ours
        ours = shapes.fixture("stripe_payout")["id"]
        changes = {"id": "po_2", "original_payout": ours, "amount": -AMOUNT, "status": "paid", "metadata": {}}
    event = json.loads(shapes.stripe_body("payout.updated", "stripe_payout", **changes))
    body = shapes.encoded(event | {"id": f"evt_{payout_id.hex}_{step}", "created": shapes.UNIX_NOW})
    return body, shapes.stripe_headers(body)


def adyen(payout_id: UUID, step: int, status: str) -> Signed:
    envelope = shapes.fixture("adyen_transfer")
    told = {"reference": attempt_reference(payout_id, 1), "sequenceNumber": step, "status": status}
    money = {"amount": {"value": AMOUNT, "currency": "EUR"}}
    body = shapes.encoded(envelope | {"data": envelope["data"] | told | money})
    return body, shapes.adyen_payload_headers(body)


SIGNERS: Mapping[str, Callable[[UUID, int, str], Signed]] = {
    "sandbox": sandbox,
    "stripe": stripe,
    "adyen": adyen,
}
STORIES = [
    ("sandbox", ["submitted", "paid", "returned"], "returned"),
    ("sandbox", ["submitted", "paid", "failed"], "returned"),
    ("sandbox", ["submitted", "failed"], "failed"),
    ("stripe", ["pending", "in_transit", "paid"], "paid"),
    ("stripe", ["pending", "paid", "failed"], "returned"),
    ("stripe", ["pending", "paid", "returned"], "returned"),
    ("stripe", ["pending", "canceled"], "failed"),
    ("adyen", ["received", "authorised", "booked", "credited"], "paid"),
    ("adyen", ["received", "authorised", "booked", "failed"], "returned"),
    ("adyen", ["received", "authorised", "booked", "returned"], "returned"),
    ("adyen", ["received", "refused"], "failed"),
]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("provider", "statuses", "end"), STORIES)
def test_what_a_provider_signs_moves_its_payout(
    desk: EventDesk, provider: str, statuses: list[str], end: str, backwards: bool
) -> None:
    payout_id = desk.payout_in("claim")
    told = [SIGNERS[provider](payout_id, step, status) for step, status in enumerate(statuses, start=1)]
    for body, headers in reversed(told) if backwards else told:
        desk.tell(*receive(provider, [SECRETS[provider]], headers, body, shapes.NOW).events)
    desk.drain()
    assert (desk.state(payout_id), desk.attempts(payout_id)) == (end, [end])
    assert desk.findings(payout_id) == (["late_reversal"] if end == "returned" else [])


@pytest.mark.parametrize(
    ("provider", "other"),
    [("sandbox", "whsec_" + "QUFB" * 11), ("stripe", "whsec_other"), ("adyen", "AB" * 32)],
)
def test_a_forged_or_changed_one_is_refused(provider: str, other: str) -> None:
    body, headers = SIGNERS[provider](UUID(int=1), 1, "paid")
    changed = body.replace(b"500", b"501")
    with pytest.raises(BadSignature):
        receive(provider, [SECRETS[provider]], headers, changed, shapes.NOW)
    with pytest.raises(BadSignature):
        receive(provider, [other], headers, body, shapes.NOW)


@pytest.mark.parametrize("provider", ["sandbox", "stripe"])
def test_an_old_one_is_refused(provider: str) -> None:
    body, headers = SIGNERS[provider](UUID(int=1), 1, "paid")
    with pytest.raises(StaleSignature):
        receive(provider, [SECRETS[provider]], headers, body, shapes.NOW + timedelta(seconds=301))
