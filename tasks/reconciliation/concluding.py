"""What a run makes of what was told: fees and settlements booked, invariants asked, both sides matched, findings."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from models.invariants import BROKEN_ROWS_MAX, Check, Invariant, ask
from models.ledger.verify import INVARIANTS
from models.reconciliation.concluding import Conclusion, conclude, conclude_checks, count_open
from models.reconciliation.findings import Finding
from models.reconciliation.ignored import list_ignored
from models.reconciliation.matching import Sum, alone, match
from models.reconciliation.runs import Concluded, end_run
from models.reconciliation.scope import Scope, allow_long_statements
from models.reconciliation.staging import take_file
from models.reconciliation.strangers import KIND as UNKNOWN_EVENT
from models.reconciliation.strangers import Strangers, look_for_strangers
from models.reconciliation.surveying import Survey
from models.reconciliation.takes import complete_take
from models.reconciliation.unbooked import Batches, Unbooked, unbooked_fees, unbooked_transfers
from tasks.reconciliation.feeding import recall_nights
from tasks.reconciliation.fees import BATCH_ROWS, book_fees
from tasks.reconciliation.outcome import RunReport
from tasks.reconciliation.run import LEDGER, STATEMENT_SECONDS, Run
from tasks.reconciliation.settlements import book_settlements
from tasks.reconciliation.totals import Totals, add_up
from worker.providers.records.port import SourceFailed

TOTALS_ADD_UP = "reconciliation_totals_add_up"


class Read(Protocol):
    """Streams what is to be booked."""

    def __call__(self, session: Session, scope: Scope, rows_at_once: int, *, told_again: bool) -> Batches: ...


class Book(Protocol):
    """Posts a batch of it; how many were new."""

    def __call__(
        self, session: Session, scope: Scope, rows: Sequence[Unbooked], /, *, shadow: bool, now: datetime
    ) -> int: ...


def book_all(run: Run, found: Survey) -> None:
    """The fees, and the provider's own transfers to our bank; a bank only shows what others have booked."""
    run.fees_booked += _book_all(run, found, unbooked_fees, book_fees)
    if found.tells_own_transfers(run.scope) and not run.scope.is_bank:
        run.settlements_booked += _book_all(run, found, unbooked_transfers, book_settlements)


def _book_all(run: Run, found: Survey, read: Read, book: Book) -> int:
    """Read in one transaction, posted in others: nobody waits for the clearing account while a feed is read."""
    booked, again = 0, found.tells_again(run.scope)
    with (
        run.transaction() as reading,
        closing(read(reading, run.scope, BATCH_ROWS, told_again=again)) as unbooked,
    ):
        for rows in unbooked:
            with run.transaction() as session:
                run.renew(session, STATEMENT_SECONDS)
                booked += book(session, run.scope, rows, shadow=run.tenant.shadow, now=run.clock())
    return booked


def check_invariants(run: Run) -> Sequence[Check]:
    """Every invariant of ledger and payouts, each in a transaction of its own."""
    return [check for invariant in INVARIANTS for check in _ask(run, [invariant])]


def _ask(run: Run, invariants: Sequence[Invariant]) -> Sequence[Check]:
    with run.transaction() as session:
        run.renew(session, STATEMENT_SECONDS)
    with run.transaction() as session:
        allow_long_statements(session)
        return ask(session, invariants, run.claim.tenant, now=run.clock())


def match_and_conclude(run: Run, found: Survey, checks: Sequence[Check]) -> RunReport:
    """Matching, findings and the end of the run: all of it or nothing."""
    with run.transaction() as session:
        run.renew(session, STATEMENT_SECONDS)
        alone(session, run.scope)
        recall_nights(run, session)
        sums = match(session, run.scope, found)
        totals = add_up(sums)
        now = run.clock()
        concluded = conclude(session, run.scope, now=now)
        broken = [*_broken(run, checks), *_not_adding_up(run, totals)]
        asked = [TOTALS_ADD_UP, *(check.name for check in checks if len(check.broken) < BROKEN_ROWS_MAX)]
        mended = conclude_checks(session, broken, asked, run.scope, LEDGER, now=now)
        strangers = strangers_of(run, session, now=now)
        report = run.report(
            "done",
            matched=_rows(sums, "agreed", "matched"),
            expected=_rows(sums, "expected", side=None),
            findings=_by_kind(concluded, broken, strangers),
            opened=concluded.opened + strangers.opened,
            reopened=concluded.reopened + strangers.reopened,
            ignored=concluded.ignored + strangers.ignored,
            closed=concluded.closed + mended + strangers.closed,
            findings_open=count_open(session, run.claim.tenant, [run.claim.provider, LEDGER]),
            totals=totals,
            ignored_records=list_ignored(session),
            checks=checks,
        )
        _take_file(session, run, now)
        complete_take(session, run.claim.run_id)
        end_run(session, run.claim, report.ending(), now=now, concluded=_concluded(run, found))
    return report


def _concluded(run: Run, found: Survey) -> Concluded:
    """What was still on its way is not."""
    scope = run.scope
    return Concluded(scope.judged_from, min(scope.judged_until, scope.settled_before), found.last_id)


def strangers_of(run: Run, session: Session, *, now: datetime) -> Strangers:
    """The account's events about things unknown; whatever the feed was like."""
    return look_for_strangers(session, now=now, tenant=run.claim.tenant, provider=run.claim.provider)


def _take_file(session: Session, run: Run, now: datetime) -> None:
    if run.file is not None and not take_file(
        session, run.claim.run_id, run.claim.tenant, run.claim.provider,
        digest=run.file.digest, name=run.file.name, rows=run.records + run.bad_rows, now=now,
    ):  # fmt: skip
        raise SourceFailed(f"the file {run.file.name} was taken meanwhile, by another run")


def _broken(run: Run, checks: Sequence[Check]) -> Iterator[Finding]:
    for check in checks:
        for one in check.broken:
            detail = {
                "check": check.name,
                "meaning": check.meaning,
                "remedy": check.remedy,
                "found": one.detail,
            }
            yield Finding(
                run.claim.tenant, LEDGER, "invariant_broken", one.subject, detail=detail, mark=check.name
            )


def _not_adding_up(run: Run, totals: Totals) -> Iterator[Finding]:
    for currency, total in totals.items():
        if not total.adds_up:
            detail = {"check": TOTALS_ADD_UP, "provider": run.claim.provider, "totals": asdict(total)}
            subject = f"run:{run.claim.run_id} {currency}"
            yield Finding(
                run.claim.tenant, LEDGER, "invariant_broken", subject, None, currency, detail, TOTALS_ADD_UP
            )


def _by_kind(concluded: Conclusion, broken: Sequence[Finding], strangers: Strangers) -> dict[str, int]:
    found = {**concluded.seen, **unknown_events(strangers)}
    if broken:
        found["invariant_broken"] = len({one.fingerprint for one in broken})
    return dict(sorted(found.items()))


def unknown_events(strangers: Strangers) -> dict[str, int]:
    """As a report counts them."""
    return {UNKNOWN_EVENT: strangers.seen} if strangers.seen else {}


def _rows(sums: Sequence[Sum], *statuses: str, side: str | None = "provider") -> int:
    return sum(one.rows for one in sums if one.status in statuses and side in (None, one.side))
