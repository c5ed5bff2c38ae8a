"""Settled records and events in pages, by time and by cursor."""

import pytest

from tests.integration.sandbox.running import Sandbox


def test_records_are_paged_to_the_end(sandbox: Sandbox) -> None:
    for n in range(7):
        sandbox.deposit(f"d-{n}")
    pages, cursor = [], ""
    while cursor is not None:
        answer = sandbox.get("/records", params={"limit": 3, "cursor": cursor}).json()
        pages.append([record["reference"] for record in answer["data"]])
        cursor = answer["next_cursor"]
    assert pages == [["d-0", "d-1", "d-2"], ["d-3", "d-4", "d-5"], ["d-6"]]


def test_a_full_last_page_has_no_next_one(sandbox: Sandbox) -> None:
    for n in range(4):
        sandbox.deposit(f"d-{n}")
    cursor = sandbox.get("/records", params={"limit": 2}).json()["next_cursor"]
    assert sandbox.get("/records", params={"limit": 2, "cursor": cursor}).json()["next_cursor"] is None


def test_a_record_has_the_fields_of_the_contract(sandbox: Sandbox) -> None:
    sandbox.deposit("d-1", 700)
    [record] = sandbox.get("/records").json()["data"]
    assert record.keys() == {
        "id", "kind", "reference", "amount_minor", "fee_minor", "currency", "status", "occurred_at",
    }  # fmt: skip
    assert (record["kind"], record["amount_minor"], record["status"]) == ("deposit", 700, "captured")


def test_from_is_inclusive_and_to_is_exclusive(sandbox: Sandbox) -> None:
    for n in range(3):
        sandbox.deposit(f"d-{n}")
        sandbox.post("/_clock", json={"advance_seconds": 3600})
    times = [record["occurred_at"] for record in sandbox.get("/records").json()["data"]]
    found = sandbox.get("/records", params={"from": times[0], "to": times[2]}).json()["data"]
    assert [record["reference"] for record in found] == ["d-0", "d-1"]
    assert sandbox.get("/records", params={"from": "2000-01-01", "to": "2000-01-02"}).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"from": "yesterday"}, "bad_time"),
        ({"to": "2026-11-02T10:00:00"}, "bad_time"),
        ({"cursor": "x"}, "bad_cursor"),
        ({"limit": "0"}, "bad_limit"),
        ({"limit": "1001"}, "bad_limit"),
        ({"limit": "ten"}, "bad_limit"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(sandbox: Sandbox, query: dict[str, str], code: str) -> None:
    answer = sandbox.get("/records", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_events_are_paged_as_records_are(sandbox: Sandbox) -> None:
    deposit = sandbox.deposit("d-1")
    sandbox.post(f"/deposits/{deposit['id']}/refunds", json={"amount_minor": 5})
    first = sandbox.get("/events", params={"limit": 1}).json()
    rest = sandbox.get("/events", params={"cursor": first["next_cursor"]}).json()
    assert [e["type"] for e in first["data"] + rest["data"]] == ["deposit.captured", "deposit.refunded"]
