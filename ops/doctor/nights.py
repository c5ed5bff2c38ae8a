"""The nights: each account's last business date that is due has been reconciled."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from models.reconciliation.due import read_calendars
from models.reconciliation.runs import load_run
from ops.doctor.findings import Finding, ok, problem, warning
from tasks.reconciliation.nights import Calendar, DueNight, due_nights
from worker.providers.records.registry import has_source
from worker.settings import Settings

LATE_MAX = timedelta(hours=3)
"""A night that was due for longer and has not ended was missed."""


def check_nights(connection: Connection, settings: Settings) -> Iterator[Finding]:
    """Per account: was the last night missed, cut short or in vain?"""
    now = datetime.now(UTC)
    accounts = [
        (tenant.name, account.name)
        for tenant in settings.tenants.values()
        for account in tenant.providers.values()
        if has_source(account)
    ]
    with Session(connection) as session:
        for row in read_calendars(session, accounts, since=now.date()):
            calendar = Calendar(*row[:5])
            for night in due_nights(replace(calendar, known=()), now=now):
                yield _judge(session, night, now)


def _judge(session: Session, night: DueNight, now: datetime) -> Finding:
    row = load_run(session, night.tenant, night.provider, night.business_date)
    state = "never begun" if row is None else row["state"]
    name = f"{night.tenant}/{night.provider} {night.business_date}"
    command = f"ledgerbeat reconcile --tenant {night.tenant} --provider {night.provider} --date {night.business_date}"
    if state == "done":
        return ok("nights", f"{name} is reconciled")
    if state == "truncated":
        return problem(
            "nights", f"{name}: the provider's feed was far too short", f"ask the provider; {command}"
        )
    why = f" ({row['last_error']})" if row is not None and row["last_error"] else ""
    if now - night.due_at <= LATE_MAX:
        found = f"{name} is {state}{why}"
        return warning("nights", found, command) if state == "failed" else ok("nights", found)
    fix = f"see that Beat runs and a worker takes the queue 'reconciliation'; by hand: {command}"
    return problem("nights", f"{name} was missed: {state}{why}", fix)
