"""Stripe's balance transactions and events, asked for with the SDK from a server that replays recorded shapes."""

import json
import traceback
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.providers.accounts import account
from tests.integration.providers.replaying import Replaying, Reply
from tests.unit.records.test_stripe_rows import AUTOMATIC, CHARGE, REVERSAL, ROW, TRANSFER
from worker.http.webhooks import submission
from worker.providers import sandbox as sandbox_webhooks
from worker.providers import stripe as stripe_webhooks
from worker.providers.records.asking import Patience
from worker.providers.records.events import ListedEvent, missed_events
from worker.providers.records.port import BadRow, Record, SourceFailed, Window
from worker.providers.records.registry import source
from worker.providers.registry import Received
from worker.settings import ProviderSettings

NOW = datetime(2026, 11, 21, tzinfo=UTC)
DAY = Window(datetime(2026, 11, 20, 0, 0, 0, 1, tzinfo=UTC), NOW)
API_KEY = "sk_live_TopSecret0123456789"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def quick(pauses: list[float]) -> Patience:
    return Patience(tries=3, first_pause_seconds=1, sleep=pauses.append)


def at(server: Replaying, **more: Any) -> ProviderSettings:
    return account("stripe", server.url, API_KEY, **more)


def page(*rows: object, more: bool = False) -> Reply:
    return Reply(200, {"object": "list", "url": "/v1/x", "has_more": more, "data": list(rows)})


def asked(server: Replaying) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(seen.target).query) for seen in server.seen]


def test_pages_are_asked_for_to_the_end(server: Replaying) -> None:
    rows = [ROW | {"id": f"txn_{number}"} for number in range(3)]
    server.says(page(*rows[:2], more=True), page(rows[2]))
    found = list(source(at(server)).read(DAY))
    assert [row.record_id for row in found if isinstance(row, Record)] == ["txn_0", "txn_1", "txn_2"]
    first, second = asked(server)
    assert first == {
        "created[gte]": ["1795132801"],
        "created[lt]": ["1795219200"],
        "limit": ["100"],
        "expand[0]": ["data.source"],
        "expand[1]": ["data.source.charge"],
    }
    assert second == first | {"starting_after": ["txn_1"]}
    assert "stripe-account" not in server.seen[0].headers


def test_a_connected_account_is_named_in_the_header(server: Replaying) -> None:
    server.says(page(ROW))
    assert list(source(at(server, source_account="acct_1")).read(DAY))
    assert server.seen[0].headers["stripe-account"] == "acct_1"


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, "own_transfer"),
        ({"source_account": "acct_1"}, "other"),
        ({"source_account": "acct_1", "bank_account": "main"}, "own_transfer"),
    ],
)
def test_automatic_payouts_go_to_our_bank_unless_the_account_is_another_s(
    server: Replaying, settings: dict[str, Any], kind: str
) -> None:
    """A connected account's own bank is its owner's; the settings may say that it is ours."""
    server.says(
        page(ROW | {"type": "payout", "amount": -1250, "source": AUTOMATIC, "reporting_category": "payout"})
    )
    (found,) = source(at(server, **settings)).read(DAY)
    assert isinstance(found, Record)
    assert (found.kind, found.object_id) == (kind, "po_1")


def test_a_reversed_transfer_is_looked_up(server: Replaying) -> None:
    row = ROW | {"type": "transfer_refund", "source": REVERSAL}
    server.says(page(row), Reply(200, TRANSFER))
    (found,) = source(at(server)).read(DAY)
    assert isinstance(found, Record)
    assert (found.kind, found.reference) == ("payout", "7f3a-1")
    assert server.seen[1].target == "/v1/transfers/tr_1"


def test_a_page_is_larger_than_an_answer_to_a_payout(server: Replaying) -> None:
    wide = CHARGE | {"description": "x" * 30_000}
    server.says(page(*(ROW | {"id": f"txn_{number}", "source": wide} for number in range(100))))
    assert len(list(source(at(server)).read(DAY))) == 100


def test_a_row_that_is_not_understood_stops_nothing(server: Replaying) -> None:
    server.says(page(ROW, ROW | {"id": "txn_2", "currency": "zzz"}, ROW | {"id": "txn_3"}))
    first, bad, last = source(at(server)).read(DAY)
    assert [type(one) for one in (first, last)] == [Record, Record]
    assert isinstance(bad, BadRow)
    assert json.loads(bad.raw)["id"] == "txn_2"


