"""Report files: each is taken by one run, and what earlier files told is part of the feed."""

from datetime import timedelta

from tests.integration.reconciliation.books import NIGHT, NOON, Books, ToldFile, record

NEXT, NEXT_NOON = NIGHT + timedelta(days=1), NOON + timedelta(days=1)


def test_a_file_is_known_by_its_digest(books: Books) -> None:
    told = [record("r", 500)]
    books.moved("r", 500)
    first = books.run_from(ToldFile(told))
    assert first.exit_code == books.run_from(ToldFile(told)).exit_code == 0
    other = books.run_from(ToldFile(told), night=NIGHT + timedelta(days=1))
    assert (other.state, other.error) == (
        "failed",
        f"the file batch.csv was taken before, by run {first.run_id}",
    )
    assert books.rows("SELECT rows FROM reconciliation_files") == [{"rows": 1}]


def test_what_earlier_files_told_is_part_of_the_feed(books: Books) -> None:
    """Each night has a file of its own, and looks back at days that other files told."""
    next_noon = NOON + timedelta(days=1)
    for reference, at in (("a", NOON), ("b", next_noon)):
        books.moved(reference, 500, at=at)
    assert books.run_from(ToldFile([record("a", 500)])).matched == 1
    second = ToldFile([record("b", 500, at=next_noon)], digest="d2")
    report = books.run_from(second, night=NIGHT + timedelta(days=1))
    assert (report.findings, report.matched, report.adds_up) == ({}, 2, True)


def test_a_row_of_a_file_that_is_older_than_the_window_is_judged(books: Books) -> None:
    long_ago = NOON - timedelta(days=30)
    books.moved("known", 5, at=long_ago)
    report = books.run_from(ToldFile([record("known", 5, at=long_ago), record("alien", 6, at=long_ago)]))
    assert (report.findings, report.matched, report.adds_up) == ({"missing_in_ledger": 1}, 1, True)
    assert [one["detail"]["reference"] for one in books.findings()] == ["alien"]


def test_a_record_that_a_later_file_tells_again_is_no_second_one(books: Books) -> None:
    """Files that repeat what the ones before them told: two bookings of one record stay two."""
    books.moved("a", 500)
    books.moved("a", 500)
    assert books.run_from(ToldFile([record("a", 500)])).findings == {"missing_at_provider": 1}
    told = [record("a", 500), record("b", 1, at=NEXT_NOON)]
    report = books.run_from(ToldFile(told, digest="d2"), night=NEXT)
    assert report.findings == {"missing_at_provider": 1, "missing_in_ledger": 1}
    assert (report.totals["EUR"].provider.repeated_rows, report.adds_up) == (1, True)


def test_the_latest_file_says_what_a_record_is(books: Books) -> None:
    """Though the earlier night runs again after it."""
    books.moved("a", 500)
    first = ToldFile([record("a", 500)])
    assert books.run_from(first).exit_code == 0
    second = ToldFile([record("a", 510)], digest="d2")
    assert books.run_from(second, night=NEXT).findings == {"amount_mismatch": 1}
    again = books.run_from(first)
    assert (again.findings, again.opened, again.closed) == ({"amount_mismatch": 1}, 0, 0)
    assert again.adds_up


def test_a_month_that_is_told_again_in_every_file_is_no_news(books: Books) -> None:
    """Long after its records are forgotten."""
    month = [record(f"r{n}", 10, at=NOON + timedelta(days=n)) for n in range(30)]
    for n, one in enumerate(month):
        books.now = one.occurred_at + timedelta(days=2)
        books.moved(f"r{n}", 10, at=one.occurred_at)
        report = books.run_from(ToldFile(month[: n + 1], digest=f"d{n}"), night=NIGHT + timedelta(days=n))
        assert (report.findings, report.matched, report.adds_up) == ({}, n + 1, True)
