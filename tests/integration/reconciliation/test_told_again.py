"""A record is its id: told again it is the same one; told otherwise in the same feed it is a finding."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.reconciliation.books import NIGHT, NOON, Books, Told, ToldFile, record
from tests.integration.reconciliation.test_runs import many


def test_it_counts_once(books: Books) -> None:
    books.moved("r", 500)
    report = books.run(record("r", 500), record("r", 500), record("s", 9), record("s", 9))
    assert report.findings == {"missing_in_ledger": 1}
    total = report.totals["EUR"].provider
    assert (total.rows, total.repeated_rows, total.repeated_minor) == (2, 2, 509)
    assert report.adds_up


def test_it_is_no_partner_of_a_second_ledger_row(books: Books) -> None:
    books.moved("a", 500)
    books.moved("a", 500)
    for _ in range(2):
        report = books.run(record("a", 500), record("a", 500))
        assert (report.findings, report.adds_up) == ({"missing_at_provider": 1}, True)


@pytest.mark.parametrize("ours", [500, 510])
def test_two_rows_of_one_id_that_contradict_each_other_are_one_finding(books: Books, ours: int) -> None:
    """Whichever the ledger has; the other's money is in the finding, and nothing is dropped."""
    books.moved("a", ours)
    report = books.run(record("a", 500, line=8), record("a", 510, line=9))
    assert (report.findings, report.exit_code, report.adds_up) == ({"duplicate_record": 1}, 1, True)
    total = report.totals["EUR"].provider
    assert (total.rows, total.minor, total.matched_minor, total.repeated_rows) == (2, 1010, ours, 0)
    assert report.totals["EUR"].findings == {"duplicate_record": {"provider": (1, 1010 - ours)}}
    [finding] = books.findings()
    assert (finding["subject"], finding["detail"]["record_id"]) == (
        "record:sandbox:rec_deposit_a", "rec_deposit_a",
    )  # fmt: skip
    assert (finding["amount_minor"], finding["currency"]) == (500, "EUR")
    assert finding["detail"]["provider_status"] == (
        "2 rows: deposit 500 EUR of a in line 8; deposit 510 EUR of a in line 9"
    )


def test_each_of_them_counts(books: Books) -> None:
    """A spreadsheet has made one id of three."""
    told = [
        record(ref, minor, record_id="8.82E+15", fee_minor=50)
        for ref, minor in (("a", 2500), ("b", 4000), ("c", 6000))
    ]
    for one in told:
        books.moved(str(one.reference), one.amount_minor)
    for booked in (1, 0):
        report = books.run(*told)
        assert (report.findings, report.fees_booked, report.adds_up) == (
            {"duplicate_record": 1},
            booked,
            True,
        )
        assert report.totals["EUR"].provider.matched_minor == 12_500 - 150
    assert books.balance("house:fees") == -150
    [finding] = books.findings()
    assert (finding["amount_minor"], finding["times_seen"]) == (6500, 2)


def test_a_row_for_a_charge_under_the_id_of_its_transfer(books: Books) -> None:
    """As a bank tells it: the fee once in a column, once as a row without a reference."""
    sent = record("order-w1", -35738, "refund", record_id="TRANSFER-1", currency="EUR", fee_minor=0)
    charge = record(None, -1135, "refund", record_id="TRANSFER-1", at=NOON - timedelta(hours=5))
    books.moved("order-w1", -35738, "refund")
    report = books.run(sent, charge, record("order-w2", 12500, record_id="TRANSFER-2"))
    assert report.findings == {"duplicate_record": 1, "missing_in_ledger": 1}
    [twice] = [one for one in books.findings() if one["kind"] == "duplicate_record"]
    assert twice["amount_minor"] == 1135
    assert report.adds_up


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "refund"},
        {"reference": "b"},
        {"object_id": "pay_2"},
        {"currency": "USD"},
        {"fee_minor": 1},
        {"status": "reversed"},
        {"occurred_at": NOON + timedelta(seconds=1)},
    ],
)
def test_whatever_differs_is_a_contradiction(books: Books, changed: dict[str, Any]) -> None:
    one = record("a", 500)
    books.moved("a", 500)
    assert "duplicate_record" in books.run(one, one, replace(one, **changed)).findings


def test_contradictions_in_several_currencies_have_no_amount(books: Books) -> None:
    books.run(record("a", 500), record("a", 500, currency="USD"))
    [finding] = [one for one in books.findings() if one["detail"]["line"] == "record"]
    assert (finding["amount_minor"], finding["currency"]) == (None, None)


def test_it_closes_when_the_feed_contradicts_itself_no_more(books: Books) -> None:
    books.moved("a", 500)
    assert books.run(record("a", 500), record("a", 510)).findings_open == 1
    assert books.run(record("a", 500), record("a", 510)).opened == 0
    report = books.run(record("a", 500), record("a", 500))
    assert (report.exit_code, report.closed, report.findings_open) == (0, 1, 0)
    assert books.run(record("a", 500), record("a", 510)).reopened == 1


def test_a_contradiction_of_one_file_stands_while_other_files_tell_other_things(books: Books) -> None:
    books.moved("a", 500)
    books.run_from(ToldFile([record("a", 500, line=2), record("a", 510, line=3)]))
    for days in range(1, 9):
        later = books.later(days=days)
        told = record(f"r{days}", 5, at=NOON + timedelta(days=days))
        books.moved(f"r{days}", 5, at=told.occurred_at)
        source = ToldFile([told], digest=f"d{days}x", name=f"{days}.csv")
        assert later.run_from(source, night=NIGHT + timedelta(days=days)).findings_open == 1, days
    corrected = ToldFile([record("a", 500, line=2)], digest="mended")
    assert books.later(days=9).run_from(corrected).findings_open == 0


def test_a_later_file_corrects_an_earlier_one(books: Books) -> None:
    """The newest file counts, as ever; the other is repeated."""
    books.moved("a", 510)
    assert books.run_from(ToldFile([record("a", 500)])).findings == {"amount_mismatch": 1}
    source = ToldFile([record("a", 510)], digest="d2", name="next.csv")
    report = books.run_from(source, night=NIGHT + timedelta(days=1))
    assert (report.findings, report.totals["EUR"].provider.repeated_minor) == ({}, 500)


def test_a_feed_is_as_long_as_the_records_in_it(books: Books) -> None:
    """Ten records told three times each are ten, and fewer than half of what the ledger has."""
    told = many(books)
    report = books.run(*told[:10] * 3)
    assert (report.state, report.findings) == ("truncated", {})


def test_what_was_told_once_and_never_again_is_forgotten_with_its_run(books: Books) -> None:
    books.run(record("a", 500))
    assert books.run_from(Told(), night=NIGHT + timedelta(days=1)).findings_open == 0
    assert books.run(record("a", 500, at=NOON)).reopened == 1
