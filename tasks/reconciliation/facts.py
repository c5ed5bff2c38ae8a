"""From a run that has ended to what its report says: the run's own counts, and the findings that stand open."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.reconciliation import seen
from models.reconciliation.runs import load_run
from models.reconciliation.seen import Row, Standing
from models.tenants import load_tenant
from tasks.reconciliation.outcome import RunReport
from tasks.reconciliation.report import (
    BadRowFacts,
    Both,
    Counts,
    CurrencyTotals,
    FeesBooked,
    FindingFacts,
    FindingGroup,
    IgnoredRecords,
    InvariantFacts,
    Night,
    RunFacts,
    SettlementsBooked,
)
from tasks.reconciliation.report.facts import NIGHTS_MAX
from tasks.reconciliation.run import LEDGER
from tasks.reconciliation.totals import CurrencyTotal
from worker.database import Transaction

LISTED_MAX = 500
"""Findings that the page lists one by one; the others stand in the CSV."""
BAD_ROWS_MAX = 100
SUBJECTS_MAX = 5

OURS = {"transaction_id": "transaction_id", "ledger_minor": "amount_minor", "ledger_currency": "currency",
        "ledger_at": "at"}  # fmt: skip
THEIRS = {"record_id": "record_id", "provider_minor": "amount_minor", "provider_currency": "currency",
          "provider_status": "status", "provider_at": "at", "feed_line": "line"}  # fmt: skip
EVENT = {"event": "event", "move": "move", "object_id": "object_id", "job_id": "job_id",
         "occurred_at": "at"}  # fmt: skip
"""What the provider told of something unknown."""


@contextmanager
def read_facts(
    transaction: Transaction, report: RunReport, *, now: datetime, shown_by: str | None = None
) -> Iterator[tuple[RunFacts, Iterator[FindingFacts]]]:
    """The facts, and the findings that they only count; all of one moment. The iterator ends with the context.

    `shown_by` is the provider whose records show what arrives at the bank, where there is one.
    """
    with transaction() as session:
        seen.one_moment(session)
        standing = Standing(report.tenant, [report.provider, LEDGER], LISTED_MAX)
        facts = _facts(session, report, standing, now, shown_by)
        yield facts, (_finding(row) for row in seen.further_findings(session, standing))


def _facts(
    session: Session, report: RunReport, standing: Standing, now: datetime, shown_by: str | None
) -> RunFacts:
    row = load_run(session, report.tenant, report.provider, report.business_date)
    if row is None or report.run_id is None or report.state == "taken":
        raise ValueError(f"no run of {report.tenant}/{report.provider} for {report.business_date} has ended")
    return RunFacts(
        tenant=report.tenant,
        provider=report.provider,
        business_date=report.business_date,
        zone=load_tenant(session, report.tenant).timezone,
        window_from=row["window_from"],
        window_to=row["window_to"],
        state=report.state,
        started_at=row["started_at"],
        finished_at=row["finished_at"] or now,
        revision=report.revision,
        problem=report.error,
        totals=tuple(_totals(currency, one) for currency, one in report.totals.items()),
        counts=_counts(report),
        findings=tuple(map(_finding, seen.listed_findings(session, standing))),
        more=tuple(map(_group, seen.grouped_findings(session, standing))),
        bad_rows=tuple(map(_bad_row, seen.bad_rows(session, report.run_id, BAD_ROWS_MAX))),
        invariants=_invariants(report),
        fees=tuple(
            FeesBooked(fee["currency"], fee["amount_minor"], fee["records"])
            for fee in seen.fees_booked(session, report.tenant, report.provider, report.fees_booked)
        ),
        settlements=tuple(
            SettlementsBooked(one["code"], one["currency"], one["amount_minor"], one["records"], shown_by)
            for one in seen.settlements_booked(
                session, report.tenant, report.provider, report.settlements_booked
            )
        ),
        ignored=tuple(
            IgnoredRecords(one.type, one.currency, one.amount_minor, one.records, one.record_ids)
            for one in report.ignored_records
        ),
        history=_history(session, report),
    )


def _totals(currency: str, found: CurrencyTotal) -> CurrencyTotals:
    """Where the matched differ, the rest found its counterpart outside."""
    ours, theirs = found.ledger, found.provider
    total = Both(theirs.minor, ours.minor, theirs.rows, ours.rows)
    matched, elsewhere = _matched(found)
    return CurrencyTotals(
        currency,
        total,
        matched=matched,
        elsewhere=elsewhere,
        expected=Both(theirs.expected_minor, ours.expected_minor, theirs.expected_rows, ours.expected_rows),
        findings={kind: _both(sides) for kind, sides in found.findings.items()},
        repeated=Both(provider_minor=theirs.repeated_minor, provider_rows=theirs.repeated_rows),
        ignored=Both(provider_minor=theirs.ignored_minor, provider_rows=theirs.ignored_rows),
    )


def _matched(found: CurrencyTotal) -> tuple[Both, Both]:
    """The same money on both sides, and what the one side has more."""
    ours, theirs = found.ledger, found.provider
    rows = (theirs.matched_rows, ours.matched_rows)
    if not found.elsewhere_minor:
        return Both(theirs.matched_minor, ours.matched_minor, *rows), Both()
    common, fewer = min(theirs.matched_minor, ours.matched_minor, key=abs), min(rows)
    more = Both(theirs.matched_minor - common, ours.matched_minor - common, rows[0] - fewer, rows[1] - fewer)
    return Both(common, common, fewer, fewer), more


def _both(sides: Mapping[str, tuple[int, int]]) -> Both:
    theirs, ours = sides.get("provider", (0, 0)), sides.get("ledger", (0, 0))
    return Both(theirs[1], ours[1], theirs[0], ours[0])


def _counts(report: RunReport) -> Counts:
    found = sum(report.findings.values()) - report.ignored
    return Counts(
        records=report.records,
        ledger_rows=sum(one.ledger.rows for one in report.totals.values()),
        matched=report.matched,
        expected=report.expected,
        bad_rows=report.bad_rows,
        opened=report.opened,
        seen_again=max(0, found - report.opened - report.reopened),
        closed=report.closed,
    )


def _finding(row: Row) -> FindingFacts:
    detail: Mapping[str, Any] = row["detail"]
    return FindingFacts(
        id=row["id"],
        kind=row["kind"],
        severity=row["severity"],
        state=row["state"],
        subject=row["subject"],
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        times_seen=row["times_seen"],
        amount_minor=row["amount_minor"] if row["currency"] else None,
        currency=row["currency"] if row["amount_minor"] is not None else None,
        ours=_side(detail, OURS, "transaction_id"),
        theirs=_side(detail, THEIRS, "record_id") or _side(detail, EVENT, "event"),
        reason=row["reason"],
        told_elsewhere=row["told_elsewhere"],
        line=detail.get("line"),
    )


def _side(detail: Mapping[str, Any], columns: Mapping[str, str], needed: str) -> dict[str, object] | None:
    """One side's record, with the reference that both are known by."""
    if needed not in detail:
        return None
    return {"reference": detail.get("reference")} | {
        shown: detail[name] for name, shown in columns.items() if name in detail
    }


def _group(row: Row) -> FindingGroup:
    known = row["currency"] is not None and row["amount_minor"] is not None
    return FindingGroup(
        row["kind"],
        row["severity"],
        row["findings"],
        row["first_seen_at"],
        row["amount_minor"] if known else None,
        row["currency"] if known else None,
        row["told_elsewhere_minor"] if known else 0,
        row["line"],
    )


def _bad_row(row: Row) -> BadRowFacts:
    return BadRowFacts(row["line"] or 0, row["raw"], row["reason"])


def _invariants(report: RunReport) -> tuple[InvariantFacts, ...]:
    return tuple(
        InvariantFacts(
            check.name,
            check.meaning,
            len(check.broken),
            check.remedy,
            tuple(one.subject for one in check.broken[:SUBJECTS_MAX]),
        )
        for check in report.checks
    )


def _history(session: Session, report: RunReport) -> tuple[Night, ...]:
    rows = seen.neighbours(session, report.tenant, report.provider, report.business_date, rows=NIGHTS_MAX)
    return tuple(Night(**row) for row in rows)
