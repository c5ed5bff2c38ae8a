"""`ledgerbeat tenants`: who they are, and closing and opening their door."""

from datetime import UTC, datetime

import click
from sqlalchemy import select

from models import audit
from models.tenants import load_tenant, set_paused
from models.tenants import tenants as tenants_table
from ops.cli.connection import session
from ops.cli.output import as_json, print_json, print_table

actor_option = click.option("--actor", required=True, help="Who does it; goes into the audit trail.")
reason_option = click.option("--reason", required=True, help="Why; goes into the audit trail.")
COLUMNS = ("tenant", "timezone", "ledger_mode", "paused_at")


@click.group()
def tenants() -> None:
    """List tenants; pause and resume them."""


@tenants.command("list")
@as_json
def list_(as_json: bool) -> None:
    """All tenants with their time zone, ledger mode and whether they are paused."""
    with session() as opened:
        statement = select(*(tenants_table.c[column] for column in COLUMNS)).order_by(tenants_table.c.tenant)
        rows = [dict(row) for row in opened.execute(statement).mappings()]
    if as_json:
        print_json(rows)
        return
    print_table(COLUMNS, [[row[column] for column in COLUMNS] for row in rows], empty="no tenants yet")


@tenants.command()
@click.argument("tenant")
@actor_option
@reason_option
def pause(tenant: str, actor: str, reason: str) -> None:
    """Close TENANT's door: new jobs are refused with 403 tenant_paused. Webhooks are still recorded."""
    _switch(tenant, actor, reason, paused=True)


@tenants.command()
@click.argument("tenant")
@actor_option
@reason_option
def resume(tenant: str, actor: str, reason: str) -> None:
    """Open TENANT's door again."""
    _switch(tenant, actor, reason, paused=False)


def _switch(tenant: str, actor: str, reason: str, *, paused: bool) -> None:
    if not actor.strip() or not reason.strip():
        raise click.UsageError("--actor and --reason must not be empty")
    now = datetime.now(UTC)
    state = "paused" if paused else "resumed"
    with session() as opened:
        load_tenant(opened, tenant)
        changed = set_paused(opened, tenant, now if paused else None)
        if changed:
            audit.record(
                opened, tenant=tenant, actor=actor, action=f"tenant.{state}", subject=f"tenant:{tenant}",
                reason=reason, now=now,
            )  # fmt: skip
    click.echo(f"{tenant} is {state}" if changed else f"{tenant} was {state} already")
