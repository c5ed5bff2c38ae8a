"""Webhooks that were kept and take no effect: of another account, of an unknown type, or in a form that does not hold
what happened."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection, RowMapping

from ops.doctor.findings import Finding, ok, problem, warning
from worker.settings import Settings

RUNBOOK = "ops/runbooks/webhooks.md"
REPAIR_RUNBOOK = "ops/runbooks/repair.md"
NAMES_SHOWN = 5

# The cause begins with the event's type, of which there are many.
REFUSED = text(r"""
    SELECT tenant, coalesce(args ->> 'provider', '') AS provider, result ->> 'code' AS code,
        regexp_replace(coalesce(result ->> 'cause', ''), '^\S+: ', '') AS cause, count(*) AS events
    FROM jobs WHERE state = 'dead' AND result ->> 'code' IN ('other_account', 'thin_event')
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""")
UNKNOWN_TYPES = text("""
    SELECT tenant, coalesce(args ->> 'provider', '') AS provider, count(*) AS events,
        array_agg(DISTINCT args ->> 'type') AS types
    FROM jobs WHERE state = 'parked' AND origin = 'provider' AND last_error = 'unknown_event_type'
    GROUP BY 1, 2 ORDER BY 1, 2
""")
# Of the newest deliveries alone: how many there are in all, nobody should have to read for this.
MERCHANTS = text(r"""
    SELECT DISTINCT substring(encode(d.body, 'escape')
        FROM '"merchantAccountCode"\s*:\s*"([A-Za-z0-9_.-]{1,80})"') AS name
    FROM webhook_deliveries d
    WHERE d.tenant = :tenant AND d.provider = :provider AND octet_length(d.body) < 65536
        AND d.id > (SELECT max(id) FROM webhook_deliveries) - 10000
""")


def check_webhooks(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Per account: what was refused and why; types that are not known; whether one that lists no merchant accounts is
    told of several."""
    rows = [dict(row) for row in connection.execute(REFUSED).mappings()]
    if not rows:
        yield ok("webhooks", "none was refused as another account's, or as thin")
    for row in rows:
        yield _refused(row)
    yield from map(_of_unknown_type, connection.execute(UNKNOWN_TYPES).mappings())
    for tenant in settings.tenants.values():
        for account in tenant.providers.values():
            if account.adapter == "adyen" and account.merchant_accounts is None:
                yield from _several_merchants(connection, tenant.name, account.name)


def _refused(row: Mapping[str, Any]) -> Finding:
    where = f"tenants.{row['tenant']}.providers.{row['provider']}"
    found = f"{row['tenant']}/{row['provider']}: {row['events']} events are dead as {row['code']} ({row['cause']})"
    if row["code"] == "thin_event":
        fix = f"create an event destination with payload style 'snapshot', then fetch what was missed; {RUNBOOK}"
        return problem("webhooks", found, fix)
    fix = f"if they are yours, correct {where} and have them sent again; if not, have them sent elsewhere; {RUNBOOK}"
    return warning("webhooks", found, fix)


def _of_unknown_type(row: RowMapping) -> Finding:
    shown = ", ".join(row["types"][:NAMES_SHOWN])
    found = f"{row['tenant']}/{row['provider']}: {row['events']} events are parked as unknown_event_type ({shown})"
    fix = f"find out whether they move money: book what they did, or list them in ignored_events; {REPAIR_RUNBOOK}"
    return problem("webhooks", found, fix)


def _several_merchants(connection: Connection, tenant: str, provider: str) -> Iterator[Finding]:
    values = {"tenant": tenant, "provider": provider}
    names = sorted(name for name in connection.execute(MERCHANTS, values).scalars() if name)
    if len(names) > 1:
        shown = ", ".join(names[:NAMES_SHOWN])
        yield problem(
            "webhooks",
            f"{tenant}/{provider} is told of several merchant accounts ({shown}), and takes the money of all of them",
            f"set tenants.{tenant}.providers.{provider}.merchant_accounts to those that are its own; {RUNBOOK}",
        )
