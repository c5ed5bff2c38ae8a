"""`ledgerbeat wallets`: what owners have, and how it came about. Ids and amounts only, no personal data."""

from datetime import datetime

import click
from sqlalchemy.orm import Session

from models.errors import NotFound
from models.ledger.codes import held_code, wallet_code
from models.ledger.reads import Wallet, balance_at, history, wallets_of
from models.money import CURRENCIES, format_minor
from ops.cli.compare import compare_
from ops.cli.connection import session
from ops.cli.output import as_json, print_json, print_table
from ops.cli.recalc import recalc


class Moment(click.ParamType[datetime]):
    """ISO 8601 with an offset -> aware datetime."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-11-20T14:00:00+00:00", param, ctx)
        if moment.tzinfo is None:
            self.fail(f"{value!r} has no offset: add Z or +03:00", param, ctx)
        return moment


tenant_option = click.option("--tenant", required=True, help="Whose wallets.")
currency_argument = click.option(
    "--currency", required=True, type=click.Choice(sorted(CURRENCIES)), metavar="CODE", help="ISO 4217 code."
)


@click.group()
def wallets() -> None:
    """Show wallets and their history; hold balances against their entries, or against an older wallet."""


wallets.add_command(recalc)
wallets.add_command(compare_)


@wallets.command()
@click.argument("owner", required=False)
@tenant_option
@click.option("--at", type=Moment(), help="As of this moment (business time), for one owner.")
@as_json
def show(owner: str | None, tenant: str, at: datetime | None, as_json: bool) -> None:
    """What OWNER has in each currency; all of the tenant's wallets without OWNER."""
    if at is not None and owner is None:
        raise click.UsageError("--at needs an OWNER")
    with session() as opened:
        found = wallets_of(opened, tenant, owner)
        if owner is not None and not found:
            raise NotFound(f"tenant {tenant} has no wallet of {owner}")
        rows = [wallet if at is None else _as_of(opened, tenant, wallet, at) for wallet in found]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("owner", "available", "held"),
        [
            (
                row.owner,
                format_minor(row.available_minor, row.currency),
                format_minor(row.held_minor, row.currency),
            )
            for row in rows
        ],
        empty=f"tenant {tenant} has no wallets",
    )


@wallets.command("history")
@click.argument("owner")
@tenant_option
@currency_argument
@click.option("--held", is_flag=True, help="The held side instead of the available one.")
@click.option("--cursor", type=int, help="Continue with older lines.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
def history_(
    owner: str, tenant: str, currency: str, held: bool, cursor: int | None, limit: int, as_json: bool
) -> None:
    """OWNER's ledger entries, newest first."""
    code = held_code(owner) if held else wallet_code(owner)
    with session() as opened:
        page = history(opened, (tenant, code, currency), cursor=cursor, rows=limit)
    if as_json:
        print_json({"lines": page.lines, "next_cursor": page.next_cursor})
        return
    print_table(
        ("occurred", "kind", "amount", "balance", "key"),
        [
            (line.occurred_at, line.kind, format_minor(line.amount_minor, currency),
             format_minor(line.balance_after_minor, currency), line.idempotency_key)
            for line in page.lines
        ],
        empty=f"nothing happened on {code} in {currency}",
    )  # fmt: skip
    if page.next_cursor is not None:
        click.echo(f"older lines: --cursor {page.next_cursor}")


def _as_of(session: Session, tenant: str, wallet: Wallet, at: datetime) -> Wallet:
    available, held = (
        balance_at(session, (tenant, code, wallet.currency), at=at)
        for code in (wallet_code(wallet.owner), held_code(wallet.owner))
    )
    return Wallet(wallet.owner, wallet.currency, available, held)
