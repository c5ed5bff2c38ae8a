"""What the demo prints: what came in, what became of it, the wallets, and whether the books are right."""

from collections.abc import Mapping, Sequence

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.codes import wallet_code
from models.ledger.reads import Wallet, history, wallets_of
from models.ledger.verify import verify
from models.money import format_minor
from ops.cli.output import print_table
from ops.cli.verify import print_check
from ops.demo.doors import TENANT, Answer

JOBS = text("""
    SELECT name, state, coalesce(result ->> 'code', result ->> 'reason', ''), count(*), sum(attempts)
    FROM jobs GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
""")


def print_arrivals(log: Sequence[Answer]) -> None:
    """Every knock at a door and its answer."""
    click.secho("\nWhat came in", bold=True)
    columns = ("door", "what", "answer", "note")
    print_table(columns, [(line.door, line.what, line.status, line.note) for line in log], empty="nothing")


def print_jobs(session: Session) -> None:
    """What became of the accepted jobs, refusals with their reason."""
    click.secho("\nWhat became of it (table jobs)", bold=True)
    print_table(("job", "state", "why", "jobs", "tries"), session.execute(JOBS), empty="no jobs")


def print_wallets(session: Session) -> Sequence[Wallet]:
    """Each wallet, and each wallet's history."""
    found = wallets_of(session, TENANT)
    click.secho("\nThe wallets, and how they came about", bold=True)
    for wallet in found:
        click.echo(f"{wallet.owner}: {format_minor(wallet.available_minor, wallet.currency)}")
        page = history(session, (TENANT, wallet_code(wallet.owner), wallet.currency))
        for line in reversed(page.lines):
            amount = format_minor(line.amount_minor, wallet.currency)
            click.echo(f"    {amount:>14}  {line.kind:<20} {line.subject or line.idempotency_key}")
    return found


def print_verdict(
    session: Session, wallets: Sequence[Wallet], expected: Mapping[tuple[str, str], int]
) -> bool:
    """Every invariant, and the wallets against what they must be. True when all is right."""
    click.secho("\nAre the books right? (ledgerbeat verify)", bold=True)
    checks = verify(session)
    for check in checks:
        print_check(check)
    found = {(wallet.owner, wallet.currency): wallet.available_minor for wallet in wallets}
    wrong = [key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)]
    for owner, currency in sorted(wrong):
        has, due = (format_minor(side.get((owner, currency), 0), currency) for side in (found, expected))
        click.echo(f"BROKEN {owner} has {has}, {due} was expected")
    return not wrong and not any(check.broken for check in checks)
