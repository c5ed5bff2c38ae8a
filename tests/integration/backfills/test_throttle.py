"""A backfill among live work: it makes room while jobs wait, never stops, and is as fast as before afterwards."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Thread
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.verify import verify
from tasks.backfills.hands import Hands
from tasks.backfills.pacing import ROWS_FIRST, ROWS_MIN
from tasks.backfills.port import Pacing, full_speed
from tasks.backfills.throttle import surroundings, throttle, waiters
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.factories import accept_jobs, credit_args, job_request
from tests.integration.backfills.working import batch, hands, started, worked
from tests.waiting import until
from worker.database import Transaction

ROWS = 12_000
BATCH = 1000
MAPPING = {
    "unit": "minor", "currency": "EUR", "reason": "history", "time_format": "epoch",
    "columns": {"id": "id", "owner": "owner", "amount": "amount", "occurred_at": "at"},
}  # fmt: skip
Start = Callable[[Pacing], "Machine"]


@dataclass
class Machine:
    """Live jobs and one backfill. Its clock moves when it is told to; no batch takes any time."""

    transaction: Transaction
    now: datetime
    hands: Hands
    run_id: UUID
    read: int = 0

    def floods(self, jobs: int, due_seconds: float) -> None:
        """So many jobs are due since then, and nobody drains them."""
        requests = [job_request("wallets.credit", credit_args(f"live-{n % 20}", 1)) for n in range(jobs)]
        accept_jobs(self.transaction, requests, now=self.now - timedelta(seconds=due_seconds))

    def drains(self) -> None:
        drain(self.transaction, "acme", routing=ROUTING, clock=lambda: self.now, seconds_max=60)

    def begins(self) -> None:
        """Until its batches are as large as they may be."""
        while self.batch()[0] < BATCH:
            pass

    def batch(self) -> tuple[int, float]:
        """The next one: how many rows it read, and how long it is to rest instead."""
        report = batch(self.hands, self.run_id)
        read, self.read = report.run.rows_read - self.read, report.run.rows_read
        return read, report.wait_seconds


@pytest.fixture
def start(transaction: Transaction, tenant: str, now: datetime, tmp_path: Path) -> Start:
    history = tmp_path / "history.csv"
    at = int(now.timestamp())
    lines = (f"{n},p{n % 500},5,{at - ROWS + n}" for n in range(ROWS))
    history.write_text("\n".join(["id,owner,amount,at", *lines]) + "\n")
    source = {"type": "file", "path": str(history), "mapping": MAPPING}

    def start(pacing: Pacing) -> Machine:
        machine: Machine

        def clock() -> datetime:
            return machine.now

        ready = hands(transaction, now, pace=pacing, clock=clock, ticks=lambda: 0.0)
        machine = Machine(transaction, now, ready, UUID(int=0))
        machine.run_id = started(ready, "postings", source, batch_rows=BATCH)
        return machine

    return start


def test_it_makes_room_while_live_jobs_wait_and_goes_on_afterwards(start: Start) -> None:
    machine = start(throttle)
    assert [machine.batch() for _ in range(2)] == [(ROWS_FIRST, 0), (BATCH, 0)]
    machine.floods(500, due_seconds=2)
    assert [rows for rows, _ in (machine.batch() for _ in range(6))] == [
        500,
        250,
        125,
        ROWS_MIN,
        ROWS_MIN,
        ROWS_MIN,
    ]
    machine.drains()
    assert [rows for rows, _ in (machine.batch() for _ in range(5))] == [200, 400, 800, BATCH, BATCH]
    run = worked(machine.hands, machine.run_id)
    assert (run.state, run.posted) == ("done", ROWS)
    with machine.transaction() as session:
        assert [check.name for check in verify(session) if check.broken] == []


def test_it_rests_while_live_jobs_wait_for_long_and_never_for_ever(start: Start) -> None:
    """A lane that nobody drains any more: every ten seconds a small batch all the same."""
    machine = start(throttle)
    machine.begins()
    machine.floods(10, due_seconds=60)
    sizes = []
    for _ in range(4):
        read, rest = machine.batch()
        assert (read, rest) == (0, 10.0)
        machine.now += timedelta(seconds=9)
        assert machine.batch()[0] == 0
        machine.now += timedelta(seconds=1)
        sizes.append(machine.batch())
    assert sizes == [(500, 0), (250, 0), (125, 0), (ROWS_MIN, 0)]


def test_without_the_throttle_nothing_of_that_happens(start: Start) -> None:
    machine = start(full_speed)
    machine.floods(10, due_seconds=60)
    assert [machine.batch() for _ in range(3)] == [(BATCH, 0)] * 3


def test_a_batch_that_held_its_locks_for_long_is_followed_by_a_smaller_one(
    start: Start,
) -> None:
    machine = start(throttle)
    machine.begins()
    with machine.transaction() as session:
        session.execute(text("UPDATE backfills SET last_batch_seconds = 0.3"))
    assert machine.batch() == (500, 0)


def test_sessions_that_wait_for_locks_are_made_room_for(start: Start, transaction: Transaction) -> None:
    machine = start(throttle)
    machine.begins()

    def take() -> None:
        with transaction() as session:
            session.execute(text("SELECT FROM tenants WHERE tenant = 'globex' FOR UPDATE"))

    def waiting() -> int:
        with transaction() as session:
            return surroundings(session, machine.now).waiting

    with transaction() as holder:
        holder.execute(text("SELECT FROM tenants WHERE tenant = 'globex' FOR UPDATE"))
        waiter = Thread(target=take)
        waiter.start()
        until(lambda: waiting() == 1, what="the waiting session")
        assert machine.batch() == (500, 0)
    waiter.join()
    assert machine.batch() == (BATCH, 0)


def test_who_waits_for_a_batch_makes_the_next_ones_short(start: Start, transaction: Transaction) -> None:
    """Live work that moves an account of the batch: it is seen while it waits, and afterwards nobody is."""
    machine = start(throttle)
    machine.begins()
    others: list[Thread] = []

    def move() -> None:
        with transaction() as session:
            session.execute(text("UPDATE accounts SET shadow = shadow WHERE code = 'house:history'"))

    def one_waits(session: Session) -> int:
        others.append(Thread(target=move))
        others[-1].start()
        until(lambda: waiters(session) > 0, what="the one that waits")
        return waiters(session)

    ticks = count(step=0.06)
    slow = replace(machine.hands, ticks=lambda: next(ticks))
    machine.hands = replace(slow, waiters=one_waits)
    assert machine.batch() == (BATCH, 0)
    others[-1].join()
    with transaction() as session:
        assert session.execute(text("SELECT others_waited_at FROM backfills")).scalar_one() == machine.now
    assert machine.batch() == (500, 0)
    others[-1].join()
    machine.hands = replace(slow, waiters=waiters)
    assert [machine.batch() for _ in range(2)] == [(250, 0), (125, 0)]
    machine.now += timedelta(seconds=10)
    assert [machine.batch() for _ in range(3)] == [(250, 0), (500, 0), (BATCH, 0)]
