"""`ledgerbeat wallets compare`: what an older wallet says, against ours. Nothing is written but the file of --out."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from sqlalchemy.orm import Session

from models.backfills.comparing import (
    Comparison,
    Difference,
    Mismatches,
    Row,
    Totals,
    compare,
    count_mismatches,
    differences,
    stage,
)
from models.ledger.overdraft import Overdrawn, find_overdrawn
from models.money import format_minor
from models.tenants import load_tenant
from ops.cli.connection import transaction_of
from ops.cli.output import as_json, harmless, print_json, print_lines, print_table
from ops.cli.writing import CannotWrite, require_new
from ops.running import running_settings
from tasks.reconciliation.report.exports import safe
from worker.settings import TenantSettings
from worker.sources.port import BadRow, OpeningRow, RowSource
from worker.sources.registry import read_mapping, row_source

STATEMENT_SECONDS_MAX = 600
PAGE_ROWS = 5_000
SHOWN = 20
COLUMNS = (
    "kind", "owner", "currency", "old_minor", "new_minor", "difference_minor", "old_rows", "line", "reason",
)  # fmt: skip
Write = Callable[[Sequence[object]], object]
EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(slots=True)
class Compared:
    """Both wallets, what differs first, and what stands in the way of enforce mode."""

    tenant: str
    ledger_mode: str
    comparison: Comparison = field(default_factory=lambda: Comparison(()))
    differences: Sequence[Difference] = ()
    unreadable: int = 0
    first_unreadable: list[BadRow] = field(default_factory=list)
    mismatches: Sequence[Mismatches] = ()
    overdrawn: Sequence[Overdrawn] = ()

    @property
    def is_equal(self) -> bool:
        """Every row was read, and every wallet has the same on both sides."""
        return not self.comparison.differing and not self.unreadable


@click.command("compare")
@click.option("--tenant", required=True, help="Whose wallets.")
@click.option(
    "--file", "old", required=True, type=EXISTING, help="The older wallet's balances, CSV or JSON lines."
)
@click.option("--mapping", required=True, type=EXISTING, help="What its columns mean, TOML.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every difference to this CSV, a new file.",
)
@as_json
@click.pass_context
def compare_(
    context: click.Context, /, tenant: str, old: Path, mapping: Path, out: Path | None, as_json: bool
) -> None:
    """Compare an older wallet's balances with what owners have here, available and held.

    Exit code 0 they are equal, 1 something differs or could not be read, 2 error. Changes nothing.
    """
    told = {"type": "file", "path": str(old), "mapping": read_mapping(mapping)}
    source = row_source(TenantSettings(name=tenant), told, "opening_balances")
    found = _compared(tenant, source, out)
    (_print_json if as_json else _print)(found, out)
    context.exit(0 if found.is_equal else 1)


def _compared(tenant: str, source: RowSource, out: Path | None) -> Compared:
    """All in one transaction, whose tables go with it."""
    opened = transaction_of(running_settings(), statement_seconds=STATEMENT_SECONDS_MAX)
    with _writing(out) as write, opened as transaction, transaction() as session:
        found = Compared(tenant, load_tenant(session, tenant).policy.ledger_mode)
        stage(session, _readable(source, found, write))
        found.comparison = compare(session, tenant)
        found.differences = differences(session, SHOWN)
        if out is not None:
            _write_all(session, write)
        found.mismatches = count_mismatches(session, tenant)
        found.overdrawn = find_overdrawn(session, tenant, rows=SHOWN)
    return found


def _readable(source: RowSource, found: Compared, write: Write) -> Iterator[Row]:
    """The rows of the file; those that cannot be read are told, not compared."""
    cursor, is_last = None, False
    while not is_last:
        page = source.page(cursor, PAGE_ROWS)
        for row in page.rows:
            if isinstance(row, OpeningRow):
                yield row.owner, row.currency, row.amount_minor
            elif isinstance(row, BadRow):
                _set_aside(row, found, write)
        cursor, is_last = page.after, page.is_last


def _set_aside(row: BadRow, found: Compared, write: Write) -> None:
    found.unreadable += 1
    if len(found.first_unreadable) < SHOWN:
        found.first_unreadable.append(row)
    write(("unreadable", "", "", "", "", "", "", row.line or "", safe(f"{row.code}: {row.reason}")))


def _write_all(session: Session, write: Write) -> None:
    after = 0
    while page := differences(session, PAGE_ROWS, after):
        for one in page:
            write((one.kind, safe(one.owner), one.currency, one.old_minor, one.new_minor, one.difference_minor,
                   one.old_rows, "", ""))  # fmt: skip
        after = page[-1].id


@contextmanager
def _writing(out: Path | None) -> Iterator[Write]:
    """Rows for the file of --out, which is there once it is whole; for its owner alone. Raises CannotWrite."""
    if out is None:
        yield lambda _row: None
        return
    require_new(out)
    part = out.with_name(f"{out.name}.part")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            yield writer.writerow
        require_new(out)
        part.replace(out)
    except OSError as error:
        raise CannotWrite(f"{out} cannot be written ({error.strerror})") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _print_json(found: Compared, out: Path | None) -> None:
    told = {
        name: getattr(found, name)
        for name in ("tenant", "ledger_mode", "unreadable", "mismatches", "overdrawn")
    }
    print_json(
        {
            **told,
            "equal": found.is_equal,
            "differing": found.comparison.differing,
            "repeated": found.comparison.repeated,
            "totals": [_total(one) for one in found.comparison.totals],
            "differences": [
                {**asdict(one), "difference_minor": one.difference_minor} for one in found.differences
            ],
            "first_unreadable": [
                {"place": one.place, "code": one.code, "reason": one.reason} for one in found.first_unreadable
            ],
            "out": None if out is None else str(out),
        }
    )


def _total(one: Totals) -> dict[str, Any]:
    return {**asdict(one), "difference_minor": one.new_minor - one.old_minor}


def _print(found: Compared, out: Path | None) -> None:
    print_table(
        ("currency", "old balance", "new balance", "difference balance", "agree", "differ", "only old", "only new"),
        [
            (one.currency, format_minor(one.old_minor, one.currency), format_minor(one.new_minor, one.currency),
             format_minor(one.new_minor - one.old_minor, one.currency), one.agreeing, one.differing,
             one.only_in_old, one.only_in_new)
            for one in found.comparison.totals
        ],
        empty="neither has a wallet",
    )  # fmt: skip
    if found.differences:
        _print_differences(found)
    _print_unreadable(found)
    _print_shadow(found)
    if out is not None:
        click.echo(f"every difference: {out}")
    click.echo("equal" if found.is_equal else "NOT equal")


def _print_differences(found: Compared) -> None:
    click.echo(f"\n{found.comparison.differing} wallets differ; the largest first:")
    print_table(
        ("kind", "owner", "old balance", "new balance", "difference balance", "rows"),
        [
            (one.kind, one.owner, format_minor(one.old_minor, one.currency),
             format_minor(one.new_minor, one.currency), format_minor(one.difference_minor, one.currency),
             one.old_rows)
            for one in found.differences
        ],
        empty="",
    )  # fmt: skip
    if found.comparison.repeated:
        click.echo(f"{found.comparison.repeated} wallets have several rows in the file: they were summed")


def _print_unreadable(found: Compared) -> None:
    if found.unreadable:
        click.echo(f"\n{found.unreadable} rows of the file could not be read; the first:")
        print_lines([(one.place, one.code, one.reason) for one in found.first_unreadable])


def _print_shadow(found: Compared) -> None:
    """What enforce mode would have refused so far, and what it would refuse to begin with."""
    click.echo(f"\nledger mode: {found.ledger_mode}")
    for one in found.mismatches:
        short = format_minor(one.short_minor, one.currency)
        click.echo(f"shadow mismatches: {one.postings} postings on {one.accounts} accounts, short of {short}")
    for low in found.overdrawn:
        click.echo(
            f"overdrawn: {harmless(low.owner or low.code)}, {format_minor(low.balance_minor, low.currency)}"
        )
