"""A job whose arguments PostgreSQL holds and Python cannot read: dead, and nothing behind it waits."""

from datetime import datetime

import pytest
from sqlalchemy import text

from models.jobs.reads import show_job
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.factories import accept_jobs, job_request
from worker.database import Transaction

ENQUEUE = text("SELECT enqueue_job('acme', 'wallets.credit', 'odd', CAST(:args AS jsonb))")
LONG_NUMBER = '{"amount_minor": 1e5000}'
DEEP = f'{{"owner": {"[" * 3_000}{"]" * 3_000}}}'


@pytest.mark.parametrize("args", [LONG_NUMBER, DEEP], ids=["a number of 5,001 digits", "3,000 levels"])
def test_what_only_postgresql_can_read_is_dead_and_blocks_no_lane(
    transaction: Transaction, tenant: str, now: datetime, args: str
) -> None:
    with transaction() as session:
        odd = session.execute(ENQUEUE, {"args": args}).scalar_one()
    accept_jobs(transaction, [job_request(key="behind it")], now=now)
    drain(transaction, tenant, routing=ROUTING, clock=lambda: now, seconds_max=600)
    with transaction() as session:
        shown = show_job(session, odd)
        states = session.execute(text("SELECT state FROM jobs ORDER BY seq")).scalars().all()
    assert states == ["dead", "done"]
    assert shown["result"]["code"] == "invalid_arguments"


@pytest.mark.usefixtures("tenant")
def test_no_arguments_at_all_are_shown_as_an_empty_object(transaction: Transaction, now: datetime) -> None:
    [job_id] = accept_jobs(transaction, [job_request(args={})], now=now)
    with transaction() as session:
        assert show_job(session, job_id)["args"] == {}
