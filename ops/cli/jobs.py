"""`ledgerbeat jobs`: what was accepted and what became of it."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click

from models.jobs.reads import JobFilter, list_jobs, show_job
from models.jobs.tables import STATES
from ops.cli.connection import session
from ops.cli.output import as_json, print_facts, print_json, print_table

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
FACTS = ("id", "tenant", "name", "state", "origin", "idempotency_key", "attempts", "accepted_at", "due_at",
         "finished_at", "last_error", "wait_keys", "args", "result")  # fmt: skip
LEDGER_COLUMNS = ("id", "kind", "code", "currency", "amount_minor", "balance_after_minor", "occurred_at")
AUDIT_COLUMNS = ("at", "actor", "action", "subject", "reason")


class Age(click.ParamType[timedelta]):
    """30s, 10m, 2h, 7d -> timedelta."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})([smhd])", value)
        if match is None:
            self.fail(f"{value!r} is not an age such as 30s, 10m, 2h or 7d", param, ctx)
        return timedelta(**{UNITS[match[2]]: int(match[1])})


@click.group()
def jobs() -> None:
    """List and show jobs."""


@jobs.command("list")
@click.option("--tenant", help="Only this tenant.")
@click.option("--name", help="Only jobs of this name, such as wallets.credit.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="May be given several times."
)
@click.option("--older-than", type=Age(), help="Accepted longer ago than this: 30s, 10m, 2h, 7d.")
@click.option("--newer-than", type=Age(), help="Accepted less long ago than this.")
@click.option("--before", type=click.UUID, help="Continue after the last id of the page before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@as_json
def list_(
    tenant: str | None,
    name: str | None,
    states: tuple[str, ...],
    older_than: timedelta | None,
    newer_than: timedelta | None,
    before: UUID | None,
    limit: int,
    as_json: bool,
) -> None:
    """The newest jobs that fit, newest first."""
    now = datetime.now(UTC)
    wanted = JobFilter(
        tenant=tenant,
        name=name,
        states=states,
        accepted_before=now - older_than if older_than else None,
        accepted_after=now - newer_than if newer_than else None,
        before=before,
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
             row["accepted_at"], None if row["finished_at"] else row["due_at"], _why(row))
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
        click.echo(f"\nraw body\n{bytes(job['delivery_body']).decode(errors='backslashreplace')}")
    if job["entries"]:
        click.echo("\nledger")
        _print_rows(LEDGER_COLUMNS, job["entries"])
    if job["audit"]:
        click.echo("\naudit")
        _print_rows(AUDIT_COLUMNS, job["audit"])


def _print_rows(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    print_table(columns, [[row[column] for column in columns] for row in rows], empty="")


def _why(row: dict[str, Any]) -> str | None:
    if row["last_error"]:
        return str(row["last_error"])[:80]
    result = row["result"] or {}
    return result.get("code") or result.get("reason")
