"""What a row asks of the ledger."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.errors import MalformedPosting
from models.ledger.outcomes import Leg, Refused
from models.money import BIGINT_MAX
from tasks.backfills.judging import posting_or_aside, refused
from tasks.backfills.postings import as_fields, from_fields, history_posting, opening_posting
from worker.sources.port import RAW_LENGTH_MAX, OpeningRow, PostingRow, Row

AT = datetime(2025, 1, 1, 10, 0, tzinfo=UTC)
ROW = PostingRow("7", 7, "a:1", "ada", None, 25, "EUR", "bonus", AT, "a:1,ada,25")
OPENING = OpeningRow("7", 7, "ada:x", 25, "EUR", AT, "ada,25")


def test_the_house_gives_to_the_owner() -> None:
    posting = history_posting("acme", "old:wallet", ROW)
    assert posting.key == posting.subject == "backfill:old%3Awallet:a%3A1"
    assert (posting.kind, posting.occurred_at) == ("backfill.posting", AT)
    assert posting.legs == (Leg("house:bonus", "EUR", -25), Leg("wallet:ada:available", "EUR", 25))


def test_the_owner_gives_to_the_house() -> None:
    legs = history_posting("acme", "legacy", replace(ROW, amount_minor=-25)).legs
    assert legs == (Leg("house:bonus", "EUR", 25), Leg("wallet:ada:available", "EUR", -25))


def test_one_owner_gives_to_another() -> None:
    legs = history_posting("acme", "legacy", replace(ROW, to_owner="bob")).legs
    assert legs == (Leg("wallet:ada:available", "EUR", -25), Leg("wallet:bob:available", "EUR", 25))


def test_an_opening_balance_is_one_per_owner_and_currency() -> None:
    posting = opening_posting("acme", "legacy", OPENING, 20)
    assert (posting.key, posting.kind, posting.occurred_at) == (
        "opening:legacy:ada%3Ax:EUR",
        "backfill.opening",
        AT,
    )
    assert posting.legs == (
        Leg("house:opening_balance", "EUR", -20),
        Leg("wallet:ada:x:available", "EUR", 20),
    )
    with pytest.raises(MalformedPosting):
        opening_posting("acme", "legacy", OPENING, 0)


def test_content_is_more_than_the_amount() -> None:
    others = [
        replace(ROW, amount_minor=26), replace(ROW, currency="USD"), replace(ROW, owner="bob"),
        replace(ROW, reason="promo"), replace(ROW, to_owner="bob"),
    ]  # fmt: skip
    prints = {history_posting("acme", "legacy", row).fingerprint for row in [ROW, *others]}
    assert len(prints) == 6


@pytest.mark.parametrize("row", [ROW, replace(ROW, to_owner="bob"), OPENING])
def test_a_row_that_waits_comes_back_as_it_was(row: Row) -> None:
    row_id = row.row_id if isinstance(row, PostingRow) else None
    assert from_fields(row.place, row.line, row_id, row.raw, as_fields(row)) == row


def test_what_the_ledger_cannot_hold_is_set_aside() -> None:
    row = replace(ROW, amount_minor=BIGINT_MAX + 1)
    found = posting_or_aside(row, lambda: history_posting("acme", "legacy", row))
    assert (getattr(found, "code", None), getattr(found, "row_id", None)) == ("malformed", "a:1")


@pytest.mark.parametrize(
    ("said", "code", "state"),
    [
        ("idempotency_conflict", "conflict", "open"),
        ("insufficient_funds", "insufficient_funds", "waiting"),
        ("amount_out_of_range", "amount_out_of_range", "open"),
        ("something_new", "something_new", "open"),
    ],
)
def test_who_lacks_money_waits_and_the_rest_stays(said: str, code: str, state: str) -> None:
    row = refused(replace(ROW, raw="x" * 5000), Refused(said))
    assert (row.code, row.state, len(row.raw)) == (code, state, RAW_LENGTH_MAX)
    assert (row.fields is not None) == (state == "waiting")
