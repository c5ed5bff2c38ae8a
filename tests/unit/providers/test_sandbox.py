"""What the sandbox provider's events mean."""

from typing import Any

import pytest

from models.money import BIGINT_MAX
from tests.unit.providers.shapes import encoded, fixture, sandbox_body
from worker.providers import sandbox
from worker.providers.port import MalformedEvent, ProviderEvent

HEADERS = {"Webhook-Id": "evt_sandbox_0001"}


def parsed(type_: str = "deposit.captured", **data: Any) -> ProviderEvent:
    (event,) = sandbox.parse(sandbox_body(type_, **data), HEADERS)
    return event


def test_a_capture_is_read_whole() -> None:
    assert parsed() == ProviderEvent(
        event_key="evt_sandbox_0001",
        type="deposit.captured",
        move="captured",
        reference="dep-1001",
        object_id="dep_sandbox_0001",
        part_id="dep_sandbox_0001",
        amount_minor=2500,
        currency="EUR",
        sequence=1,
        occurred_at="2026-11-20T09:15:30+00:00",
    )


@pytest.mark.parametrize(
    ("type_", "move", "part_id"),
    [
        ("deposit.captured", "captured", "dep_sandbox_0001"),
        ("deposit.failed", "failed", None),
        ("deposit.refunded", "refunded", "dep_sandbox_0001:4"),
        ("deposit.chargeback", "chargeback", "dep_sandbox_0001:4"),
        ("deposit.chargeback_reversed", "chargeback_reversed", None),
        ("deposit.something_new", None, None),
        ("payout.submitted", "payout_submitted", None),
        ("payout.paid", "payout_paid", None),
        ("payout.failed", "payout_failed", None),
        ("payout.returned", "payout_returned", None),
        ("payout.something_new", None, None),
    ],
)
def test_each_type_has_its_move(type_: str, move: str | None, part_id: str | None) -> None:
    event = parsed(type_, sequence=4)
    assert (event.move, event.part_id, event.problem) == (move, part_id, None)
    assert event.sequence == 4


def test_every_row_of_the_table_is_tested() -> None:
    assert set(sandbox.MOVES) == {
        "deposit.captured",
        "deposit.failed",
        "deposit.refunded",
        "deposit.chargeback",
        "deposit.chargeback_reversed",
        "payout.submitted",
        "payout.paid",
        "payout.failed",
        "payout.returned",
    }


@pytest.mark.parametrize(
    "data",
    [
        {"amount_minor": 0},
        {"amount_minor": -1},
        {"amount_minor": 25.0},
        {"amount_minor": "2500"},
        {"amount_minor": True},
        {"amount_minor": None},
        {"amount_minor": BIGINT_MAX + 1},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"currency": "QQQ"},
        {"currency": "XAU"},
        {"currency": None},
        {"currency": ["EUR"]},
        {"reference": ""},
        {"reference": None},
        {"reference": 7},
        {"reference": "x" * 256},
        {"reference": "line\nbreak"},
        {"id": ""},
        {"id": None},
        {"id": "with space"},
        {"id": "x" * 201},
        {"sequence": None},
        {"sequence": -1},
        {"sequence": True},
        {"sequence": "1"},
    ],
)
@pytest.mark.parametrize("type_", ["deposit.captured", "deposit.refunded", "deposit.chargeback"])
def test_a_move_without_what_it_needs_is_a_problem(type_: str, data: dict[str, Any]) -> None:
    event = parsed(type_, **data)
    assert event.move is None
    assert event.problem is not None
    assert event.problem.startswith(type_)
    assert event.event_key == "evt_sandbox_0001"


def test_the_largest_amount_passes() -> None:
    assert parsed(amount_minor=BIGINT_MAX).amount_minor == BIGINT_MAX


@pytest.mark.parametrize(
    "data",
    [{"reference": None}, {"reference": ""}, {"id": None}, {"sequence": None}, {"sequence": "1"}],
)
@pytest.mark.parametrize("type_", ["payout.submitted", "payout.paid", "payout.failed", "payout.returned"])
def test_a_payout_needs_a_reference_an_id_and_a_place_in_the_order(type_: str, data: dict[str, Any]) -> None:
    event = parsed(type_, **data)
    assert (event.move, event.problem is None) == (None, False)


@pytest.mark.parametrize(
    ("code", "read"),
    [("account_closed", "account_closed"), (None, None), (7, None), ("Ms Jane Doe", None), ("x" * 101, None)],
)
def test_a_failed_payout_says_why(code: object, read: str | None) -> None:
    assert parsed("payout.failed", code=code).code == read


@pytest.mark.parametrize("type_", ["deposit.failed", "deposit.chargeback_reversed", "payout.paid"])
def test_a_move_that_needs_no_amount_survives_without(type_: str) -> None:
    event = parsed(type_, amount_minor=None)
    assert (event.move, event.amount_minor, event.currency, event.problem) == (
        sandbox.MOVES[type_],
        None,
        None,
        None,
    )
    assert parsed(type_).amount_minor == 2500


@pytest.mark.parametrize("event_id", ["evt_other", "", None, 7])
def test_an_id_that_is_not_the_headers_is_a_problem(event_id: Any) -> None:
    (event,) = sandbox.parse(sandbox_body(event_id=event_id), HEADERS)
    assert (event.event_key, event.move) == ("evt_sandbox_0001", None)
    assert event.problem == "deposit.captured: the id is not the one in the header webhook-id"


def test_without_any_identity_the_body_is_its_own() -> None:
    body = sandbox_body()
    (event,) = sandbox.parse(body, {})
    assert event.event_key.startswith("sha256:")
    assert len(event.event_key) == len("sha256:") + 64
    assert event.problem is not None
    assert sandbox.parse(body, {}) == (event,)


@pytest.mark.parametrize("type_", [None, 7, "", "no such name", "x" * 101, "tab\t"])
def test_a_type_that_is_no_name_is_a_problem(type_: Any) -> None:
    event = parsed(type_)
    assert (event.type, event.move) == ("unknown", None)
    assert event.problem is not None


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_data_that_is_no_object_is_a_problem(data: object) -> None:
    body = encoded(fixture("sandbox_event") | {"data": data})
    (event,) = sandbox.parse(body, HEADERS)
    assert event.problem is not None


@pytest.mark.parametrize(
    ("occurred_at", "read"),
    [
        ("2026-11-20T10:15:30+01:00", "2026-11-20T09:15:30+00:00"),
        ("2026-11-20T09:15:30.123456Z", "2026-11-20T09:15:30.123456+00:00"),
        ("2026-11-20T09:15:30", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("yesterday", None),
        (1795000000, None),
        (None, None),
    ],
)
def test_a_time_is_read_in_utc_or_not_at_all(occurred_at: object, read: str | None) -> None:
    body = encoded(fixture("sandbox_event") | {"occurred_at": occurred_at})
    (event,) = sandbox.parse(body, HEADERS)
    assert (event.occurred_at, event.move) == (read, "captured")


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"text"', b"\xff", b"{"])
def test_what_is_no_json_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEvent):
        sandbox.parse(body, HEADERS)
