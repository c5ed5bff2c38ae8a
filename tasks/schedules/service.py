"""Run what is due, each slot once, however many Beats wake us: the slot's row and its work are one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.verify import verify
from models.reconciliation.strangers import look_for_strangers
from models.schedules import claim_slot, finish_slot, last_slot
from tasks.schedules.policy import Every, Rhythm, due
from worker.database import Transaction
from worker.telemetry import describe_error

LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('ledgerbeat.schedule:' || :schedule, 0))")
LIMIT = text("SELECT set_config('statement_timeout', :milliseconds, true)")

SEEN_WITHIN = timedelta(hours=20)
"""What stands open is seen again by the nights, and once a day where there are none."""

log = structlog.get_logger("ledgerbeat.schedules")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Something that runs by the clock. `run` is handed the slot's transaction and the time, and returns what it found.

    A run that fails leaves no slot behind and is tried again at the next tick, until it is too late for it.
    """

    name: str
    rhythm: Rhythm
    run: Callable[[Session, datetime], Mapping[str, object]]
    catch_up: bool
    max_lateness_seconds: int
    statement_seconds_max: int


def verify_ledger(session: Session, now: datetime) -> Mapping[str, object]:
    """All invariants over all tenants: how many were asked, and how much is broken of which."""
    checks = verify(session, None, now=now)
    broken = {check.name: len(check.broken) for check in checks if check.broken}
    if broken:
        log.error("ledger.verify.broken", **broken)
    return {"checks": len(checks), "broken": broken}


def find_strangers(session: Session, now: datetime) -> Mapping[str, object]:
    """Events about things unknown, of every account: also of those that have no nights."""
    return asdict(look_for_strangers(session, now=now, seen_within=SEEN_WITHIN))


SCHEDULES: Sequence[Schedule] = (
    Schedule(
        "ledger.verify",
        Every(seconds=3600),
        verify_ledger,
        catch_up=False,
        max_lateness_seconds=3600,
        statement_seconds_max=600,
    ),
    Schedule(
        "reconciliation.unknown_events",
        Every(seconds=3600),
        find_strangers,
        catch_up=False,
        max_lateness_seconds=3600,
        statement_seconds_max=120,
    ),
)


def tick(
    transaction: Transaction, *, clock: Callable[[], datetime], schedules: Sequence[Schedule] = SCHEDULES
) -> list[tuple[str, datetime]]:
    """Run every due slot; the ones that this call ran. A schedule that fails does not keep the others waiting."""
    return [ran for schedule in schedules for ran in _run_due(transaction, schedule, clock)]


def _run_due(
    transaction: Transaction, schedule: Schedule, clock: Callable[[], datetime]
) -> list[tuple[str, datetime]]:
    ran: list[tuple[str, datetime]] = []
    try:
        for slot in _due(transaction, schedule, clock()):
            ran += [(schedule.name, slot)] if run_slot(transaction, schedule, slot, clock=clock) else []
    except Exception as error:  # noqa: BLE001 - told without values, and tried again at the next tick
        log.warning("schedule.failed", schedule=schedule.name, cause=describe_error(error))
    return ran


def run_slot(
    transaction: Transaction, schedule: Schedule, slot: datetime, *, clock: Callable[[], datetime]
) -> bool:
    """Run one slot. False when it ran before, or someone else is running the schedule at this moment."""
    with transaction() as session:
        if not session.execute(LOCK, {"schedule": schedule.name}).scalar_one():
            return False
        if not claim_slot(session, schedule.name, slot, now=clock()):
            return False
        session.execute(LIMIT, {"milliseconds": str(schedule.statement_seconds_max * 1000)})
        result = dict(schedule.run(session, clock()))
        finish_slot(session, schedule.name, slot, result, now=clock())
    log.info("schedule.ran", schedule=schedule.name, slot=slot.isoformat())
    return True


def _due(transaction: Transaction, schedule: Schedule, now: datetime) -> list[datetime]:
    with transaction() as session:
        last = last_slot(session, schedule.name)
    return due(
        schedule.rhythm,
        last=last,
        now=now,
        catch_up=schedule.catch_up,
        max_lateness_seconds=schedule.max_lateness_seconds,
    )
