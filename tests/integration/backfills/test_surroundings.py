"""What a backfill sees of live work: the oldest due job of all lanes, and who waits for a lock."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from models.jobs.backlog import OLDEST_DUE, due_seconds
from models.jobs.claim import claim
from models.jobs.outcomes import Parked, finish
from tasks.backfills.pacing import Surroundings
from tasks.backfills.throttle import surroundings
from tests.factories import accept_jobs, job_request
from tests.integration.intake.test_claim import HISTORY, explain
from tests.waiting import until
from worker.database import Transaction

HOUR = timedelta(hours=1)


def seen(transaction: Transaction, now: datetime) -> Surroundings:
    with transaction() as session:
        return surroundings(session, now)


@pytest.mark.usefixtures("tenant")
def test_nothing_to_do_is_nothing_to_wait_for(transaction: Transaction, now: datetime) -> None:
    assert seen(transaction, now) == Surroundings(0.0, 0)


@pytest.mark.usefixtures("tenant")
def test_the_oldest_job_of_any_lane_counts(transaction: Transaction, now: datetime) -> None:
    accept_jobs(transaction, [job_request()], now=now)
    accept_jobs(transaction, [job_request(tenant="globex")], now=now - HOUR)
    assert seen(transaction, now + timedelta(seconds=2)).live_seconds == 3602.0


@pytest.mark.usefixtures("tenant")
def test_a_job_of_tomorrow_keeps_nobody_waiting(transaction: Transaction, now: datetime) -> None:
    accept_jobs(transaction, [job_request()], now=now + HOUR)
    assert seen(transaction, now).live_seconds == 0.0


def test_what_waits_for_another_thing_is_late_only_when_it_should_have_been_woken(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    accept_jobs(transaction, [job_request()], now=now)
    with transaction() as session:
        finish(
            session, [(job, Parked("unknown", ("k",))) for job in claim(session, tenant, limit=1)], now=now
        )
    assert seen(transaction, now + timedelta(seconds=59)).live_seconds == 0.0
    assert seen(transaction, now + timedelta(seconds=67)).live_seconds == 7.0


@pytest.mark.usefixtures("tenant")
def test_a_session_that_waits_for_a_row_is_seen_by_the_workers_role(
    transaction: Transaction, now: datetime
) -> None:
    def take() -> None:
        with transaction() as session:
            session.execute(text("SELECT FROM tenants WHERE tenant = 'acme' FOR UPDATE"))

    with transaction() as holder:
        holder.execute(text("SELECT FROM tenants WHERE tenant = 'acme' FOR UPDATE"))
        waiter = threading.Thread(target=take)
        waiter.start()
        until(lambda: seen(transaction, now).waiting == 1, what="the waiting session")
    waiter.join()
    assert seen(transaction, now).waiting == 0


def test_the_look_reads_no_table_through(
    transaction: Transaction, owner_transaction: Transaction, tenant: str, now: datetime
) -> None:
    """However long the history and the lanes are."""
    with owner_transaction() as session:
        session.execute(HISTORY)
        session.execute(
            text("""
                INSERT INTO jobs (tenant, name, origin, idempotency_key, fingerprint, args, due_at, accepted_at)
                SELECT 'acme', 'wallets.credit', 'app', 'new-' || n, '', '{}', :now, :now
                FROM generate_series(1, 20000) AS n
            """),
            {"now": now},
        )
        session.execute(text("ANALYZE jobs"))
    with transaction() as session:
        assert "Seq Scan on jobs" not in explain(session, OLDEST_DUE, {})
        assert due_seconds(session, now=now + HOUR) == 3600.0
