"""A record is its id: told again it is the same one, and the newest telling says what it is."""

from datetime import timedelta

import pytest

from tests.integration.reconciliation.books import NIGHT, NOON, Books, Told, record
from tests.integration.reconciliation.test_runs import many


def test_it_counts_once(books: Books) -> None:
    books.moved("r", 500)
    report = books.run(record("r", 500), record("r", 500), record("s", 9), record("s", 9))
    assert report.findings == {"missing_in_ledger": 1}
    total = report.totals["EUR"].provider
    assert (total.rows, total.repeated_rows, total.repeated_minor) == (4, 2, 509)
    assert report.adds_up


def test_it_is_no_partner_of_a_second_ledger_row(books: Books) -> None:
    books.moved("a", 500)
    books.moved("a", 500)
    for _ in range(2):
        report = books.run(record("a", 500), record("a", 500))
        assert (report.findings, report.adds_up) == ({"missing_at_provider": 1}, True)


@pytest.mark.parametrize(("ours", "findings"), [(510, {}), (500, {"amount_mismatch": 1})])
def test_the_newest_telling_of_a_feed_wins(books: Books, ours: int, findings: dict[str, int]) -> None:
    books.moved("a", ours)
    report = books.run(record("a", 500), record("a", 510))
    assert (report.findings, report.adds_up) == (findings, True)
    assert report.totals["EUR"].provider.repeated_minor == 500


def test_the_line_of_a_file_says_which_is_newest(books: Books) -> None:
    books.moved("a", 510)
    assert books.run(record("a", 510, line=9), record("a", 500, line=8)).exit_code == 0


def test_the_newest_telling_may_name_another_kind_and_reference(books: Books) -> None:
    books.moved("a", 500)
    report = books.run(record("a", 500, record_id="x"), record("b", 500, "refund", record_id="x"))
    assert report.findings == {"missing_at_provider": 1, "missing_in_ledger": 1}
    assert report.adds_up


def test_the_fee_of_the_newest_telling_is_booked(books: Books) -> None:
    told = record("a", 0, fee_minor=5), record("a", 0, fee_minor=7)
    for booked in (1, 0):
        report = books.run(*told)
        assert (report.fees_booked, report.exit_code, report.adds_up) == (booked, 0, True)
    assert books.balance("house:fees") == -7


def test_a_feed_is_as_long_as_the_records_in_it(books: Books) -> None:
    """Ten records told three times each are ten, and fewer than half of what the ledger has."""
    told = many(books)
    report = books.run(*told[:10] * 3)
    assert (report.state, report.findings) == ("truncated", {})


def test_what_was_told_once_and_never_again_is_forgotten_with_its_run(books: Books) -> None:
    books.run(record("a", 500))
    assert books.run_from(Told(), night=NIGHT + timedelta(days=1)).findings_open == 0
    assert books.run(record("a", 500, at=NOON)).reopened == 1
