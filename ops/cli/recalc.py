"""`ledgerbeat wallets recalc`: balances against the entries, which are the truth."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from uuid import UUID, uuid4

import click

from models.errors import NotFound
from models.ledger.reads import wallets_of
from models.ledger.recalc import BrokenRun, Drift, find_broken_runs, find_drift, repair
from ops.cli.connection import transaction_of
from ops.cli.options import require_signature, signed
from ops.cli.output import as_json, print_json, print_table
from ops.running import running_settings
from worker.database import Transaction

STATEMENT_SECONDS_MAX = 600
UNREPAIRABLE = (
    "the entries sum to less than the account may have: credit what is missing (wallets.credit) or allow an overdraft "
    "(wallets.configure), then run it again"
)
RUNNING = "running balances are append-only: they are reported here and by 'ledgerbeat verify', and stay as they are"


@click.command()
@click.argument("owner", required=False)
@click.option("--tenant", help="Only this tenant; needed for an OWNER.")
@signed
@as_json
@click.pass_context
def recalc(
    context: click.Context,
    /,
    owner: str | None,
    tenant: str | None,
    actor: str,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare balances with the sum of their entries, and set them right; with --dry-run only report.

    Of OWNER, of a tenant (all its accounts), or of all. Exit code 0 no drift, 1 drift (found or repaired), 2 error.
    """
    if owner is not None and tenant is None:
        raise click.UsageError("an OWNER needs --tenant")
    if not dry_run:
        require_signature(actor, reason)
    with transaction_of(running_settings(), statement_seconds=STATEMENT_SECONDS_MAX) as transaction:
        _must_exist(transaction, tenant, owner)
        run = uuid4()
        drifted, repaired = list[Drift](), set[int]()
        for page in _pages(transaction, tenant, owner):
            drifted += page
            if not dry_run:
                repaired |= _repair(transaction, page, actor, reason, run)
        with transaction() as session:
            broken = find_broken_runs(session, tenant=tenant, owner=owner)
    if as_json:
        _print_json(dry_run, drifted, repaired, broken)
    else:
        _print(dry_run, drifted, repaired, broken)
    context.exit(1 if drifted else 0)


def _must_exist(transaction: Transaction, tenant: str | None, owner: str | None) -> None:
    if tenant is not None and owner is not None:
        with transaction() as session:
            if not wallets_of(session, tenant, owner):
                raise NotFound(f"tenant {tenant} has no wallet of {owner}")


def _pages(transaction: Transaction, tenant: str | None, owner: str | None) -> Iterator[list[Drift]]:
    after = 0
    while True:
        with transaction() as session:
            page = find_drift(session, tenant=tenant, owner=owner, after=after)
        if not page:
            return
        yield page
        after = page[-1].account_id


def _repair(transaction: Transaction, page: Sequence[Drift], actor: str, reason: str, run: UUID) -> set[int]:
    ids = [one.account_id for one in page if one.repairable]
    with transaction() as session:
        fixed = repair(session, ids, actor=actor, reason=reason, run=run, now=datetime.now(UTC))
    return {one.account_id for one in fixed}


def _verdict(one: Drift, dry_run: bool, repaired: set[int]) -> str:
    if not one.repairable:
        return "unrepairable"
    if dry_run:
        return "drift"
    return "repaired" if one.account_id in repaired else "gone by itself"


def _print_json(
    dry_run: bool, drifted: Sequence[Drift], repaired: set[int], broken: Sequence[BrokenRun]
) -> None:
    accounts = [{**asdict(one), "verdict": _verdict(one, dry_run, repaired)} for one in drifted]
    print_json({"dry_run": dry_run, "accounts": accounts, "broken_running_balances": broken})


def _print(dry_run: bool, drifted: Sequence[Drift], repaired: set[int], broken: Sequence[BrokenRun]) -> None:
    print_table(
        ("account", "tenant", "code", "currency", "balance_minor", "entries_minor", "verdict"),
        [
            (one.account_id, one.tenant, one.code, one.currency, one.balance_minor, one.entries_minor,
             _verdict(one, dry_run, repaired))
            for one in drifted
        ],
        empty="no drift: every balance is the sum of its entries",
    )  # fmt: skip
    if any(not one.repairable for one in drifted):
        click.echo(f"unrepairable: {UNREPAIRABLE}")
    for run in broken:
        click.echo(
            f"account {run.account_id} of {run.tenant}: {run.entries} running balances do not add up, "
            f"the first at entry {run.first_entry_id}"
        )
    if broken:
        click.echo(RUNNING)
