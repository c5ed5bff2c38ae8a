"""The Adyen adapter through the real SDK, against recorded shapes of the Transfers API v4 with its idempotency."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from freezegun import freeze_time

from tests.integration.providers.accounts import account, order
from tests.integration.providers.replaying import Replaying, Reply
from worker.providers.payouts import registry
from worker.providers.payouts.adyen import ERRORS, RETRYABLE_REASONS
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
from worker.settings import SettingsError

NOW = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
KEY = "AQEyhmfxK_a-key"

TRANSFER: dict[str, Any] = {
    "id": "38EBJT5Z2PJQGSO5",
    "accountHolder": {"id": "AH32272223222B5GL9FGB3GFJ"},
    "amount": {"currency": "EUR", "value": 1250},
    "balanceAccount": {"id": "BA00000000000000000000001"},
    "category": "bank",
    "counterparty": {"transferInstrumentId": "SE1234567890ABC1234567890"},
    "direction": "outgoing",
    "reason": "approved",
    "reference": "7f3a-1",
    "sequenceNumber": 1,
    "status": "authorised",
    "type": "bankTransfer",
}


def refused(status: int, code: str | None, transient: bool | None = None, **more: Any) -> Reply:
    body = {
        "type": "https://docs.adyen.com/errors",
        "title": "SE123 is wrong",
        "status": status,
        "errorCode": code,
    }
    headers = {} if transient is None else {"transient-error": str(transient).lower()}
    return Reply(status, body, headers, **more)


def listed(*rows: object, **more: object) -> Reply:
    return Reply(200, {"_links": {}, "data": list(rows)} | more)


@pytest.fixture
def server() -> Iterator[Replaying]:
    with Replaying(mismatch=refused(422, "704")) as running:
        yield running


@pytest.fixture
def provider(server: Replaying) -> PayoutProvider:
    return registry.build(account("adyen", server.url, KEY, source_account="BA1"))


def test_a_payout_to_a_bank_leaves_the_source_account(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(202, TRANSFER))
    assert provider.send(order(destination="SE123")) == Submitted(TRANSFER["id"])
    seen = server.seen[-1]
    assert (seen.method, seen.target) == ("POST", "/btl/v4/transfers")
    assert seen.headers["idempotency-key"] == "lb-7f3a-1"
    assert seen.headers["x-api-key"] == KEY
    assert json.loads(seen.body) == {
        "amount": {"value": 1250, "currency": "EUR"},
        "balanceAccountId": "BA1",
        "category": "bank",
        "counterparty": {"transferInstrumentId": "SE123"},
        "reference": "7f3a-1",
    }


def test_another_balance_account_is_paid_inside(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, TRANSFER | {"category": "internal", "status": "booked"}))
    assert provider.send(order(destination="BA2")) == Submitted(TRANSFER["id"], "paid")
    sent = json.loads(server.seen[-1].body)
    assert (sent["category"], sent["counterparty"]) == ("internal", {"balanceAccountId": "BA2"})


def test_adyens_units_are_used_both_ways(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, TRANSFER | {"amount": {"currency": "CLP", "value": 500}}))
    assert provider.send(order(amount_minor=5, currency="CLP", destination="SE1")) == Submitted(
        TRANSFER["id"]
    )
    assert json.loads(server.seen[-1].body)["amount"] == {"value": 500, "currency": "CLP"}


@pytest.mark.parametrize(
    "more", [{"destination": "NL02ABNA0123456789"}, {"destination": "SE1/../x"}, {"destination": ""}]
)
def test_a_destination_that_is_no_token_is_declined_without_a_call(
    server: Replaying, provider: PayoutProvider, more: dict[str, Any]
) -> None:
    assert provider.send(order(**more)) == Declined("destination_not_understood", retryable=False)
    assert server.seen == []


def test_an_amount_that_adyen_cannot_be_told_is_declined_without_a_call(
    server: Replaying, provider: PayoutProvider
) -> None:
    answer = provider.send(order(amount_minor=501, currency="IDR", destination="SE1"))
    assert answer == Declined("amount_not_representable", retryable=False)
    assert server.seen == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"status": "received"}, Submitted(TRANSFER["id"])),
        ({"status": "booked"}, Submitted(TRANSFER["id"], "paid")),
        ({"status": "failed", "reason": "declined"}, Submitted(TRANSFER["id"], "failed", "declined")),
        (
            {"status": "refused", "reason": "routeNotFound"},
            Submitted(TRANSFER["id"], "failed", "routeNotFound"),
        ),
        (
            {"status": "failed", "reason": "notEnoughBalance"},
            Submitted(TRANSFER["id"], "failed", "notEnoughBalance"),
        ),
        ({"status": "error"}, InDoubt("unreadable_answer")),
        ({"status": None}, InDoubt("unreadable_answer")),
        ({"reference": "other"}, InDoubt("unreadable_answer")),
        ({"amount": {"currency": "EUR", "value": 1}}, InDoubt("other_payout_answered")),
        ({"amount": {"currency": "EUR", "value": True}}, InDoubt("unreadable_answer")),
        ({"amount": None}, InDoubt("unreadable_answer")),
    ],
)
def test_the_answer_says_what_became_of_it(
    server: Replaying, provider: PayoutProvider, more: dict[str, Any], expected: Answer
) -> None:
    server.says(Reply(200, TRANSFER | more))
    assert provider.send(order(destination="SE123")) == expected


@pytest.mark.parametrize("reason", sorted(RETRYABLE_REASONS))
def test_some_refusals_may_be_tried_again(server: Replaying, provider: PayoutProvider, reason: str) -> None:
    server.says(Reply(200, TRANSFER | {"status": "refused", "reason": reason}))
    assert provider.send(order(destination="SE123")) == Declined(reason, retryable=True)


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.status}-{row.kind}-{row.code}")
def test_each_row_of_the_map_through_the_sdk(server: Replaying, provider: PayoutProvider, row: Row) -> None:
    code = "30_081" if row.code == ANY else row.code
    body = refused(row.status, code).body
    server.says(Reply(row.status, body, {"retry-after": "3"}))
    answers: dict[str, Answer] = {
        "not_sent": NotSent(code, 3.0),
        "declined_final": Declined(code, retryable=False),
        "in_doubt": InDoubt(code),
        "stop": Stopped(code),
    }
    assert provider.send(order(destination="SE123")) == answers[row.means]
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(401, raw=b""), Stopped("http_401")),
        (Reply(403, raw=b"<html>"), Stopped("http_403")),
        (Reply(429, raw=b"<html>"), NotSent("http_429")),
        (Reply(400, raw=b"<html>"), InDoubt("http_400")),
        (Reply(422, {}), InDoubt("http_422")),
        (refused(422, "30_081", transient=True), InDoubt("30_081")),  # "retry with the same key": no verdict
        (refused(422, "30_081", transient=False), Declined("30_081", retryable=False)),
        (refused(422, "704", transient=True), InDoubt("704")),
        (refused(503, "703", transient=True), NotSent("703")),
        (refused(500, "10_000", transient=True), InDoubt("http_500")),
        (refused(404, "00_404"), InDoubt("00_404")),
        (refused(409, "30_081"), InDoubt("30_081")),
        (refused(418, "30_081"), InDoubt("30_081")),
        (refused(422, "a code with SE123 in it"), InDoubt("http_422")),
    ],
)
def test_what_stands_in_no_row_is_in_doubt(
    server: Replaying, provider: PayoutProvider, reply: Reply, expected: Answer
) -> None:
    server.says(reply)
    assert provider.send(order(destination="SE123")) == expected


def test_the_same_key_gets_the_same_payout(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, TRANSFER), Reply(200, TRANSFER | {"id": "second"}))
    first = provider.send(order(destination="SE123"))
    assert provider.send(order(destination="SE123")) == first
    assert len(server.processed) == 1


def test_a_key_of_another_payout_is_in_doubt(server: Replaying, provider: PayoutProvider) -> None:
    server.says(Reply(200, TRANSFER))
    provider.send(order(destination="SE123"))
    assert provider.send(order(destination="SE123", amount_minor=9)) == InDoubt("704")


def test_after_throttling_the_same_key_pays(server: Replaying, provider: PayoutProvider) -> None:
    server.says(refused(429, "00_429", kept=False), Reply(200, TRANSFER))
    assert provider.send(order(destination="SE123")) == NotSent("00_429")
    assert provider.send(order(destination="SE123")) == Submitted(TRANSFER["id"])


def look_up(provider: PayoutProvider, object_id: str | None = None, reference: str = "7f3a-1") -> Sighting:
    return provider.look_up(reference, since=NOW, destination="SE123", object_id=object_id)


def test_a_payout_is_found_by_its_reference(server: Replaying, provider: PayoutProvider) -> None:
    server.says(listed(TRANSFER | {"direction": "incoming"}, TRANSFER, TRANSFER | {"reference": "7f3a-11"}))
    with freeze_time("2026-11-02T09:00:00Z", ignore=["http", "socketserver"]):
        assert look_up(provider) == Found(TRANSFER["id"], "submitted", 1250, "EUR")
    address = urlsplit(server.seen[-1].target)
    assert address.path == "/btl/v4/transfers"
    assert {name: values[0] for name, values in parse_qs(address.query).items()} == {
        "balanceAccountId": "BA1",
        "reference": "7f3a-1",
        "createdSince": "2026-11-01T08:30:00Z",  # our clock may have been a day wrong, either way
        "createdUntil": "2026-11-03T09:00:00Z",
        "limit": "100",
    }


def test_the_time_looked_through_ends_with_the_key(server: Replaying, provider: PayoutProvider) -> None:
    server.says(listed())
    with freeze_time("2027-01-30T09:00:00Z"):
        assert look_up(provider) == NotFound()
    assert "createdUntil=2026-11-10T08%3A30%3A00Z" in server.seen[-1].target


def test_a_reference_is_encoded(server: Replaying, provider: PayoutProvider) -> None:
    server.says(listed())
    assert look_up(provider, reference="a&b=c d/é#?") == NotFound()
    assert parse_qs(urlsplit(server.seen[-1].target).query)["reference"] == ["a&b=c d/é#?"]


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("booked", "approved", Found(TRANSFER["id"], "paid", 1250, "EUR")),
        (
            "failed",
            "counterpartyAccountClosed",
            Found(TRANSFER["id"], "failed", 1250, "EUR", "counterpartyAccountClosed"),
        ),
        (
            "returned",
            "refusedByCounterpartyBank",
            Found(TRANSFER["id"], "returned", 1250, "EUR", "refusedByCounterpartyBank"),
        ),
        ("error", "error", Unsure("unreadable_answer")),
    ],
)
def test_the_look_up_tells_how_it_ended(
    server: Replaying, provider: PayoutProvider, status: str, reason: str, expected: Sighting
) -> None:
    row = TRANSFER | {"status": status, "reason": reason}
    server.says(listed(row))
    assert look_up(provider) == expected
    server.says(Reply(200, row))
    assert look_up(provider, TRANSFER["id"]) == expected
    assert server.seen[-1].target == f"/btl/v4/transfers/{TRANSFER['id']}"


@pytest.mark.parametrize(
    "reply",
    [
        listed(TRANSFER, TRANSFER | {"id": "second"}),
        listed(
            _links={"next": {"href": "https://balanceplatform-api-test.adyen.com/btl/v4/transfers?cursor=x"}}
        ),
        listed({"id": "x"}),
        listed("x"),
        Reply(200, {"data": {}}),
        Reply(200, {}),
        Reply(204, raw=b""),
        refused(422, "30_081"),
        refused(404, "00_404"),
        refused(401, "00_401"),
        Reply(500, raw=b"<html>"),
    ],
)
def test_a_look_up_that_says_nothing_clear_is_no_proof(
    server: Replaying, provider: PayoutProvider, reply: Reply
) -> None:
    server.says(reply)
    assert isinstance(look_up(provider), Unsure)


def test_a_known_payout_that_is_gone_is_no_proof(server: Replaying, provider: PayoutProvider) -> None:
    server.says(refused(404, "00_404"))
    assert look_up(provider, TRANSFER["id"]) == Unsure("http_404")


def test_without_a_source_account_nothing_can_be_paid() -> None:
    with pytest.raises(SettingsError, match="set source_account"):
        registry.build(account("adyen", "https://balanceplatform-api-test.adyen.com", KEY))


@pytest.mark.parametrize("place", ["live", "test"])
def test_the_sdk_leaves_the_address_as_it_is_set(place: str) -> None:
    """The SDK writes `-live` and `-test` into addresses; a request to anywhere else is not sent."""
    url = f"http://127.0.0.1:1/balanceplatform-api-{place}"
    provider = registry.build(account("adyen", url, KEY, source_account="BA1"))
    assert provider.send(order(destination="SE123")) == NotSent("no_connection", down=True)
