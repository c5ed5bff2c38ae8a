"""A run's life: claimed by one, told too little, told rubbish, its invariants asked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from models.errors import UnknownTenant
from models.reconciliation.findings import Finding, record_findings
from models.reconciliation.runs import ClaimLost, claim_run, load_run, plan_run, renew_claim
from tasks.reconciliation.service import RunReport, reconcile
from tests.integration.reconciliation.books import NIGHT, NOON, Books, Told, record
from worker.providers.records.port import BadRow, Record, Window

BAD = BadRow(7, "rec_9;;deposit\0", "no amount")


def of(books: Books) -> dict[str, Any]:
    with books.transaction() as session:
        row = load_run(session, books.tenant, books.provider, NIGHT)
    assert row is not None
    return dict(row)


def test_the_row_says_what_the_report_says(books: Books) -> None:
    books.moved("r", 500)
    report = books.run(record("r", 500), record("s", 70), BAD)
    row = of(books)
    assert (row["state"], row["records"], row["bad_rows"], row["matched"], row["findings_open"]) == (
        "done",
        2,
        1,
        1,
        1,
    )
    assert (row["id"], row["revision"], row["last_error"]) == (report.run_id, 1, None)
    assert row["finished_at"] == row["started_at"] == books.now
    assert row["counts"]["findings"] == {"missing_in_ledger": 1}
    assert row["totals"]["EUR"]["provider"]["minor"] == 570
    assert (row["window_from"], row["window_to"]) == (
        datetime(2026, 3, 10, 3, tzinfo=UTC),
        datetime(2026, 3, 13, 21, tzinfo=UTC),
    )


def test_a_planned_night_is_the_one_that_runs(books: Books) -> None:
    with books.transaction() as session:
        assert plan_run(session, "acme", "sandbox", NIGHT, due_at=NOON)
        assert not plan_run(session, "acme", "sandbox", NIGHT, due_at=NOON + timedelta(hours=1))
    assert books.run().state == "done"
    assert (of(books)["due_at"], of(books)["revision"]) == (NOON, 1)


def test_an_unknown_tenant_is_refused(books: Books) -> None:
    with pytest.raises(UnknownTenant):
        replace(books, tenant="nobody").run()


@dataclass
class Meanwhile:
    """A source in whose midst something else happens."""

    books: Books
    act: Any
    reports: list[RunReport]

    def read(self, _window: Window) -> Iterator[Record | BadRow]:
        yield record("r", 500)
        self.reports.append(self.act())
        yield record("s", 500)


def test_the_second_of_two_at_once_does_nothing(books: Books) -> None:
    reports: list[RunReport] = []
    source = Meanwhile(books, lambda: books.run(record("x", 1)), reports)
    first = reconcile(
        books.transaction, "acme", "sandbox", NIGHT, source, clock=lambda: books.now, with_checks=False
    )
    assert (first.state, reports[0].state, reports[0].exit_code) == ("done", "taken", 2)
    assert first.findings == {"missing_in_ledger": 2}
    assert of(books)["revision"] == 1


def test_one_of_many_at_once_runs(books: Books) -> None:
    start = Barrier(4)

    def one(_: int) -> str:
        start.wait(30)
        return books.run(record("r", 500)).state

    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(one, range(4)))
    assert set(states) <= {"done", "taken"}
    assert states.count("done") == of(books)["revision"] >= 1
    [finding] = books.findings()
    assert finding["times_seen"] == states.count("done")


def test_one_whose_claim_ran_out_and_was_taken_writes_nothing_more(books: Books) -> None:
    """It slept for an hour in the middle of its feed; the other has done the work."""
    later, reports = books.later(hours=1), list[RunReport]()
    source = Meanwhile(books, lambda: later.run(record("r", 500), record("t", 1)), reports)
    first = reconcile(
        books.transaction, "acme", "sandbox", NIGHT, source, clock=lambda: books.now, with_checks=False
    )
    assert (first.state, reports[0].state) == ("taken", "done")
    staged = books.rows("SELECT record_id FROM provider_records ORDER BY 1")
    assert [row["record_id"] for row in staged] == ["rec_deposit_r", "rec_deposit_t"]
    assert of(books)["claim_version"] == 2


def test_a_claim_is_renewed_by_its_version_only(books: Books) -> None:
    window = (NOON, NOON)
    with books.transaction() as session:
        claim = claim_run(session, "acme", "sandbox", NIGHT, window=window, seconds=60, now=NOON)
    assert claim is not None
    with books.transaction() as session:
        at = NOON + timedelta(seconds=59)
        assert claim_run(session, "acme", "sandbox", NIGHT, window=window, seconds=60, now=at) is None
        renew_claim(session, claim, seconds=60, now=at)
        at = NOON + timedelta(seconds=100)
        assert claim_run(session, "acme", "sandbox", NIGHT, window=window, seconds=60, now=at) is None
    with books.transaction() as session:
        at = NOON + timedelta(seconds=119)
        assert claim_run(session, "acme", "sandbox", NIGHT, window=window, seconds=60, now=at) is not None
    with pytest.raises(ClaimLost), books.transaction() as session:
        renew_claim(session, claim, seconds=60, now=at)


@pytest.mark.parametrize("told", [0, 1, 10_001])
def test_a_source_that_fails_concludes_nothing(books: Books, told: int) -> None:
    books.moved("r", 500)
    assert books.run().findings == {"missing_at_provider": 1}
    before = books.findings()
    items = [record(f"x{n}", 1, fee_minor=1) for n in range(told)]
    report = books.run_from(Told(items, error="page 3 timed out"))
    assert (report.state, report.exit_code, report.error) == ("failed", 2, "page 3 timed out")
    assert (of(books)["state"], of(books)["last_error"]) == ("failed", "page 3 timed out")
    assert books.findings() == before
    assert books.balance("house:fees") == 0
    assert books.run(record("r", 500)).exit_code == 0
    assert of(books)["last_error"] is None


def test_a_bug_ends_the_run_and_is_told(books: Books) -> None:
    class Broken(Told):
        def read(self, _window: Window) -> Iterator[Record | BadRow]:
            raise RuntimeError("with a secret")

    with pytest.raises(RuntimeError):
        books.run_from(Broken())
    assert (of(books)["state"], of(books)["last_error"]) == ("failed", "failed: RuntimeError")


def test_a_bad_row_is_kept_and_stops_nothing(books: Books) -> None:
    books.moved("r", 500)
    report = books.run(BAD, record("r", 500), BadRow(None, "half\ud800", "no CSV"))
    assert (report.state, report.matched, report.bad_rows, report.exit_code) == ("done", 1, 2, 1)
    rows = books.rows("SELECT line, raw, reason FROM reconciliation_bad_rows ORDER BY id")
    assert [tuple(row.values()) for row in rows] == [
        (7, "rec_9;;deposit\N{REPLACEMENT CHARACTER}", "no amount"),
        (None, "half?", "no CSV"),
    ]
    assert books.run(BAD, record("r", 500)).bad_rows == 1
    assert len(books.rows("SELECT id FROM reconciliation_bad_rows")) == 1


def many(books: Books, rows: int = 24) -> list[Record]:
    for n in range(rows):
        books.moved(f"r{n}", 10)
    return [record(f"r{n}", 10) for n in range(rows)]


def test_a_feed_that_is_too_short_opens_and_closes_nothing(books: Books) -> None:
    told = many(books)
    books.run(*told[:-2], record("alien", 5))
    assert books.kinds() == ["missing_at_provider", "missing_at_provider", "missing_in_ledger"]
    before = books.findings()
    report = books.run(*told[:11], record("other", 9))
    assert (report.state, report.exit_code) == ("done", 1)
    report = books.run(*told[:10])
    assert (report.state, report.exit_code, report.findings) == ("truncated", 1, {})
    assert (of(books)["state"], of(books)["counts"]["note"]) == ("truncated", report.error)
    assert report.error == "10 movements in 10 records; the ledger has 24"
    assert len(before) == 3
    assert books.run(*told[:10], even_if_short=True).findings == {"missing_at_provider": 14}
    assert books.run(*told).findings_open == 0


def test_a_feed_shorter_than_the_last_nights_is_too_short(books: Books) -> None:
    """Though the ledger, which heard as little, agrees with it."""
    for days in range(3):
        told = [record(f"r{n}", 5, at=NOON + timedelta(days=days)) for n in range(24)]
        assert books.later(days=days).run(*told, night=NIGHT + timedelta(days=days)).state == "done"
    alone = NIGHT + timedelta(days=30)
    report = books.later(days=40).run(night=alone)
    assert (report.state, report.error) == (
        "truncated",
        "0 movements in 0 records; the ledger has 0, the last nights had 24 records",
    )


def test_a_young_ledger_is_no_witness(books: Books) -> None:
    """What the provider may not have settled yet is not missed."""
    many(books)
    early = replace(books, now=NOON + timedelta(hours=2))
    report = early.run()
    assert (report.state, report.expected, report.exit_code, report.adds_up) == ("done", 24, 0, True)


def test_broken_invariants_are_findings_until_they_are_mended(books: Books, owner: Any) -> None:
    books.moved("r", 500)
    told = record("r", 500)
    clean = books.run(told, with_checks=True)
    assert clean.exit_code == 0
    assert len(clean.checks) == len(of(books)["checks"]) > 10
    change = "UPDATE accounts SET balance_minor = balance_minor {} WHERE code = 'wallet:ada:available'"
    owner.execute(change.format("+ 1").encode())
    report = books.run(told, with_checks=True)
    assert report.findings == {"invariant_broken": 1}
    [finding] = books.findings()
    assert (finding["provider"], finding["severity"]) == ("ledger", "critical")
    assert finding["detail"]["check"] == "balances_equal_their_entries"
    assert finding["detail"]["remedy"]
    assert books.run(told).findings_open == 1  # not asked, so it stands
    owner.execute(change.format("- 1").encode())
    mended = books.run(told, with_checks=True)
    assert (mended.closed, mended.findings, mended.findings_open) == (1, {}, 0)


def test_sums_of_another_provider_are_mended_by_its_own_run_only(books: Books) -> None:
    """As are another tenant's."""
    check = "reconciliation_totals_add_up"
    for tenant, provider in (("acme", "stripe"), ("acme", "sandbox"), ("globex", "sandbox")):
        detail = {"check": check, "provider": provider}
        subject = f"run:9 {provider}"
        wrong = Finding(tenant, "ledger", "invariant_broken", subject, None, "EUR", detail, check)
        with books.transaction() as session:
            record_findings(session, [wrong], now=books.now)
    report = books.run(with_checks=True)
    assert (report.closed, report.findings_open) == (1, 1)
    assert [one["detail"]["provider"] for one in books.findings()] == ["stripe"]
    assert len(replace(books, tenant="globex").findings()) == 1
    assert replace(books, provider="stripe").run().closed == 1


def test_old_records_are_let_go_and_young_ones_kept(books: Books) -> None:
    for days in (0, 14, 15):
        night = NIGHT + timedelta(days=days)
        books.later(days=days).run(record(f"r{days}", 5, at=NOON + timedelta(days=days)), night=night)
    kept = books.rows("SELECT record_id FROM provider_records ORDER BY 1")
    assert [row["record_id"] for row in kept] == ["rec_deposit_r14", "rec_deposit_r15"]


def test_nights_are_apart(books: Books) -> None:
    assert books.run(night=date(2026, 3, 12)).run_id != books.run(night=date(2026, 3, 13)).run_id
