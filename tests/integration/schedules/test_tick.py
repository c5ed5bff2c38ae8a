"""Ticks: a slot and its work are one transaction, done once however many tick at once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier, Thread
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import record
from tasks.schedules.policy import Every
from tasks.schedules.service import SCHEDULES, Schedule, tick
from worker.database import Transaction


def schedule(run: Callable[[Session, datetime], Mapping[str, object]], name: str = "test") -> Schedule:
    return Schedule(
        name, Every(3600), run, catch_up=True, max_lateness_seconds=86400, statement_seconds_max=60
    )


def mark(session: Session, _now: datetime) -> Mapping[str, object]:
    """An effect that can be counted, slow enough to be met by others."""
    session.execute(text("SELECT pg_sleep(0.2)"))
    moment = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    record(session, tenant="acme", actor="test", action="ran", subject="slot", reason="test", now=moment)
    return {"found": 1}


def effects(transaction: Transaction) -> int:
    with transaction() as session:
        return int(session.execute(text("SELECT count(*) FROM audit_events")).scalar_one())


def slots(transaction: Transaction) -> list[Any]:
    with transaction() as session:
        return list(session.execute(text("SELECT * FROM schedule_slots ORDER BY slot")))


def test_many_ticks_at_once_run_a_slot_once(transaction: Transaction, now: datetime) -> None:
    together = Barrier(6)
    ran: list[tuple[str, datetime]] = []

    def call() -> None:
        together.wait(60)
        ran.extend(tick(transaction, clock=lambda: now, schedules=[schedule(mark)]))

    threads = [Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert ran == [("test", now)]
    assert effects(transaction) == 1
    [slot] = slots(transaction)
    assert (slot.slot, slot.claimed_at, slot.finished_at, slot.result) == (now, now, now, {"found": 1})


def test_a_run_that_fails_leaves_nothing_keeps_nobody_waiting_and_is_tried_again(
    transaction: Transaction, now: datetime
) -> None:
    fails = [True]

    def shaky(session: Session, now: datetime) -> Mapping[str, object]:
        found = mark(session, now)
        if fails[0]:
            raise ZeroDivisionError
        return found

    both = [schedule(shaky, "shaky"), schedule(lambda _session, _now: {}, "calm")]
    assert tick(transaction, clock=lambda: now, schedules=both) == [("calm", now)]
    assert effects(transaction) == 0
    fails[0] = False
    assert tick(transaction, clock=lambda: now, schedules=both) == [("shaky", now)]
    assert effects(transaction) == 1


def test_missed_slots_are_run_each_once_after_an_absence(transaction: Transaction, now: datetime) -> None:
    mine = [schedule(lambda _session, _now: {})]
    tick(transaction, clock=lambda: now, schedules=mine)
    later = now + timedelta(hours=3, minutes=5)
    ran = tick(transaction, clock=lambda: later, schedules=mine)
    assert [slot for _, slot in ran] == [now + timedelta(hours=hours) for hours in (1, 2, 3)]
    assert tick(transaction, clock=lambda: later, schedules=mine) == []


def test_a_run_that_takes_too_long_is_cut_off(transaction: Transaction, now: datetime) -> None:
    def sleep(session: Session, _now: datetime) -> Mapping[str, object]:
        return {"slept": session.execute(text("SELECT pg_sleep(30)")).scalar()}

    slow = replace(schedule(sleep), statement_seconds_max=1)
    assert tick(transaction, clock=lambda: now, schedules=[slow]) == []
    assert slots(transaction) == []


def test_the_ledger_is_verified_and_strangers_are_found_by_the_clock(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    ran = tick(transaction, clock=lambda: now, schedules=SCHEDULES)
    assert ran == [("ledger.verify", now), ("reconciliation.unknown_events", now)]
    results = {slot.schedule: slot.result for slot in slots(transaction)}
    assert results["ledger.verify"]["broken"] == {}
    assert results["ledger.verify"]["checks"] > 5
    assert results["reconciliation.unknown_events"]["seen"] == 0
