"""The demo's chapter on backfills: an older wallet's history moves in - tried first, then done, then done again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click
from sqlalchemy.orm import Session

from models.backfills.closing import count_aside
from models.backfills.quarantine import quarantined
from models.backfills.runs import Run, known_run
from models.ledger.reads import wallets_of
from models.ledger.verify import verify
from models.money import format_minor
from ops.cli.backfills.telling import print_run
from ops.cli.backfills.watching import follow, watching
from ops.cli.backfills.working import tell_workers
from ops.cli.connection import transaction_of
from ops.cli.output import print_table
from ops.demo.doors import TENANT
from tasks.backfills import service
from tasks.backfills.service import StartRequest
from worker.database import Transaction
from worker.settings import Settings

ROWS = 6_000
OWNERS = 200
BATCH_ROWS = 500
MAPPING = {
    "namespace": "oldwallet",
    "unit": "major",
    "timezone": "Europe/Istanbul",
    "time_format": "%d.%m.%Y %H:%M:%S",
    "reason": "history",
    "columns": {"id": "id", "owner": "owner", "amount": "amount", "currency": "currency", "occurred_at": "at"},
}  # fmt: skip
HEADER = "id,owner,amount,currency,at"
FAULTS = (
    "old-7,old-7,900.00,EUR,14.03.2025 09:30:00",
    "old-x1,old-1,ten,EUR,14.03.2025 09:30:00",
    "old-x2,old-2,5.00,EURO,14.03.2025 09:30:00",
    "old-x3,old-3,-9999.00,EUR,14.03.2025 09:30:00",
)
"""An id with another content, no number, no currency, and more than there is."""


def move_older_wallet(settings: Settings, folder: Path) -> bool:
    """As `ledgerbeat backfill start` does it, by the workers. Did all of it come in, once?"""
    path = folder / "older-wallet.csv"
    path.write_text("\n".join((HEADER, *history(), *FAULTS, "")))
    click.secho(
        f"\nThe older wallet moves in (ledgerbeat backfill start --tenant {TENANT} --kind postings --file {path.name})",
        bold=True,
    )
    with transaction_of(settings) as transaction:
        tried = _run(settings, transaction, path, "First a dry run", dry_run=True)
        done = _run(settings, transaction, path, "Then really")
        again = _run(settings, transaction, path, "And the same file again, by force", force=True)
        with transaction() as session:
            _print_quarantine(session, done)
            return _is_right(session, tried, done, again)


def history() -> Iterator[str]:
    """The lines of the older wallet's export, whose times have no zone."""
    begun = datetime(2024, 1, 1, 12)  # noqa: DTZ001
    for number in range(ROWS):
        sign, (major, minor) = "-" if _minor(number) < 0 else "", divmod(abs(_minor(number)), 100)
        at = f"{begun + timedelta(minutes=97 * number):%d.%m.%Y %H:%M:%S}"
        yield f"old-{number},old-{number % OWNERS},{sign}{major}.{minor:02},EUR,{at}"


def expected_minor() -> int:
    """All that the older wallet's owners have together."""
    return sum(map(_minor, range(ROWS)))


def _minor(number: int) -> int:
    """What a row moves: everybody is given 3.00 first, and then a little goes out, or comes in."""
    return 300 if number < OWNERS else (5 if number % 3 == 0 else -1)


def _run(
    settings: Settings,
    transaction: Transaction,
    path: Path,
    title: str,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> Run:
    request = StartRequest(
        id=uuid4(), tenant=TENANT, kind="postings", source={"type": "file", "path": str(path), "mapping": MAPPING},
        actor="ops:dana", reason="the older wallet is closed", dry_run=dry_run, batch_rows=BATCH_ROWS,
        options={"force": True} if force else {},
    )  # fmt: skip
    click.secho(f"\n{title}", bold=True)
    with transaction() as session:
        run = service.start(session, settings.tenants, request, now=datetime.now(UTC))
    tell_workers(settings)
    with watching(err=False) as watcher:
        ended = follow(lambda: _look(transaction, run), watcher)
    with transaction() as session:
        stand = count_aside(session, ended.id)
    print_run(ended, datetime.now(UTC), stand)
    return ended


def _look(transaction: Transaction, run: Run) -> Run:
    with transaction() as session:
        return known_run(session, run.id)


def _print_quarantine(session: Session, run: Run) -> None:
    click.secho(f"\nWhat was set aside (ledgerbeat backfill quarantine {run.id})", bold=True)
    rows = quarantined(session, run.id)
    print_table(
        ("line", "code", "reason", "row"), [(row.line, row.code, row.reason, row.raw) for row in rows], empty="nothing"
    )  # fmt: skip


def _is_right(session: Session, tried: Run, done: Run, again: Run) -> bool:
    """The dry run said what was done, the second run did nothing, the wallets have it all and the books hold."""
    has = sum(one.available_minor for one in wallets_of(session, TENANT) if one.owner.startswith("old-"))
    broken = [check.name for check in verify(session) if check.broken]
    right = {
        f"the dry run said what was done: {done.posted:,} rows, {done.quarantined} set aside": (
            (tried.posted, tried.reasons, tried.money) == (done.posted, done.reasons, done.money)
            and (done.state, done.posted, done.quarantined) == ("done", ROWS, len(FAULTS))
        ),
        f"the second time nothing was posted, and {again.replayed:,} rows stood already": (
            (again.posted, again.replayed) == (0, ROWS)
        ),
        f"the {OWNERS} owners have {format_minor(has, 'EUR')}": has == expected_minor(),
        f"every invariant holds{''.join(f', but {name}' for name in broken)}": not broken,
    }
    click.echo()
    for words, holds in right.items():
        click.echo(f"{'ok' if holds else 'BROKEN':<6} {words}")
    return all(right.values())
