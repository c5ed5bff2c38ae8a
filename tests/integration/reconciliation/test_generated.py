"""A generated night: a run finds exactly what was seeded, again nothing new, and nothing at all once it is mended."""

from datetime import timedelta

import pytest

from tasks.reconciliation.service import RunReport, reconcile
from tests.integration.reconciliation.generating import (
    BUCKETS,
    BUSINESS_DATE,
    NOW,
    Connection,
    Feed,
    found,
    generate,
    mend,
    truth,
)
from worker.database import Transaction

ROWS = 20_000


@pytest.fixture
def seeded(owner: Connection) -> Connection:
    generate(owner, ROWS)
    return owner


def run(transaction: Transaction, owner: Connection, minutes_later: int = 0) -> RunReport:
    now = NOW + timedelta(minutes=minutes_later)
    return reconcile(
        transaction, "acme", "sandbox", BUSINESS_DATE, Feed(owner), clock=lambda: now, with_checks=False
    )


def number(owner: Connection, query: str) -> int:
    row = owner.execute(query.encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_run_finds_exactly_what_was_seeded(transaction: Transaction, owner: Connection, seed: int) -> None:
    generate(owner, ROWS, seed=seed)
    report = run(transaction, owner)
    wanted = truth(owner)
    assert {kind for kind, _ in wanted} == set(BUCKETS.values())
    assert found(owner) == wanted
    assert sum(report.findings.values()) == report.opened == report.findings_open == len(wanted)
    assert (report.state, report.exit_code) == ("done", 1)


def test_both_sides_add_up_to_what_the_tables_hold(transaction: Transaction, seeded: Connection) -> None:
    report = run(transaction, seeded)
    assert report.adds_up
    assert set(report.totals) == {"EUR", "USD"}
    for currency, total in report.totals.items():
        fed = f"FROM feed WHERE occurred_at < '2026-03-13 21:00+00' AND currency = '{currency}'"
        fees = f"FROM feed WHERE occurred_at < '2026-03-13 21:00+00' AND fee_currency = '{currency}'"
        told = number(seeded, f"SELECT sum(amount_minor) {fed}")
        assert total.provider.minor == told - number(seeded, f"SELECT sum(fee_minor) {fees}")
        held = f"""SELECT -sum(e.amount_minor) FROM ledger_entries e JOIN accounts a ON a.id = e.account_id
            JOIN ledger_transactions t ON t.id = e.transaction_id WHERE a.code = 'provider:sandbox:clearing'
            AND a.currency = '{currency}' AND t.occurred_at >= '2026-03-10' AND t.occurred_at < '2026-03-13 21:00+00'"""  # noqa: S608 - a currency of the totals
        assert total.ledger.minor == number(seeded, held)
        assert total.findings.keys() == set(BUCKETS.values())


def test_a_second_run_finds_nothing_new(transaction: Transaction, seeded: Connection) -> None:
    first, second = run(transaction, seeded), run(transaction, seeded, minutes_later=5)
    assert (second.opened, second.reopened, second.closed) == (0, 0, 0)
    assert (second.run_id, second.revision) == (first.run_id, 2)
    assert second.findings == first.findings
    assert second.totals == first.totals
    assert number(seeded, "SELECT count(*) FROM reconciliation_findings WHERE times_seen <> 2") == 0
    assert number(seeded, "SELECT count(*) FROM reconciliation_runs") == 1
    staged = number(seeded, "SELECT count(*) FROM provider_records")
    assert staged == second.records


def test_what_is_mended_upstream_closes_and_what_comes_back_opens_again(
    transaction: Transaction, seeded: Connection
) -> None:
    first = run(transaction, seeded)
    seeded.execute(b"CREATE TABLE feed_before AS TABLE feed")
    mend(seeded)
    mended = run(transaction, seeded, minutes_later=5)
    assert (mended.closed, mended.findings_open, mended.findings) == (first.opened, 0, {})
    assert (mended.exit_code, mended.adds_up) == (0, True)
    seeded.execute(b"TRUNCATE feed")
    seeded.execute(b"INSERT INTO feed TABLE feed_before")
    again = run(transaction, seeded, minutes_later=10)
    assert again.reopened == again.findings_open == sum(again.findings.values())
    assert found(seeded) == {one for one in truth(seeded) if one[0] != "missing_in_ledger"}


def test_what_is_late_is_expected_and_missing_once_the_grace_is_over(
    transaction: Transaction, seeded: Connection
) -> None:
    """A record of an hour ago whose ledger row has not come yet; then the day's own run, after the grace."""
    from_next_day = BUSINESS_DATE + timedelta(days=3)
    now = NOW + timedelta(minutes=1)
    young = reconcile(
        transaction, "acme", "sandbox", from_next_day, Feed(seeded), clock=lambda: now, with_checks=False
    )
    late = number(seeded, "SELECT count(*) FROM plan WHERE bucket = 12")
    assert (late > 0, young.expected) == (True, late)
    assert young.adds_up
    old = reconcile(
        transaction,
        "acme",
        "sandbox",
        from_next_day,
        Feed(seeded),
        clock=lambda: now + timedelta(days=1),
        with_checks=False,
    )
    assert (old.expected, old.opened) == (0, late)
    assert old.findings["missing_in_ledger"] == young.findings["missing_in_ledger"] + late


def test_counterparts_out_of_the_window_are_found(transaction: Transaction, seeded: Connection) -> None:
    """Their ledger rows are ten days older: matched by looking them up."""
    report = run(transaction, seeded)
    late = number(seeded, "SELECT count(*) FROM plan WHERE bucket = 11")
    assert late > 0
    apart = number(seeded, "SELECT sum(minor) FROM plan WHERE bucket = 11")
    assert sum(total.elsewhere_minor for total in report.totals.values()) == apart
