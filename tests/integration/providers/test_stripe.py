"""The Stripe adapter through the real SDK, against recorded shapes of api.stripe.com with its idempotency."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.providers.accounts import account, order
from tests.integration.providers.replaying import Replaying, Reply
from worker.providers.payouts import registry
from worker.providers.payouts.errors import ANY, Row
from worker.providers.payouts.port import (
    Answer,
    Declined,
    Found,
    InDoubt,
    NotFound,
    NotSent,
    PayoutProvider,
    Sighting,
    Stopped,
    Submitted,
    Unsure,
)
from worker.providers.payouts.stripe import ERRORS

NOW = datetime(2026, 11, 2, tzinfo=UTC)
KEY = "sk_test_0123456789abcdef"

PAYOUT: dict[str, Any] = {
    "id": "po_1MtHhz2eZvKYlo2CcHm5Pnxm",
    "object": "payout",
    "amount": 1250,
    "arrival_date": 1793577600,
    "automatic": False,
    "created": 1793577600,
    "currency": "eur",
    "destination": "ba_1MtIhL2eZvKYlo2C",
    "failure_code": None,
    "livemode": False,
    "metadata": {"reference": "7f3a-1"},
    "method": "standard",
    "reversed_by": None,
    "status": "pending",
    "type": "bank_account",
}
TRANSFER: dict[str, Any] = {
    "id": "tr_1MiN3gLkdIwHu7ix",
    "object": "transfer",
    "amount": 1250,
    "amount_reversed": 0,
    "created": 1793577600,
    "currency": "eur",
    "destination": "acct_1",
    "metadata": {"reference": "7f3a-1"},
    "reversals": {"object": "list", "data": [], "has_more": False},
    "reversed": False,
    "transfer_group": "7f3a-1",
}


def listed(*rows: dict[str, Any], has_more: bool = False) -> Reply:
    return Reply(200, {"object": "list", "url": "/v1/payouts", "has_more": has_more, "data": list(rows)})


def refused(status: int, kind: str, code: str | None = None, **more: Any) -> Reply:
    told = {"type": kind, "code": code, "message": "Something with acct_1/ba_1 in it"}
    return Reply(status, {"error": told}, {"request-id": "req_1"}, **more)


@pytest.fixture
def server() -> Iterator[Replaying]:
    with Replaying(mismatch=refused(400, "idempotency_error")) as running:
        yield running


@pytest.fixture
def provider(server: Replaying) -> PayoutProvider:
    return registry.build(account("stripe", server.url, KEY))


def form(server: Replaying) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(server.seen[-1].body.decode()).items()}


def query(server: Replaying, at: int = -1) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(server.seen[at].target).query).items()}


@pytest.mark.parametrize(
    ("destination", "connected", "external"),
    [
        ("acct_1/ba_1", "acct_1", "ba_1"),
        ("acct_1/card_1", "acct_1", "card_1"),
        ("acct_1/default", "acct_1", None),
        ("ba_1", None, "ba_1"),
        ("default", None, None),
    ],
)
def test_a_payout_leaves_the_account_that_the_destination_names(
    server: Replaying, provider: PayoutProvider, destination: str, connected: str | None, external: str | None
) -> None:
    server.says(Reply(200, PAYOUT))
    assert provider.send(order(destination=destination)) == Submitted(PAYOUT["id"])
    seen = server.seen[-1]
    assert (seen.method, seen.target) == ("POST", "/v1/payouts")
    assert seen.headers["idempotency-key"] == "lb-7f3a-1"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers.get("stripe-account") == connected
    expected = {"amount": "1250", "currency": "eur", "metadata[reference]": "7f3a-1"}
    assert form(server) == expected | ({"destination": external} if external else {})


def test_a_bare_account_is_a_transfer_which_is_paid_at_once(
    server: Replaying, provider: PayoutProvider
) -> None:
    server.says(Reply(200, TRANSFER))
    assert provider.send(order(destination="acct_1")) == Submitted(TRANSFER["id"], "paid")
    assert server.seen[-1].target == "/v1/transfers"
    assert "stripe-account" not in server.seen[-1].headers
    assert form(server) == {
        "amount": "1250",
        "currency": "eur",
        "destination": "acct_1",
        "metadata[reference]": "7f3a-1",
        "transfer_group": "7f3a-1",
    }


def test_stripes_units_are_used_both_ways(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, PAYOUT | {"amount": 700, "currency": "isk"}))
    answer = provider.send(order(amount_minor=7, currency="ISK", destination="ba_1"))
    assert answer == Submitted(PAYOUT["id"])
    assert form(server)["amount"] == "700"


@pytest.mark.parametrize(
    "destination", ["", "acct_", "acct_1/", "acct_1/po_1", "../v1/x", "ba_1/acct_1", "ba_1\n", "bank-1"]
)
def test_a_destination_that_is_none_is_declined_without_a_call(
    server: Replaying, provider: PayoutProvider, destination: str
) -> None:
    answer = provider.send(order(destination=destination))
    assert answer == Declined("destination_not_understood", retryable=False)
    assert server.seen == []


def test_an_amount_that_stripe_cannot_pay_is_declined_without_a_call(
    server: Replaying, provider: PayoutProvider
) -> None:
    answer = provider.send(order(amount_minor=12345, currency="HUF", destination="ba_1"))
    assert answer == Declined("amount_not_representable", retryable=False)
    assert server.seen == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "in_transit"}, Submitted(PAYOUT["id"])),
        ({"status": "paid"}, Submitted(PAYOUT["id"], "paid")),
        ({"status": "failed", "failure_code": "no_account"}, Submitted(PAYOUT["id"], "failed", "no_account")),
        ({"status": "canceled"}, Submitted(PAYOUT["id"], "failed", "canceled")),
        ({"status": "surprising"}, InDoubt("unreadable_answer")),
        ({"amount": 1}, InDoubt("other_payout_answered")),
        ({"currency": "usd"}, InDoubt("other_payout_answered")),
        ({"metadata": {}}, InDoubt("unreadable_answer")),
        ({"id": 7}, InDoubt("unreadable_answer")),
    ],
)
def test_the_answer_says_what_became_of_it(
    server: Replaying, provider: PayoutProvider, more: dict[str, Any], expected: Answer
) -> None:
    server.says(Reply(200, PAYOUT | more))
    assert provider.send(order(destination="ba_1")) == expected


def expected_of(row: Row, code: str) -> Answer:
    told = code or (f"http_{row.status}" if row.kind == ANY else row.kind)
    answers: dict[str, Answer] = {
        "not_sent": NotSent(told, 3.0),
        "declined_retryable": Declined(told, True, 3.0),
        "declined_final": Declined(told, False),
        "in_doubt": InDoubt(told),
        "stop": Stopped(told),
    }
    return answers[row.means]


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.status}-{row.kind}-{row.code}")
def test_each_row_of_the_map_through_the_sdk(server: Replaying, provider: PayoutProvider, row: Row) -> None:
    kind = "invalid_request_error" if row.kind == ANY else row.kind
    code = "some_code" if row.code == ANY else row.code
    reply = refused(row.status, kind, code)
    server.says(Reply(row.status, reply.body, {"retry-after": "3", "stripe-should-retry": "true"}))
    assert provider.send(order(destination="ba_1")) == expected_of(row, code)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(401, raw=b"<html>"), Stopped("http_401")),
        (Reply(403, raw=b""), Stopped("http_403")),
        (Reply(400, raw=b"<html>"), InDoubt("http_400")),
        (Reply(400, {"error": "invalid_client"}), InDoubt("http_400")),
        (Reply(404, {"detail": "not found"}), InDoubt("http_404")),
        (refused(404, "new_kind_of_error"), InDoubt("new_kind_of_error")),
        (refused(418, "invalid_request_error", "teapot"), InDoubt("teapot")),
        (refused(500, "invalid_request_error", "balance_insufficient"), InDoubt("http_500")),
        (refused(503, "api_error"), InDoubt("http_503")),
        (
            refused(400, "invalid_request_error", "bad code with a secret"),
            Declined("invalid_request_error", False),
        ),
    ],
)
def test_what_stands_in_no_row_is_in_doubt(
    server: Replaying, provider: PayoutProvider, reply: Reply, expected: Answer
) -> None:
    server.says(reply)
    assert provider.send(order(destination="ba_1")) == expected


def test_a_saved_500_is_replayed_and_stays_in_doubt(server: Replaying, provider: PayoutProvider) -> None:
    server.says(refused(500, "api_error"), Reply(200, PAYOUT))
    assert provider.send(order(destination="ba_1")) == InDoubt("http_500")
    assert provider.send(order(destination="ba_1")) == InDoubt("http_500")
    assert (len(server.seen), len(server.processed)) == (2, 1)


def test_the_same_key_gets_the_same_payout(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, PAYOUT), Reply(200, PAYOUT | {"id": "po_second"}))
    first = provider.send(order(destination="ba_1"))
    assert provider.send(order(destination="ba_1")) == first
    assert len(server.processed) == 1


def test_a_key_of_another_payout_is_in_doubt(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, PAYOUT))
    provider.send(order(destination="ba_1"))
    assert provider.send(order(destination="ba_1", amount_minor=9)) == InDoubt("idempotency_error")


def test_after_throttling_the_same_key_pays(server: Replaying, provider: PayoutProvider) -> None:
    server.says(refused(429, "invalid_request_error", "rate_limit", kept=False), Reply(200, PAYOUT))
    assert provider.send(order(destination="ba_1")) == NotSent("rate_limit")
    assert provider.send(order(destination="ba_1")) == Submitted(PAYOUT["id"])


def look_up(provider: PayoutProvider, destination: str, object_id: str | None = None) -> Sighting:
    return provider.look_up("7f3a-1", since=NOW, destination=destination, object_id=object_id)


FOUND = Found(PAYOUT["id"], "submitted", 1250, "EUR")


def test_a_payout_is_found_by_metadata_in_its_account_and_time(
    server: Replaying, provider: PayoutProvider
) -> None:
    automatic = PAYOUT | {"id": "po_automatic", "metadata": {}}
    server.says(listed(automatic, PAYOUT))
    assert look_up(provider, "acct_1/ba_1") == FOUND
    assert server.seen[-1].headers["stripe-account"] == "acct_1"
    assert query(server) == {
        "created[gte]": str(int(NOW.timestamp()) - 2 * 3600),  # our clock may have been an hour wrong
        "created[lte]": str(int(NOW.timestamp()) + 26 * 3600),
        "destination": "ba_1",
        "limit": "100",
    }


def test_all_pages_are_looked_through(server: Replaying, provider: PayoutProvider) -> None:
    others = [PAYOUT | {"id": f"po_{i}", "metadata": {"reference": f"other-{i}"}} for i in range(3)]
    server.says(listed(*others, has_more=True), listed(PAYOUT))
    assert look_up(provider, "default") == FOUND
    assert query(server)["starting_after"] == "po_2"
    assert "destination" not in query(server)


def test_a_list_without_an_end_is_no_proof(server: Replaying, provider: PayoutProvider) -> None:
    server.says(listed(PAYOUT | {"metadata": {}}, has_more=True))
    assert look_up(provider, "default") == Unsure("too_many_to_look_through")
    assert len(server.seen) == 20


@pytest.mark.parametrize("destination", ["acct_1", "acct_1/ba_1", "ba_1", "default"])
def test_an_empty_list_is_not_found(server: Replaying, provider: PayoutProvider, destination: str) -> None:
    server.says(listed())
    assert look_up(provider, destination) == NotFound()


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": []},
        {"object": "list", "has_more": False},
        {"object": "list", "has_more": True, "data": []},
        {"object": "list", "has_more": False, "data": {}},
        {"object": "list", "has_more": False, "data": ["x"]},
    ],
)
@pytest.mark.parametrize("destination", ["acct_1", "ba_1"])
def test_a_list_that_is_none_is_no_proof(
    server: Replaying, provider: PayoutProvider, body: object, destination: str
) -> None:
    server.says(Reply(200, body))
    assert isinstance(look_up(provider, destination), Unsure)


def test_two_payouts_under_one_reference_are_for_a_person(
    server: Replaying, provider: PayoutProvider
) -> None:
    server.says(listed(PAYOUT, PAYOUT | {"id": "po_2"}))
    assert look_up(provider, "ba_1") == Unsure("several_found")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "paid"}, Found(PAYOUT["id"], "paid", 1250, "EUR")),
        (
            {"status": "paid", "reversed_by": "po_9"},
            Found(PAYOUT["id"], "paid", 1250, "EUR"),
        ),  # asked for only
        (
            {"status": "failed", "failure_code": "account_closed"},
            Found(PAYOUT["id"], "failed", 1250, "EUR", "account_closed"),
        ),
        ({"metadata": {"reference": "other"}}, Unsure("unreadable_answer")),
    ],
)
def test_a_known_payout_is_fetched_by_its_id(
    server: Replaying, provider: PayoutProvider, more: dict[str, Any], expected: Sighting
) -> None:
    server.says(Reply(200, PAYOUT | more))
    assert look_up(provider, "acct_1/default", PAYOUT["id"]) == expected
    assert server.seen[-1].target == f"/v1/payouts/{PAYOUT['id']}"
    assert server.seen[-1].headers["stripe-account"] == "acct_1"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, Found(TRANSFER["id"], "paid", 1250, "EUR")),
        ({"reversed": True, "amount_reversed": 1250}, Found(TRANSFER["id"], "returned", 1250, "EUR")),
        ({"amount_reversed": 1}, Unsure("unreadable_answer")),  # came back in part: for a person
    ],
)
def test_a_transfer_is_found_by_its_group(
    server: Replaying, provider: PayoutProvider, more: dict[str, Any], expected: Sighting
) -> None:
    server.says(listed(TRANSFER | more))
    assert look_up(provider, "acct_1") == expected
    assert query(server) == {"transfer_group": "7f3a-1", "limit": "100"}
    server.says(Reply(200, TRANSFER | more))
    assert look_up(provider, "acct_1", TRANSFER["id"]) == expected
    assert server.seen[-1].target == f"/v1/transfers/{TRANSFER['id']}"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_a_look_up_that_is_refused_is_no_proof(
    server: Replaying, provider: PayoutProvider, status: int
) -> None:
    server.says(refused(status, "invalid_request_error", "resource_missing"))
    for object_id in (None, "po_1"):
        assert isinstance(look_up(provider, "ba_1", object_id), Unsure)
