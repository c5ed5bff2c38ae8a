"""`ledgerbeat providers`: where money leaves, and stopping it at once - one account, one tenant's, or all of them.

Straight in the database, so that it takes effect when no worker runs: the next claim of a payout sees it. The jobs
providers.pause and providers.resume do the same for upstream apps.
"""

from datetime import UTC, datetime
from typing import Any

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from models import audit
from models.errors import NotFound
from models.provider_accounts import set_account_paused
from ops.cli.connection import session
from ops.cli.options import login, require_signature
from ops.cli.output import as_json, print_json, print_table

ACTIONS = {True: "providers.pause", False: "providers.resume"}

# Counted over the open payouts alone (payouts_open_idx).
LIST = text("""
    SELECT a.tenant, a.provider, a.adapter, a.enabled, a.paused_at, a.paused_by, t.paused_at AS tenant_paused_at,
        a.breaker, a.breaker_code, a.failures_in_a_row, a.probe_at, a.max_in_flight, a.per_second,
        coalesce(p.in_flight, 0) AS in_flight, coalesce(p.waiting, 0) AS waiting, coalesce(p.in_doubt, 0) AS in_doubt
    FROM provider_accounts a JOIN tenants t USING (tenant)
    LEFT JOIN (
        SELECT tenant, provider, count(*) FILTER (WHERE state = 'sending') AS in_flight,
            count(*) FILTER (WHERE state IN ('approved', 'cooling')) AS waiting,
            count(*) FILTER (WHERE state = 'in_doubt') AS in_doubt
        FROM payouts
        WHERE state IN ('awaiting_approval', 'approved', 'sending', 'submitted', 'in_doubt', 'cooling')
        GROUP BY 1, 2
    ) p USING (tenant, provider)
    WHERE (CAST(:tenant AS text) IS NULL OR a.tenant = :tenant)
    ORDER BY a.tenant, a.provider
""")

NAMED = text("""
    SELECT tenant, provider FROM provider_accounts
    WHERE (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
        AND (CAST(:provider AS text) IS NULL OR provider = :provider)
    ORDER BY tenant, provider
""")


def switches(command: Any) -> Any:
    """Which accounts, who, and why."""
    options = (
        click.option("--tenant", help="Only this tenant's.  [default: every tenant's]"),
        click.option("--provider", help="The provider's name in the settings."),
        click.option("--all", "every", is_flag=True, help="Every provider, instead of --provider."),
        click.option(
            "--actor", default=login, help="Who does it; for the audit trail.  [default: the login]"
        ),
        click.option("--reason", required=True, help="Why; goes into the audit trail."),
        as_json,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def providers() -> None:
    """List provider accounts; pause and resume their payouts."""


@providers.command("list")
@click.option("--tenant", help="Only this tenant.")
@as_json
def list_(tenant: str | None, as_json: bool) -> None:
    """Each account: whether money may leave, its breaker, and how many payouts are in flight, waiting, in doubt."""
    with session() as opened:
        rows = [dict(row) for row in opened.execute(LIST, {"tenant": tenant}).mappings()]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("tenant", "provider", "adapter", "payouts", "breaker", "in flight", "waiting", "in doubt"),
        [
            (row["tenant"], row["provider"], row["adapter"], _stands(row), _breaker(row),
             f"{row['in_flight']}/{row['max_in_flight']}", row["waiting"], row["in_doubt"])
            for row in rows
        ],
        empty="no provider accounts",
    )  # fmt: skip


@providers.command()
@switches
def pause(**given: Any) -> None:
    """Send nothing more, from now on: what is on its way ends as it may, new requests wait, no attempt is burned."""
    _switch(**given, paused=True)


@providers.command()
@switches
def resume(**given: Any) -> None:
    """Send again what has waited. A breaker that is open goes on probing by itself."""
    _switch(**given, paused=False)


def _switch(
    tenant: str | None,
    provider: str | None,
    every: bool,
    actor: str,
    reason: str,
    as_json: bool,
    paused: bool,
) -> None:
    require_signature(actor, reason)
    if (provider is None) != every:
        raise click.UsageError("say which: --provider NAME or --all, and not both")
    with session() as opened:
        accounts = opened.execute(NAMED, {"tenant": tenant, "provider": provider}).all()
        if not accounts:
            raise NotFound(f"no account of provider {provider or 'any'} for tenant {tenant or 'any'}")
        now = datetime.now(UTC)
        rows = [
            {"tenant": one.tenant, "provider": one.provider, "paused": paused,
             "changed": _switch_one(opened, one.tenant, one.provider, actor, reason, now, paused)}
            for one in accounts
        ]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    state = "paused" if paused else "resumed"
    for row in rows:
        already = "is" if row["changed"] else "was"
        click.echo(
            f"{row['tenant']} {row['provider']} {already} {state}{'' if row['changed'] else ' already'}"
        )


def _switch_one(
    opened: Session, tenant: str, provider: str, actor: str, reason: str, now: datetime, paused: bool
) -> bool:
    """One account, and its audit event when that changed something."""
    since, by = (now, actor) if paused else (None, None)
    changed = set_account_paused(opened, tenant, provider, since, by)
    if changed:
        audit.record(
            opened, tenant=tenant, actor=actor, action=ACTIONS[paused], subject=f"provider:{provider}", reason=reason,
            now=now,
        )  # fmt: skip
    return changed


def _stands(row: dict[str, Any]) -> str:
    if not row["enabled"]:
        return "not configured"
    if row["tenant_paused_at"] is not None:
        return "tenant paused"
    return "on" if row["paused_at"] is None else f"paused by {row['paused_by']}"


def _breaker(row: dict[str, Any]) -> str:
    if row["breaker"] == "closed":
        return "closed"
    return f"{row['breaker']} ({row['breaker_code']}), probe {row['probe_at']:%H:%M:%S}Z"
