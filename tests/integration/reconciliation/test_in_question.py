"""Money in question: what an event and a record tell of the same money is in the headline of a report once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tasks.reconciliation import facts
from tests.integration.families.desk import Desk
from tests.integration.reconciliation.books import NOON, Books, Told, record
from tests.integration.reconciliation.test_nightly import night
from tests.integration.reconciliation.test_strangers import stranger
from worker.database import Transaction
from worker.providers.port import ProviderEvent
from worker.providers.records.port import Record


@pytest.fixture
def desk(transaction: Transaction, tenant: str) -> Desk:
    return Desk(transaction, tenant, NOON)


def told(books: Books, folder: Path, *records: Record) -> dict[str, Any]:
    """The report of a night, for programs."""
    paths = night(books, folder, Told(records)).paths
    assert paths is not None
    found: dict[str, Any] = json.loads(paths.json.read_text())
    return found


def payout(move: str, key: str) -> ProviderEvent:
    part = {"event_key": key, "move": move, "part_id": None}
    return replace(stranger("p", object_id="po_1"), **part)  # type: ignore[arg-type]


def captured(key: str, amount_minor: int = 500, **others: Any) -> ProviderEvent:
    return stranger(**others | {"event_key": key, "part_id": key, "amount_minor": amount_minor})


REFUND = replace(stranger(), event_key="refund", move="refunded", part_id="refund")
NAMELESS = captured("one", reference=None, object_id="pi_1")


@pytest.mark.parametrize("listed", [500, 0])
@pytest.mark.parametrize(
    ("events", "records", "minor", "findings"),
    [
        ([], [record("lost", 500)], 500, 1),
        ([captured("one")], [], 500, 1),
        ([captured("one")], [record("lost", 500)], 500, 2),
        ([captured("one")], [record("lost", 510)], 1010, 2),
        ([captured("one")], [record("lost", 500, currency="USD")], 500, 1),
        ([captured("one")], [record("other", 500)], 1000, 2),
        ([captured("one"), captured("two")], [], 1000, 2),
        ([captured("one"), captured("two")], [record("lost", 500)], 1000, 3),
        ([captured("one"), captured("two")], [record("lost", 500), record("lost", 500, record_id="b")], 1000, 4),
        ([captured("one"), REFUND], [record("lost", 500)], 1000, 3),
        ([captured("one"), REFUND], [record("lost", 500), record("lost", -500, "refund")], 1000, 4),
        ([NAMELESS], [record(None, 500, object_id="pi_1")], 500, 2),
        ([NAMELESS], [record(None, 500, object_id="pi_2")], 1000, 2),
        ([payout("payout_submitted", "one"), payout("payout_paid", "two")], [], 500, 2),
        ([payout("payout_submitted", "one"), payout("payout_paid", "two")], [record("p", -500, "payout")], 500, 3),
    ],
)  # fmt: skip
def test_the_same_money_counts_once(
    books: Books, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: list[ProviderEvent],
    records: list[Record], minor: int, findings: int, listed: int,
) -> None:  # fmt: skip
    """Whether the findings are listed one by one or only counted."""
    monkeypatch.setattr(facts, "LISTED_MAX", listed)
    for one in events:
        desk.hear(one)
    found = told(books, tmp_path, *records)
    euros = {"currency": "EUR", "amount_minor": minor, "findings": findings}
    assert [one for one in found["in_question"] if one["currency"] == "EUR"] == [euros]
    for kind in found["kinds"]:
        assert (
            sum(one["amount_minor"] for one in kind["in_question"]) == 500 * kind["findings"] or minor == 1010
        )


def test_what_a_person_ignores_leaves_the_event_in_question(
    books: Books, desk: Desk, owner: Any, tmp_path: Path
) -> None:
    desk.hear(captured("one"))
    told(books, tmp_path, record("lost", 500))
    owner.execute(
        b"UPDATE reconciliation_findings SET state = 'ignored', closed_at = now(), closed_by = 'a', reason = 'b' "
        b"WHERE kind = 'missing_in_ledger'"
    )
    found = told(books.later(hours=1), tmp_path, record("lost", 500))
    assert found["in_question"] == [{"currency": "EUR", "amount_minor": 500, "findings": 1}]
