"""The nightly sweep reads an event as its webhook would have been: odd texts, other accounts, two values of a key."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.families.desk import Desk
from tests.integration.providers.eventlist import EventList
from tests.integration.providers.replaying import Reply
from tests.integration.reconciliation.test_sweep import API_KEY, NOW, Stripe, amount
from worker.database import Transaction


@pytest.fixture
def stripe(transaction: Transaction, tenant: str) -> Iterator[Stripe]:
    with EventList(API_KEY) as server:
        yield Stripe(Desk(transaction, tenant, NOW), server)


def results(stripe: Stripe) -> list[tuple[str, str | None]]:
    stripe.desk.drain()
    rows = stripe.desk.rows(
        "SELECT state, result ->> 'code' AS code FROM jobs WHERE name = 'webhooks.event' ORDER BY seq"
    )
    return [(row["state"], row["code"]) for row in rows]


def changed(event: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """With changes of its charge."""
    return event | {"data": {"object": event["data"]["object"] | changes}}


@pytest.mark.parametrize(
    "odd",
    ["Birthday \ud83d", "a\0b", {"\ud83d": "\0"}, 10**400, [[[[]]]] * 40],
    ids=["half", "nul", "keys", "long", "deep"],
)
def test_what_is_not_read_keeps_no_event_from_its_effect(stripe: Stripe, odd: object) -> None:
    [event] = stripe.sells(1)
    stripe.server.rows = [changed(event, description=odd)]
    found = stripe.sweep()
    assert (found.listed, found.missed, found.unreadable) == (1, 1, 0)
    stripe.check_credited(1)


@pytest.mark.parametrize(
    "more", [{"livemode": False}, {"account": "acct_theirs"}, {"context": "acct_theirs"}]
)
def test_another_accounts_event_is_dead_and_ours_is_credited(stripe: Stripe, more: dict[str, Any]) -> None:
    first, second = stripe.sells(2)
    stripe.server.rows = [first | more, second]
    stripe.sweep()
    assert sorted(results(stripe), key=str) == [("dead", "other_account"), ("done", None)]
    assert stripe.desk.wallet() == amount(1)
    assert stripe.sweep().missed == 0


@pytest.mark.parametrize("number", ["1e400", "-1e400"])
def test_a_number_without_an_end_is_read_as_any_other_text(stripe: Stripe, number: str) -> None:
    found = swept_as_sent(stripe, '"description": ' + number)
    assert found == [("done", None)]
    stripe.check_credited(1)


@pytest.mark.parametrize(
    "member", ['"amount_captured": 1', '"currency": "usd"', '"metadata": {"reference": "order-9"}']
)
def test_of_two_values_of_what_is_read_none_is_chosen(stripe: Stripe, member: str) -> None:
    """The SDK would have taken the last."""
    assert swept_as_sent(stripe, member) == [("dead", "malformed_event")]
    assert stripe.desk.wallet() == 0


def swept_as_sent(stripe: Stripe, member: str) -> list[tuple[str, str | None]]:
    """What a sweep makes of one event whose charge has one more member, as Stripe would write it."""
    [event] = stripe.sells(1)
    page = json.dumps({"object": "list", "data": [event], "has_more": False, "url": "/v1/events"})
    raw = page.replace('"data": {"object": {', '"data": {"object": {' + member + ", ").encode()
    empty = b'{"object": "list", "data": [], "has_more": false, "url": "/v1/events"}'
    decide = stripe.server._page

    def answer(query: Any) -> Reply:
        wanted = event["type"] in {value for name, value in query.items() if name.startswith("types[")}
        return Reply(200, raw=raw if wanted and "ending_before" not in query else empty)

    stripe.server._page = answer  # type: ignore[method-assign]
    stripe.sweep()
    stripe.server._page = decide  # type: ignore[method-assign]
    return results(stripe)
