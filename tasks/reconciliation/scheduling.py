"""The tick: due nights become rows, due rows become messages. Any number of Beats may wake it, at any moment."""

from datetime import date, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from models.reconciliation.due import CalendarRow, RunName, is_due, lease_due, read_calendars
from models.reconciliation.runs import plan_run
from tasks.reconciliation.hands import Hands, Publish
from tasks.reconciliation.nights import LATENESS_MAX, Calendar, due_nights
from worker.telemetry import describe_error

MESSAGES_MAX = 100
"""Of one tick; the next takes what is left."""
DAY = timedelta(days=1)

log = structlog.get_logger("ledgerbeat.reconciliation")


def tick(hands: Hands, publish: Publish) -> list[RunName]:
    """Plan what is due, and send a message for whatever waits. The runs whose messages were sent."""
    if not (accounts := hands.accounts()):
        return []
    now = hands.clock()
    since = (now - LATENESS_MAX - 2 * DAY).date()
    with hands.transaction() as session:
        for row in read_calendars(session, accounts, since=since):
            _plan(session, row, now)
    with hands.transaction() as session:
        waiting = lease_due(session, accounts, since=since, rows=MESSAGES_MAX, now=now)
    return [run for run in waiting if _send(publish, run)]


def _plan(session: Session, row: CalendarRow, now: datetime) -> None:
    calendar = Calendar(
        row.tenant,
        row.provider,
        row.timezone,
        row.reconcile_at_local,
        row.created_at,
        first=row.first,
        known=frozenset(row.known),
    )
    for night in due_nights(calendar, now=now):
        if plan_run(session, night.tenant, night.provider, night.business_date, due_at=night.due_at):
            log.info("reconciliation.due", **_facts(night.tenant, night.provider, night.business_date))


def _send(publish: Publish, run: RunName) -> bool:
    """A message that is not taken costs its lease."""
    try:
        publish(run.tenant, run.provider, run.business_date)
    except Exception as error:  # noqa: BLE001 - each broker raises its own
        facts = _facts(run.tenant, run.provider, run.business_date)
        log.warning("reconciliation.not_sent", cause=describe_error(error), **facts)
        return False
    return True


def has_work(hands: Hands, run: RunName) -> bool:
    """A message may come twice, or late: only a row that is due is worked on."""
    with hands.transaction() as session:
        return is_due(session, run, now=hands.clock())


def _facts(tenant: str, provider: str, business_date: date) -> dict[str, str]:
    return {"tenant": tenant, "provider": provider, "business_date": business_date.isoformat()}
