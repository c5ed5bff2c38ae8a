"""`ledgerbeat jobs`: what was accepted and what became of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from models.jobs.backlog import ageing
from models.jobs.reads import JobFilter, list_jobs, show_job
from models.jobs.tables import STATES
from ops.cli.connection import session
from ops.cli.options import ages, before
from ops.cli.output import as_json, harmless, print_facts, print_json, print_table
from ops.cli.repair import cancel, redrive

FACTS = ("id", "tenant", "name", "state", "origin", "idempotency_key", "attempts", "accepted_at", "due_at",
         "finished_at", "last_error", "wait_keys", "args", "result")  # fmt: skip
LEDGER_COLUMNS = ("id", "kind", "code", "currency", "amount_minor", "balance_after_minor", "occurred_at")
AUDIT_COLUMNS = ("at", "actor", "action", "subject", "reason")


@click.group()
def jobs() -> None:
    """List, show, redrive and cancel jobs."""


jobs.add_command(redrive)
jobs.add_command(cancel)


@jobs.command("list")
@click.option("--tenant", help="Only this tenant.")
@click.option("--name", help="Only jobs of this name, such as wallets.credit.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="May be given several times."
)
@ages
@click.option("--before", "before_id", type=click.UUID, help="Continue after the last id of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
def list_(
    tenant: str | None,
    name: str | None,
    states: tuple[str, ...],
    older_than: timedelta | None,
    newer_than: timedelta | None,
    before_id: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    """The newest jobs that fit, newest first."""
    now = datetime.now(UTC)
    wanted = JobFilter(
        tenant=tenant,
        name=name,
        states=states,
        accepted_before=before(now, older_than),
        accepted_after=before(now, newer_than),
        before=before_id,
    )
    with session() as opened:
        rows = list_jobs(opened, wanted, rows=limit)
    if as_json:
        print_json(rows)
        return
    print_table(
        ("id", "tenant", "name", "state", "tries", "accepted", "due", "why"),
        [
            ( row["id"], row["tenant"], row["name"], row["state"], row["attempts"],
             row["accepted_at"], None if row["finished_at"] else row["due_at"], _why(row, now))
            for row in rows
        ],
        empty="no jobs fit",
    )  # fmt: skip


@jobs.command("show")
@click.argument("job_id", type=click.UUID)
@click.option("--raw", is_flag=True, help="Print the raw webhook body too; it may hold personal data.")
@as_json
def show(job_id: UUID, raw: bool, as_json: bool) -> None:
    """One job: its input, its cause, its ledger entries and its audit events."""
    with session() as opened:
        job = show_job(opened, job_id)
    if not raw:
        job.pop("delivery_body")
    if as_json:
        print_json(job)
        return
    print_facts({name: job[name] for name in FACTS})
    if job["delivery_id"] is not None:
        print_facts({"webhook": f"delivery {job['delivery_id']} from {job['delivery_provider']}",
                     "received": job["delivery_received_at"]})  # fmt: skip
    if raw and job["delivery_body"] is not None:
        body = bytes(job["delivery_body"]).decode(errors="backslashreplace")
        click.echo(f"\nraw body\n{harmless(body)}")
    if job["entries"]:
        click.echo("\nledger")
        _print_rows(LEDGER_COLUMNS, job["entries"])
    if job["audit"]:
        click.echo("\naudit")
        _print_rows(AUDIT_COLUMNS, job["audit"])


def _print_rows(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    print_table(columns, [[row[column] for column in columns] for row in rows], empty="")


def _why(row: dict[str, Any], now: datetime) -> str | None:
    if row["last_error"]:
        return str(row["last_error"])[:80] + ageing(row["state"], now - row["accepted_at"])
    result = row["result"] or {}
    return result.get("code") or result.get("reason")
