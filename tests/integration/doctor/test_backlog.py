"""What waits too long, and a Beat that keeps no time."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.factories import accept_jobs, job_request
from tests.integration.doctor.patient import Environment, ticked, without_redis
from worker.database import Transaction

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "age", "check", "verdict"),
    [
        ("queued", HOUR / 3600, "lag", "ok"),
        ("queued", HOUR / 30, "lag", "warning"),
        ("queued", HOUR, "lag", "problem"),
        ("parked", HOUR, "parked", "ok"),
        ("parked", 25 * HOUR, "parked", "warning"),
        ("parked", 73 * HOUR, "parked", "problem"),
        ("parked", HOUR, "beat", "problem"),
        ("cooling", HOUR, "beat", "problem"),
        ("dead", HOUR, "dead", "warning"),
    ],
)
def test_what_waits_for_too_long(
    environment: Environment,
    transaction: Transaction,
    state: str,
    age: timedelta,
    check: str,
    verdict: str,
) -> None:
    ticked(transaction)
    then = datetime.now(UTC) - age
    accept_jobs(transaction, [job_request()], now=then)
    with transaction() as session:
        session.execute(
            text("""UPDATE jobs SET state = :state, last_error = 'unknown_reference',
                    result = jsonb_build_object('code', 'failed'),
                    finished_at = CASE WHEN :state = 'dead' THEN due_at END"""),
            {"state": state},
        )
    found = [one for one in without_redis(environment) if one.check == check and one.verdict == verdict]
    assert len(found) == 1


@pytest.mark.parametrize(("age", "verdict"), [(None, "warning"), (HOUR, "ok"), (3 * HOUR, "problem")])
def test_beat_is_judged_by_its_newest_slot(
    environment: Environment, transaction: Transaction, age: timedelta | None, verdict: str
) -> None:
    if age is not None:
        ticked(transaction, age)
    assert [one.verdict for one in without_redis(environment) if one.check == "beat"] == [verdict]
