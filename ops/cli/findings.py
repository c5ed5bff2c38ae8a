"""`ledgerbeat findings`: what does not agree, and what people say about it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from models.money import format_minor
from models.reconciliation import closing
from models.reconciliation.closing import FindingFilter, FindingRow, list_findings
from models.reconciliation.tables import FINDING_KINDS, FINDING_STATES, SEVERITIES
from ops.cli.connection import session
from ops.cli.options import Age, before, require_signature
from ops.cli.output import as_json, print_json, print_table

Command = Callable[..., Any]


@click.group()
def findings() -> None:
    """List what does not agree, and close what a person has looked at."""


@findings.command("list")
@click.option("--tenant", help="Only this tenant.")
@click.option("--provider", help="Only this provider; 'ledger' for broken invariants.")
@click.option(
    "--kind", "kinds", multiple=True, type=click.Choice(FINDING_KINDS), help="Several may be given."
)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([*FINDING_STATES, "all"]),
    default=("open",),
    show_default=True,
)
@click.option("--severity", "severities", multiple=True, type=click.Choice(SEVERITIES))
@click.option("--subject", help="Only about this, such as payout:<id> or deposit:sandbox:order-1.")
@click.option("--run", "run_id", type=int, help="Only those that this run was the last to see.")
@click.option("--older-than", type=Age(), help="First seen longer ago than this: 10m, 2h, 7d.")
@click.option("--before", "cursor", type=int, help="Continue after the last id of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
def list_(
    kinds: tuple[str, ...],
    states: tuple[str, ...],
    severities: tuple[str, ...],
    older_than: timedelta | None,
    cursor: int | None,
    limit: int,
    as_json: bool,
    **exact: Any,
) -> None:
    """The newest findings that fit, newest first."""
    now = datetime.now(UTC)
    wanted = FindingFilter(
        kinds=kinds or None,
        states=None if "all" in states else states,
        severities=severities or None,
        seen_before=before(now, older_than),
        **exact,
    )
    with session() as opened:
        page = list_findings(opened, wanted, cursor, limit)
    if as_json:
        print_json({"findings": [asdict(one) for one in page.findings], "next_cursor": page.next_cursor})
        return
    print_findings(page.findings, now)
    if page.next_cursor is not None:
        click.echo(f"there are more: --before {page.next_cursor}")


def print_findings(rows: Sequence[FindingRow], now: datetime) -> None:
    """One line each, with its age."""
    print_table(
        ("id", "tenant", "provider", "kind", "severity", "state", "subject", "amount", "age", "seen", "reason"),
        [
            (one.id, one.tenant, one.provider, one.kind, one.severity, one.state, one.subject, _amount(one),
             _age(one.age(now)), f"{one.times_seen} times", one.reason)
            for one in rows
        ],
        empty="no findings fit",
    )  # fmt: skip


def _closing(command: Command) -> Command:
    """What both ways of closing take: ids, whose, who and why."""
    options = (
        click.argument("ids", nargs=-1, required=True, type=int),
        click.option("--tenant", required=True),
        click.option("--actor", required=True, help="Who says so; goes into the audit trail."),
        click.option("--reason", required=True, help="Why; goes into the audit trail."),
        as_json,
    )
    for option in reversed(options):
        command = option(command)
    return command


@findings.command()
@_closing
def resolve(ids: tuple[int, ...], tenant: str, actor: str, reason: str, as_json: bool) -> None:
    """Say that these were put right. Should a run see one again, it opens again."""
    _close("resolved", ids, tenant, actor, reason, as_json)


@findings.command()
@_closing
def ignore(ids: tuple[int, ...], tenant: str, actor: str, reason: str, as_json: bool) -> None:
    """Hear no more of these, however often they are seen."""
    _close("ignored", ids, tenant, actor, reason, as_json)


def _close(state: str, ids: tuple[int, ...], tenant: str, actor: str, reason: str, as_json: bool) -> None:
    require_signature(actor, reason)
    close = closing.resolve if state == "resolved" else closing.ignore
    with session() as opened:
        closed = close(opened, tenant, ids, actor=actor, reason=reason, now=datetime.now(UTC))
    left = sorted(set(ids) - set(closed))
    if as_json:
        print_json({"state": state, "closed": closed, "were_closed_already": left})
        return
    click.echo(f"{state}: {', '.join(map(str, closed)) or 'none'}")
    if left:
        click.echo(f"closed already: {', '.join(map(str, left))}")


def _amount(one: FindingRow) -> str | None:
    if one.amount_minor is None or one.currency is None:
        return None
    return format_minor(one.amount_minor, one.currency)


def _age(age: timedelta) -> str:
    """12 min, 30 h, 9 d."""
    minutes = age.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} d"
