"""What lies at an edge: of a day, of BIGINT, of what a text may hold, of a run that failed half way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import pytest

from models.money import BIGINT_MAX
from tests.integration.reconciliation.books import NIGHT, NOON, Books, Told, ToldFile, record
from worker.providers.records.port import BadRow, Record, SourceFailed, Window

MIDNIGHT = datetime(2026, 3, 12, 21, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass(kw_only=True)
class BrokenFile(ToldFile):
    """A file that cannot be read to its end."""

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        yield from super().read(window)
        raise SourceFailed("it changed while it was read")


def after(books: Books, days: int) -> tuple[Books, date]:
    return replace(books, now=books.now + days * DAY), NIGHT + days * DAY


def test_midnight_belongs_to_the_day_that_begins(books: Books) -> None:
    for name, at in (
        ("first", MIDNIGHT),
        ("next", MIDNIGHT + DAY),
        ("before", MIDNIGHT - timedelta(microseconds=1)),
    ):
        books.moved(name, 7, at=at)
    assert books.run().findings == {"missing_at_provider": 2}
    assert books.run(night=NIGHT + DAY).findings == {"missing_at_provider": 3}


@pytest.mark.parametrize(
    "told",
    [
        [record("r", BIGINT_MAX), record("r", BIGINT_MAX, record_id="x")],
        [record("a", 5, fee_minor=BIGINT_MAX), record("b", 5, fee_minor=BIGINT_MAX)],
        [record(None, -BIGINT_MAX, "fee", record_id="a", fee_minor=BIGINT_MAX)],
        [record("q", -1, "refund"), record("p", -BIGINT_MAX, "payout")],
    ],
)  # fmt: skip
def test_the_largest_amounts_add_up(books: Books, told: list[Record]) -> None:
    books.moved("q", -BIGINT_MAX, "refund")
    first = books.run(*told)
    assert (first.state, first.adds_up) == ("done", True)
    again = books.run(*told)
    assert (again.adds_up, again.opened, again.findings) == (True, 0, first.findings)


def test_hostile_texts_are_findings_like_any_other(books: Books) -> None:
    hostile = "x'\"\\\t<script>" + "\N{SNOWMAN}" * 200
    told = record(hostile, 5, record_id=hostile, status="\\N", object_id="{}")
    assert books.run(told, record("\\.", 6, record_id="\\.")).findings == {"missing_in_ledger": 2}
    assert {one["detail"]["reference"] for one in books.findings()} == {hostile, "\\."}
    assert books.run().closed == 2


def test_a_chargeback_and_its_reversal_are_two_movements(books: Books) -> None:
    lost = record("r", -500, "chargeback")
    won = record("r", 500, "chargeback", NOON + timedelta(hours=1), record_id="won")
    books.moved("r", 500)
    books.moved("r", -500, "chargeback")
    assert books.run(record("r", 500), lost, won).findings == {"missing_in_ledger": 1}
    [finding] = books.findings()
    assert finding["detail"]["record_id"] == "won"
    books.moved("r", 500, "chargeback", NOON + timedelta(hours=1))
    assert books.run(record("r", 500), lost, won).findings_open == 0
    assert books.run(record("r", 500)).findings == {"missing_at_provider": 2}


def test_a_name_of_a_transaction_is_the_tenants_own(books: Books) -> None:
    theirs = Books(books.transaction, "globex").moved("r", 500)
    ours = books.moved("r", 500)
    told = [record(f"transaction {n}", 5, "other", record_id=str(n)) for n in (theirs, ours, 10**18 - 1)]
    assert books.run(*told, record("r", 500)).findings == {"missing_in_ledger": 3}


def test_a_second_booking_shows_although_a_later_file_tells_its_record(books: Books) -> None:
    for _ in range(2):
        books.moved("a", 500)
    assert books.run_from(ToldFile([record("a", 500)])).findings == {"missing_at_provider": 1}
    later = ToldFile([record("a", 500), record("b", 1, at=NOON + DAY)], digest="d2")
    wanted = {"missing_at_provider": 1, "missing_in_ledger": 1}
    assert books.run_from(later, night=NIGHT + DAY).findings == wanted


def test_what_is_booked_days_after_it_was_told_closes(books: Books) -> None:
    assert books.run(record("r", 500)).findings == {"missing_in_ledger": 1}
    at = NOON + 10 * DAY
    books.moved("r", 500, at=at)
    moved = books.later(days=12).run(record("r", 500, at=at), night=NIGHT + 10 * DAY)
    assert moved.findings_open == 0


def test_of_a_run_that_fails_half_way_again_nothing_is_concluded(books: Books) -> None:
    told = [record(f"r{n}", 5) for n in range(10_050)]
    for one in told[:30]:
        books.moved(str(one.reference), 5)
    before = books.run(*told[:30])
    assert before.exit_code == 0
    assert books.run_from(Told(told, error="gone")).state == "failed"
    assert books.findings() == []
    tomorrow, night = after(books, 1)
    assert tomorrow.run(*told[:30], night=night).exit_code == 0
    assert books.run(*told[:30]).exit_code == 0
    [staged] = books.rows("SELECT count(*) FROM provider_records WHERE tenant = :tenant")
    assert staged["count"] == 60


def test_what_a_file_told_is_not_missing_because_it_could_not_be_read_again(books: Books) -> None:
    books.moved("a", 500)
    first = ToldFile([record("a", 500)])
    assert books.run_from(first).exit_code == 0
    assert books.run_from(BrokenFile([record("x", 1)])).state == "failed"
    tomorrow, night = after(books, 1)
    tomorrow.moved("b", 7, at=NOON + DAY)
    second = ToldFile([record("b", 7, at=NOON + DAY)], digest="d2")
    report = tomorrow.run_from(second, night=night)
    assert (report.state, report.findings) == ("done", {})
    assert books.run_from(first).exit_code == 0
    assert tomorrow.run_from(second, night=night).exit_code == 0


def test_a_run_that_fails_says_how_many_findings_stand_open_all_the_same(books: Books) -> None:
    assert books.run(record("r", 500)).findings_open == 1
    failed = books.run_from(Told(error="gone"))
    assert (failed.state, failed.exit_code, failed.findings, failed.findings_open) == ("failed", 2, {}, 1)
    [row] = books.rows("SELECT state, findings_open FROM reconciliation_runs WHERE tenant = :tenant")
    assert row == {"state": "failed", "findings_open": 1}
