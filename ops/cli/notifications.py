"""`ledgerbeat notifications`: what the tenants' systems were told, and telling it again."""

from datetime import UTC, datetime
from typing import Any

import click

from models.notifications import STATES, repair
from models.notifications.repair import Wanted, list_notifications
from ops.cli.connection import session
from ops.cli.options import require_signature, signed
from ops.cli.output import as_json, print_json, print_table

FILTERS = ("tenant", "type", "subject", "states", "ids")
LIMIT_MAX = 10_000


def _filters(command: Any) -> Any:
    """What both commands choose by; `_wanted` takes them."""
    options = (
        click.option("--tenant", help="Only this tenant."),
        click.option("--type", help="Only of this type, such as payout.paid."),
        click.option("--subject", help="Only of this subject, such as payout:<id>."),
        click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Several may be given."),
        click.option("--id", "ids", multiple=True, type=int, help="Only this one; several may be given."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def notifications() -> None:
    """List notifications to the tenants' systems, and send some again."""


@notifications.command("list")
@_filters
@click.option("--before", type=int, help="Continue after the last id of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
def list_(before: int | None, limit: int, as_json: bool, **filters: Any) -> None:
    """The newest notifications that fit, newest first."""
    with session() as opened:
        rows = list_notifications(opened, _wanted(filters, before=before), rows=limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "tenant", "type", "subject", "version", "state", "tries", "created", "next try", "why"),
        [
            (row["id"], row["tenant"], row["type"], row["subject"], row["version"], row["state"], row["tries"],
             row["created_at"], row["next_try_at"], row["last_error"])
            for row in rows
        ],
        empty="no notifications fit",
    )  # fmt: skip


@notifications.command()
@_filters
@click.option(
    "--limit",
    type=click.IntRange(1, LIMIT_MAX),
    default=1000,
    show_default=True,
    help="At most so many, the oldest first.",
)
@signed
@as_json
def redeliver(limit: int, actor: str, reason: str, dry_run: bool, as_json: bool, **filters: Any) -> None:
    """Send notifications again, from the first try on: those given up (default), waiting or delivered.

    They keep their webhook-ids: what the receiver has taken already it knows by them. A receiver that had said
    410 Gone is spoken to again.
    """
    if not any(filters.values()):
        raise click.UsageError("say which notifications: --id, --tenant, --subject, --type or --state")
    wanted = _wanted({**filters, "states": filters["states"] or (STATES if filters["ids"] else ("gave_up",))})
    if not dry_run:
        require_signature(actor, reason)
    now = datetime.now(UTC)
    with session() as opened:
        if dry_run:
            chosen = repair.choose(opened, wanted, rows=limit)
        else:
            chosen = repair.redeliver(opened, wanted, rows=limit, actor=actor, reason=reason,
                                      filters=_as_written(filters, limit), now=now)  # fmt: skip
    _tell(chosen, as_json, dry_run)


def _wanted(filters: dict[str, Any], before: int | None = None) -> Wanted:
    return Wanted(**{name: filters[name] for name in FILTERS}, before=before)


def _as_written(filters: dict[str, Any], limit: int) -> dict[str, Any]:
    """The filter for the audit trail."""
    given = {name: value for name, value in filters.items() if value}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()} | {
        "limit": limit
    }


def _tell(chosen: dict[str, list[int]], as_json: bool, dry_run: bool) -> None:
    count = sum(map(len, chosen.values()))
    if as_json:
        print_json({"dry_run": dry_run, "notifications": count, "ids": chosen})
        return
    print_table(("tenant", "notifications"), [(tenant, len(ids)) for tenant, ids in chosen.items()],
                empty="no notifications fit")  # fmt: skip
    click.echo(
        f"dry run: {count} would be sent again" if dry_run else f"{count} are sent again within seconds"
    )
