"""A ledger row that was matched with a record stays that record's, however long ago, and whoever ran in between."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tasks.reconciliation.service import RunReport
from tests.integration.reconciliation.books import NOON, Books, record
from worker.providers.records.port import Record


def run_at(books: Books, at: datetime, *told: Record) -> RunReport:
    """The night of this moment, two days later."""
    report = replace(books, now=at + timedelta(days=2)).run(*told, night=at.date())
    assert report.adds_up
    return report


def booked(books: Books, reference: str, minor: int, kind: str = "deposit", at: datetime = NOON) -> None:
    """A ledger row of that moment, whenever it is."""
    books.now = max(books.now, at)
    books.moved(reference, minor, kind, at)


def days(number: float) -> timedelta:
    return timedelta(days=number)


@pytest.mark.parametrize("between", [(), (3,), (1, 2, 3, 4, 20, 39)])
@pytest.mark.parametrize("age", [4, 13, 15, 17, 18, 40])
def test_a_second_refund_is_not_taken_for_the_first(books: Books, age: int, between: tuple[int, ...]) -> None:
    first = NOON - days(age)
    booked(books, "r", -100, "refund", at=first)
    told = record("r", -100, "refund", at=first)
    assert run_at(books, first, told).exit_code == 0
    for day in between:
        if day < age:
            assert run_at(books, first + days(day), *[told][: day < 4]).exit_code == 0
    second = record("r", -100, "refund", record_id="second")
    report = run_at(books, NOON, *[told][: age < 4], second)
    assert report.findings == {"duplicate_at_provider": 1}
    assert [one["detail"]["record_id"] for one in books.findings()] == ["second"]
    assert run_at(books, NOON, second).opened == 0
    booked(books, "r", -100, "refund")
    assert run_at(books, NOON, second).findings_open == 0


@pytest.mark.parametrize("age", [6, 20, 40])
def test_a_row_that_was_matched_late_stays_matched(books: Books, age: int) -> None:
    """Its record came days after it; then, long after both, another one of the same amount."""
    booked(books, "r", 500, at=NOON)
    assert run_at(books, NOON).findings == {"missing_at_provider": 1}
    told_at = NOON + days(5)
    told = record("r", 500, at=told_at)
    for day in (5, 5, 6, 7, 8):
        assert run_at(books, NOON + days(day), told).findings_open == 0
    much_later = told_at + days(age)
    second = record("r", 500, at=much_later, record_id="second")
    assert run_at(books, much_later, second).findings == {"duplicate_at_provider": 1}


def test_a_row_from_before_the_first_night_is_taken_once(books: Books) -> None:
    booked(books, "r", 500, at=NOON - days(40))
    assert run_at(books, NOON, record("r", 500)).exit_code == 0
    assert run_at(books, NOON, record("r", 500)).exit_code == 0
    second = record("r", 500, at=NOON + days(30), record_id="second")
    assert run_at(books, NOON + days(30), second).findings == {"duplicate_at_provider": 1}


def test_a_row_whose_record_came_long_before_it_stays_matched_when_that_is_forgotten(books: Books) -> None:
    """The record, its booking 13 days later, and the nights that still look back at the booking."""
    assert run_at(books, NOON, record("r", 500)).findings == {"missing_in_ledger": 1}
    booked(books, "r", 500, at=NOON + days(13))
    for day in (13, 14, 15, 16):
        report = run_at(books, NOON + days(day))
        assert (report.findings, report.findings_open) == ({}, 0), day


def test_what_a_finding_waits_for_is_found_when_its_record_is_forgotten(books: Books) -> None:
    """Booked 40 days late, with the time that it really happened."""
    assert run_at(books, NOON, record("r", 500)).findings == {"missing_in_ledger": 1}
    for day in (20, 39):
        assert run_at(books, NOON + days(day)).findings_open == 1
    booked(books, "r", 500, at=NOON)
    report = run_at(books, NOON + days(40))
    assert (report.closed, report.findings_open) == (1, 0)


def test_a_row_that_waits_is_still_free(books: Books) -> None:
    booked(books, "r", 500, at=NOON)
    assert run_at(books, NOON).findings == {"missing_at_provider": 1}
    late = NOON + days(40)
    report = run_at(books, late, record("r", 500, at=late))
    assert (report.findings, report.closed, report.findings_open) == ({}, 1, 0)


def test_a_row_of_a_night_that_never_ran_is_still_free(books: Books) -> None:
    assert run_at(books, NOON - days(60)).exit_code == 0
    booked(books, "r", 500, at=NOON - days(40))
    assert run_at(books, NOON, record("r", 500)).exit_code == 0


def test_a_row_that_was_booked_after_its_night_is_still_free(books: Books) -> None:
    assert run_at(books, NOON - days(40)).exit_code == 0
    booked(books, "r", 500, at=NOON - days(40))
    assert run_at(books, NOON, record("r", 500)).exit_code == 0


def test_what_came_a_day_apart_stays_together_at_the_windows_edge(books: Books) -> None:
    """The provider dates its records a day later: every night one of the two falls out of the window first."""
    told = [record(f"r{day}", 500, at=NOON + days(day + 1)) for day in range(3)]
    for day in range(3):
        booked(books, f"r{day}", 500, at=NOON + days(day))
    assert [run_at(books, NOON + days(day), *told).findings_open for day in range(24)] == [1, 1, 1] + 21 * [0]
    assert {one["times_seen"] for one in books.findings("closed")} == {1}


def test_an_old_night_that_runs_again_takes_nothing_from_later_ones(books: Books) -> None:
    """Two bookings, one record: the second booking's. The first is missing, then and now."""
    booked(books, "r", 500, at=NOON)
    assert run_at(books, NOON).findings == {"missing_at_provider": 1}
    later = NOON + days(8)
    booked(books, "r", 500, at=later)
    told = record("r", 500, at=later)
    assert run_at(books, later, told).findings == {}
    report = run_at(books, NOON)
    assert (report.findings, report.closed, report.findings_open) == ({"missing_at_provider": 1}, 0, 1)


def test_a_finding_of_long_ago_does_not_part_what_belongs_together(books: Books) -> None:
    """Two partial refunds told as one, of a reference about which something else stands open."""
    run_at(books, NOON - days(20), record("r", -7, "refund", NOON - days(20), record_id="alien"))
    booked(books, "r", -100, "refund")
    booked(books, "r", -250, "refund")
    report = run_at(books, NOON, record("r", -350, "refund"))
    assert (report.findings, report.findings_open) == ({}, 1)
