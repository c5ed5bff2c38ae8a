"""`ledgerbeat payouts`: which there are, and the whole story of one."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from models.money import format_minor
from models.payouts.listing import PayoutFilter, list_payouts
from models.payouts.states import STATES
from models.payouts.story import Story, tell_story
from ops.cli.connection import session
from ops.cli.options import ages, before
from ops.cli.output import as_json, print_facts, print_json, print_lines, print_table
from ops.cli.timeline import Moment, left, timeline, what_next


@click.group()
def payouts() -> None:
    """List payouts, and tell the whole story of one."""


@payouts.command("list")
@click.option("--tenant", help="Only this tenant.")
@click.option("--owner", help="Only payouts of this owner.")
@click.option("--provider", help="Only payouts by this provider.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="May be given several times."
)
@ages
@click.option("--before", "before_id", type=click.UUID, help="Continue after the last id of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
def list_(
    tenant: str | None,
    owner: str | None,
    provider: str | None,
    states: tuple[str, ...],
    older_than: timedelta | None,
    newer_than: timedelta | None,
    before_id: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    """The newest payouts that fit, newest first."""
    now = datetime.now(UTC)
    wanted = PayoutFilter(
        tenant=tenant,
        owner=owner,
        provider=provider,
        states=states,
        requested_before=before(now, older_than),
        requested_after=before(now, newer_than),
        before=before_id,
    )
    with session() as opened:
        rows = list_payouts(opened, wanted, rows=limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "tenant", "owner", "amount", "provider", "state", "tries", "requested", "next"),
        [
            (row["id"], row["tenant"], row["owner"], format_minor(row["amount_minor"], row["currency"]),
             row["provider"], row["state"], row["attempts_made"], row["requested_at"], _next(row, now))
            for row in rows
        ],
        empty="no payouts fit",
    )  # fmt: skip


@payouts.command("show")
@click.argument("payout_id", type=click.UUID)
@as_json
def show(payout_id: UUID, as_json: bool) -> None:
    """One payout from the request to its end: job, hold, attempts with their keys, webhooks, ledger, audit, news."""
    with session() as opened:
        story = tell_story(opened, payout_id)
    now = datetime.now(UTC)
    if as_json:
        print_json(as_document(story, now))
    else:
        print_story(story, now)


def print_story(story: Story, now: datetime) -> None:
    """For people: what it is, what comes next, and everything that happened, oldest first."""
    payout = story.payout
    print_facts(
        {
            "payout": payout.id,
            "tenant": payout.tenant,
            "owner": payout.owner,
            "amount": format_minor(payout.amount_minor, payout.currency),
            "to": f"{payout.destination} by {payout.provider}",
            "state": f"{payout.state} (version {payout.version})",
            "reason": payout.failure_code,
            "approved by": payout.approved_by,
            "next": what_next(story, now),
            "reference": payout.provider_reference,
        }
    )
    click.echo()
    moments = timeline(story)
    print_lines([(_clock(moments, number), one.kind, one.said) for number, one in enumerate(moments)])
    if story.truncated:
        click.echo("there is more than is shown here")


def as_document(story: Story, now: datetime) -> dict[str, Any]:
    """For scripts: the rows, and the same timeline."""
    told = {name: getattr(story, name) for name in ("request", "commands", "events", "attempts", "ledger", "webhooks",
            "reservation", "notifications", "audit", "findings", "truncated")}  # fmt: skip
    moments = [{"at": one.at, "kind": one.kind, "said": one.said} for one in timeline(story)]
    return {"payout": asdict(story.payout), "next": what_next(story, now), "timeline": moments, **told}


def _clock(moments: list[Moment], number: int) -> str:
    """The time; with its day where a new one begins."""
    at = moments[number].at.astimezone(UTC)
    new_day = number == 0 or moments[number - 1].at.astimezone(UTC).date() != at.date()
    return f"{at:%Y-%m-%d %H:%M:%S}Z" if new_day else f"{at:%H:%M:%S}Z"


def _next(row: dict[str, Any], now: datetime) -> str | None:
    """What is to come, or why it ended."""
    at = row["next_attempt_at"] or row["next_lookup_at"] or (
        row["approval_expires_at"] if row["state"] == "awaiting_approval" else None
    )  # fmt: skip
    what = {"in_doubt": "look-up", "submitted": "look-up", "awaiting_approval": "expires"}.get(
        row["state"], "attempt"
    )
    return row["failure_code"] if at is None else f"{what} {left((at - now).total_seconds())}"
