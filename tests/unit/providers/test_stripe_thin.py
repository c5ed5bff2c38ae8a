"""Stripe's thin events: the wrong payload style says what to choose, what moves no money is let go."""

from typing import Any

import pytest

from tests.unit.providers.shapes import encoded
from worker.providers import stripe
from worker.providers.ownership import Ownership
from worker.providers.port import ProviderEvent

CHOOSE = "create the event destination with payload style 'snapshot'"


def parsed(type_: object, **changes: Any) -> ProviderEvent:
    thin = {
        "id": "evt_thin_1",
        "object": "v2.core.event",
        "type": type_,
        "created": "2026-11-20T09:15:30.000Z",
        "livemode": True,
        "related_object": {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"},
    }
    (event,) = stripe.parse(encoded(thin | changes), {}, ours=Ownership())
    return event


@pytest.mark.parametrize(
    "type_",
    ["v1.charge.succeeded", "v1.charge.refunded", "v1.payout.paid", "v1.charge.dispute.created", "v1.customer.created",
     "v1.something.new"],
)  # fmt: skip
def test_the_thin_form_of_a_snapshot_event_says_which_style_to_choose(type_: str) -> None:
    event = parsed(type_)
    assert (event.event_key, event.type, event.move, event.refusal) == (
        "evt_thin_1",
        type_,
        None,
        "thin_event",
    )
    assert event.problem is not None
    assert event.problem.startswith(f"{type_}: this endpoint sends thin events; {CHOOSE}")
    assert event.occurred_at == "2026-11-20T09:15:30+00:00"


@pytest.mark.parametrize(
    "type_",
    ["v2.core.event_destination.ping", "v2.core.account[requirements].updated", "v2.core.account_person.created",
     "v1.billing.meter.no_meter_found"],
)  # fmt: skip
def test_what_moves_no_money_is_let_go(type_: str) -> None:
    event = parsed(type_)
    assert (event.type, event.move, event.problem, event.refusal) == (type_, None, None, None)


@pytest.mark.parametrize(
    "type_",
    ["v2.money_management.outbound_payment.posted", "v2.money_management.received_credit.returned", "v3.new.thing",
     "charge.succeeded"],
)  # fmt: skip
def test_of_the_others_nobody_knows(type_: str) -> None:
    assert (parsed(type_).move, parsed(type_).refusal) == (None, "unknown_event_type")


@pytest.mark.parametrize("changes", [{"livemode": False}, {"context": "acct_theirs"}])
def test_of_another_account_or_mode_it_is_that(changes: dict[str, Any]) -> None:
    assert parsed("v1.charge.succeeded", **changes).refusal == "other_account"


@pytest.mark.parametrize("changes", [{"id": None}, {"id": "a b"}, {"type": None}, {"type": "Jane Doe"}])
def test_what_cannot_be_understood_is_a_problem(changes: dict[str, Any]) -> None:
    event = parsed("v1.charge.succeeded", **changes)
    assert (event.move, event.refusal) == (None, None)
    assert event.problem
