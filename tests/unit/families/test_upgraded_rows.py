"""Rows that an earlier release wrote, and what their provider reports of them after the upgrade."""

from typing import Any

import pytest

from tasks.webhooks.facts import Deposit
from tests.unit.families.playing import Play
from tests.unit.providers.shapes import encoded
from tests.unit.providers.vendors import BEGAN, NEW_API, refund, stripe_event
from worker.providers import stripe


def part(amount: int, *, reversed: bool = False) -> dict[str, Any]:  # noqa: A002 - the stored name
    return {"amount_minor": amount, "object_id": "ch_1", "reversed": reversed, "duplicate": False}


def row(*, refunds: dict[str, Any]) -> Deposit:
    """100.00 captured, and a `charge.refunded` of 40.00: 0.4 stored the bare total."""
    parts = {
        "failed": False,
        "captures": {"ch_1": part(10000)},
        "refunds": refunds,
        "chargebacks": {},
        "totals": {"ch_1": 4000},
        "sequences": {},
    }
    known = {"provider": "stripe", "reference": "order-1", "owner": "ada", "currency": "EUR"}
    return Deposit.from_row(known | {"expected_minor": 10000, "object_ids": ["ch_1"], "parts": parts})


@pytest.mark.parametrize(
    ("refunds", "type_", "status", "wallet"),
    [
        ({"re_1": part(4000)}, "refund.updated", "succeeded", 6000),
        ({}, "charge.refund.updated", "succeeded", 6000),
        ({}, "refund.created", "succeeded", 6000),
        ({"re_1": part(4000, reversed=True)}, "refund.updated", "failed", 10000),
        ({"re_1": part(4000)}, "refund.failed", "failed", 10000),
        ({}, "charge.refund.updated", "failed", 10000),
    ],
)
def test_a_refund_that_the_stored_total_contains_is_not_taken_again(
    refunds: dict[str, Any], type_: str, status: str, wallet: int
) -> None:
    play = Play(row(refunds=refunds))
    told = refund(4000, status, created=BEGAN + 10)
    play.hear(stripe.parse(encoded(stripe_event(type_, told, 90, api=NEW_API)), {}))
    assert (play.deposit.position, play.parked, play.dead) == ((wallet, 0, 0), [], [])