def test_what_may_pass_is_asked_for_again(server: Replaying, quick: Patience, pauses: list[float]) -> None:
    throttled = Reply(429, {"error": {"type": "x", "code": "rate_limit"}}, {"Retry-After": "7"})
    server.says(Reply(503, raw=b"<html>"), throttled, page(ROW))
    assert len(list(source(at(server), quick).read(DAY))) == 1
    assert pauses == [1, 7]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, {"error": {"type": "api_error"}}),
        Reply(200, raw=b"<html>"),
        Reply(200, {"object": "list", "data": [ROW]}),
        Reply(200, {"object": "list", "data": [], "has_more": True}),
        Reply(breaks="reset"),
        Reply(breaks="cut", raw=b"{"),
    ],
)
def test_what_does_not_pass_ends_in_a_sentence(server: Replaying, quick: Patience, reply: Reply) -> None:
    server.says(reply)
    with pytest.raises(SourceFailed, match="after 3 tries"):
        list(source(at(server), quick).read(DAY))
    assert len(server.seen) == 3


def test_a_refusal_is_not_repeated_and_tells_no_secret(server: Replaying, quick: Patience) -> None:
    told = f"Invalid API Key provided: {API_KEY}"
    server.says(Reply(401, {"error": {"type": "invalid_request_error", "message": told}}))
    with pytest.raises(SourceFailed, match="http_401 invalid_request_error; check its api_key") as failed:
        list(source(at(server), quick).read(DAY))
    assert len(server.seen) == 1
    assert "TopSecret" not in "".join(traceback.format_exception(failed.value))


def test_going_round_in_a_circle_is_noticed(server: Replaying, quick: Patience) -> None:
    server.says(page(ROW, more=True))
    with pytest.raises(SourceFailed, match="the same page came twice"):
        list(source(at(server), quick).read(DAY))


def event(number: int, type_: str = "charge.succeeded", created: int | None = None) -> dict[str, Any]:
    subject = CHARGE | {"id": f"ch_{number}", "captured": True, "status": "succeeded"}
    return {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1795168800 + number if created is None else created,
        "type": type_,
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "data": {"object": subject},
    }


class Listing(Replaying):
    """Stripe's list of events: newest first, by `types`, and in pages of two after or before an id."""

    rows: list[dict[str, Any]]

    def _decide(self, seen: Any) -> Reply:
        self.seen.append(seen)
        query = parse_qs(urlsplit(seen.target).query)
        wanted = {value for name, (value,) in query.items() if name.startswith("types[")}
        assert 0 < len(wanted) <= 20
        rows = sorted((row for row in self.rows if row["type"] in wanted), key=lambda row: -row["created"])
        ids = [row["id"] for row in rows]
        if "ending_before" in query:
            end = ids.index(query["ending_before"][0])
            return page(*rows[max(end - 2, 0) : end], more=end > 2)
        start = ids.index(query["starting_after"][0]) + 1 if "starting_after" in query else 0
        return page(*rows[start : start + 2], more=start + 2 < len(rows))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_events_come_oldest_first_whatever_their_type(count: int) -> None:
    types = sorted(stripe_webhooks.MOVES)
    with Listing() as server:
        server.rows = [event(number, types[-1 if number % 3 else 0]) for number in range(count)]
        server.rows.append(event(99, "customer.created"))
        told = at(server)
        found = [json.loads(one.body)["id"] for one in missed_events(told, DAY.since, DAY.until)]
    assert found == [f"evt_{number}" for number in range(count)]


def key_at_the_door(told: ProviderSettings, received: Received, body: bytes) -> str:
    (job,) = submission("acme", told.name, received, body, NOW).requests
    return job.idempotency_key


def test_a_listed_event_is_the_same_job_as_its_webhook() -> None:
    body = json.dumps(event(1), indent=2).encode()
    with Listing() as server:
        server.rows, told = [event(1)], at(server)
        (listed,) = missed_events(told, DAY.since, DAY.until)
    ((key, seen),) = listed.read(told)
    assert (seen.move, seen.reference) == ("capture_total", "order-1")
    assert key == key_at_the_door(told, Received(0, stripe_webhooks.parse(body, {})), body)


def test_that_holds_for_the_sandbox_too() -> None:
    data = {"id": "dep_1", "reference": "order-1", "amount_minor": 1250, "currency": "EUR", "sequence": 1}
    sent = {"id": "evt_1", "type": "deposit.captured", "occurred_at": "2026-11-20T10:00:00Z", "data": data}
    body, headers = json.dumps(sent, indent=1).encode(), {"webhook-id": "evt_1"}
    told = account("sandbox", "http://127.0.0.1:1", API_KEY)
    ((key, seen),) = ListedEvent(json.dumps(sent).encode(), headers).read(told)
    assert (seen.move, seen.problem) == ("captured", None)
    assert key == key_at_the_door(told, Received(0, sandbox_webhooks.parse(body, headers)), body)


def test_adyen_has_no_list_of_events() -> None:
    with pytest.raises(SourceFailed, match="adyen has no list of events"):
        missed_events(account("adyen", "https://x.example", API_KEY), DAY.since, DAY.until)
