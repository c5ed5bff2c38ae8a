"""The sandbox's books and events, read from the running server and from one that misbehaves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops.sandbox.config import SandboxConfig
from tests.integration.providers.accounts import account
from tests.integration.providers.replaying import Replaying, Reply
from tests.integration.sandbox.running import API_KEY, Sandbox, running_sandbox
from worker.providers.records import sandbox as adapter
from worker.providers.records.asking import Patience
from worker.providers.records.events import missed_events
from worker.providers.records.port import BadRow, Record, SourceFailed, Window
from worker.providers.records.registry import source, sources
from worker.settings import ProviderSettings, SettingsError

NOW = datetime.now(UTC)
LATELY = Window(NOW - timedelta(days=1), NOW + timedelta(days=1))
ROW = {
    "id": "rec_1",
    "kind": "deposit",
    "reference": "order-1",
    "amount_minor": 1250,
    "fee_minor": 40,
    "currency": "EUR",
    "status": "captured",
    "occurred_at": "2026-11-20T10:00:00.000000Z",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    config = SandboxConfig(
        api_key=API_KEY, settle_seconds=None, deposit_fee_basis_points=100, chargeback_fee_minor=15
    )
    with running_sandbox(config) as client:
        yield client


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def quick(pauses: list[float]) -> Patience:
    """Pauses are noted, not waited for."""
    return Patience(tries=3, first_pause_seconds=1, sleep=pauses.append)


def at(url: object) -> ProviderSettings:
    return account("sandbox", str(url), API_KEY)


def page(*rows: object, cursor: str | None = None) -> Reply:
    return Reply(200, {"data": list(rows), "next_cursor": cursor})


def take(sandbox: Sandbox, reference: str) -> str:
    return str(sandbox.deposit(reference, 1000)["id"])


def moved(sandbox: Sandbox, path: str, **body: Any) -> None:
    assert sandbox.post(path, json=body).status_code in (200, 201)


def test_all_that_money_does_is_a_record_with_its_sign(sandbox: Sandbox) -> None:
    one, two = take(sandbox, "order-1"), take(sandbox, "order-2")
    moved(sandbox, f"/deposits/{one}/refunds", amount_minor=300)
    moved(sandbox, f"/deposits/{two}/chargebacks")
    moved(sandbox, f"/deposits/{two}/chargeback_reversals")
    payout = sandbox.pay_out("7f3a-1").json()["id"]
    for status in ("paid", "returned"):
        moved(sandbox, f"/payouts/{payout}/settle", status=status)
    found = [row for row in source(at(sandbox.base_url)).read(LATELY) if isinstance(row, Record)]
    assert [(row.kind, row.reference, row.amount_minor, row.fee_minor, row.status) for row in found] == [
        ("deposit", "order-1", 1000, 10, "captured"),
        ("deposit", "order-2", 1000, 10, "captured"),
        ("refund", "order-1", -300, 0, "refunded"),
        ("chargeback", "order-2", -1000, 0, "charged_back"),
        ("fee", "order-2", -15, 0, "settled"),
        ("chargeback", "order-2", 1000, 0, "reversed"),
        ("payout", "7f3a-1", -1250, 0, "paid"),
        ("payout", "7f3a-1", 1250, 0, "returned"),
    ]
    assert len({row.record_id for row in found}) == len(found)
    assert {row.currency for row in found} == {row.fee_currency for row in found} == {"EUR"}


def test_every_page_is_read_and_each_record_once(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "PAGE_ROWS", 2)
    for number in range(7):
        take(sandbox, f"order-{number}")
    found = list(source(at(sandbox.base_url)).read(LATELY))
    assert [row.reference for row in found if isinstance(row, Record)] == [f"order-{n}" for n in range(7)]


def test_the_window_is_from_inclusive_to_exclusive(sandbox: Sandbox) -> None:
    take(sandbox, "order-1")
    reader = source(at(sandbox.base_url))
    (row,) = reader.read(LATELY)
    assert isinstance(row, Record)
    assert list(reader.read(Window(row.occurred_at, LATELY.until))) == [row]
    assert list(reader.read(Window(LATELY.since, row.occurred_at))) == []


@pytest.mark.parametrize("fault", ["error_500", "rate_limit:1"])
def test_a_fault_that_passes_is_waited_for(
    sandbox: Sandbox, fault: str, quick: Patience, pauses: list[float]
) -> None:
    take(sandbox, "order-1")
    sandbox.post("/_faults", json={"fault": fault, "scope": "records"})
    assert len(list(source(at(sandbox.base_url), quick).read(LATELY))) == 1
    assert pauses == [1]


def test_pauses_double_and_a_provider_s_own_wish_is_kept(
    server: Replaying, quick: Patience, pauses: list[float]
) -> None:
    server.says(Reply(503), Reply(429, headers={"Retry-After": "7"}), page(ROW))
    assert len(list(source(at(server.url), quick).read(LATELY))) == 1
    assert pauses == [1, 7]


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(429), Reply(raw=b"<html>"), Reply(200, {"data": {}}), Reply(breaks="reset")]
)
def test_what_does_not_pass_ends_in_a_sentence(server: Replaying, quick: Patience, reply: Reply) -> None:
    server.says(reply)
    with pytest.raises(SourceFailed, match=r"provider sandbox could not be read: .*, after 3 tries"):
        list(source(at(server.url), quick).read(LATELY))
    assert len(server.seen) == 3


def test_silence_is_given_up(server: Replaying, quick: Patience) -> None:
    server.says(Reply(breaks="silence"))
    impatient = at(server.url).model_copy(update={"timeout_seconds": 0.1})
    with pytest.raises(SourceFailed, match="timeout, after 3 tries"):
        list(source(impatient, quick).read(LATELY))


def test_the_whole_has_a_deadline(server: Replaying, pauses: list[float]) -> None:
    server.says(Reply(500))
    with pytest.raises(SourceFailed, match="http_500, after 1 tries"):
        list(source(at(server.url), Patience(total_seconds=0, sleep=pauses.append)).read(LATELY))
    assert pauses == []


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_repeated(server: Replaying, quick: Patience, status: int) -> None:
    server.says(Reply(status, {"code": "no"}))
    with pytest.raises(SourceFailed, match=f"http_{status}") as failed:
        list(source(at(server.url), quick).read(LATELY))
    assert len(server.seen) == 1
    assert ("check its api_key" in str(failed.value)) is (status in (401, 403))


@pytest.mark.parametrize(
    "pages",
    [
        [page(ROW, cursor="c1"), page(ROW | {"id": "rec_2"}, cursor="c1")],
        [page(ROW, cursor="c1"), page(ROW, cursor="c2")],
        [page(ROW, cursor="c1"), page(cursor="c2"), page(cursor="c1")],
    ],
    ids=["cursor", "page", "empty"],
)
def test_going_round_in_a_circle_is_noticed(server: Replaying, quick: Patience, pages: list[Reply]) -> None:
    server.says(*pages)
    with pytest.raises(SourceFailed, match="the same page came twice"):
        list(source(at(server.url), quick).read(LATELY))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (7, "not an object"),
        (ROW | {"id": None}, "id is missing, or not a text"),
        (ROW | {"amount_minor": 12.5}, "amount_minor is missing, or not a whole number"),
        (ROW | {"amount_minor": -1}, "amount_minor is missing, or not a whole number"),
        (ROW | {"amount_minor": True}, "amount_minor is missing, or not a whole number"),
        (ROW | {"amount_minor": 2**63}, "amount_minor is larger than BIGINT"),
        (ROW | {"currency": "EURO"}, "currency is not a code"),
        (ROW | {"status": "lost"}, "the status does not say which way the money of a deposit went"),
        (ROW | {"occurred_at": "soon"}, "occurred_at is not an ISO 8601 time"),
    ],
)
def test_a_row_that_is_not_understood_stops_nothing(server: Replaying, row: object, reason: str) -> None:
    server.says(page(ROW, row, ROW | {"id": "rec_3"}))
    first, bad, last = source(at(server.url)).read(LATELY)
    assert [type(one) for one in (first, last)] == [Record, Record]
    assert isinstance(bad, BadRow)
    assert reason in bad.reason


def test_an_unknown_kind_is_kept_as_other(server: Replaying) -> None:
    server.says(page(ROW | {"kind": "gift", "status": "given", "reference": None}))
    (row,) = source(at(server.url)).read(LATELY)
    assert isinstance(row, Record)
    assert (row.kind, row.reference, row.amount_minor) == ("other", None, 1250)


def test_every_event_is_listed_whatever_became_of_its_webhook(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "PAGE_ROWS", 2)
    for number in range(5):
        take(sandbox, f"order-{number}")
    told = at(sandbox.base_url)
    found = [one for listed in missed_events(told, LATELY.since, LATELY.until) for one in listed.read(told)]
    assert [event.reference for _, event in found] == [f"order-{number}" for number in range(5)]
    assert all(event.move == "captured" and event.problem is None for _, event in found)
    assert len({key for key, _ in found}) == 5


def test_who_has_no_key_or_address_is_told(server: Replaying) -> None:
    with pytest.raises(SettingsError, match="set api_key"):
        sources(at(server.url).model_copy(update={"api_key": None}))
    with pytest.raises(SettingsError, match="set base_url"):
        sources(at(server.url).model_copy(update={"base_url": None}))
