"""A real worker is killed in the midst of a run, and a second one brings it to its end."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import redis
from celery import Celery
from sqlalchemy import text

from tests.integration.backfills.runs import Desk, line
from tests.integration.crashes.points import bury_the_dead
from tests.integration.intake.processes import worker
from tests.waiting import until
from worker.celery import configuration_of, publish_batch
from worker.database import Transaction

CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
"""
ROWS = 4000
FLOWER_SHOWS = 47
"""Characters of the arguments, in its list of tasks, before it cuts them off."""


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "ledgerbeat.toml"
    config.write_text(CONFIG)
    return {
        "LEDGERBEAT_DATABASE_URL": database_url,
        "LEDGERBEAT_REDIS_URL": redis_url,
        "LEDGERBEAT_CONFIG": str(config),
    }


@pytest.fixture
def app(redis_url: str) -> Iterator[Celery]:
    made = Celery("ledgerbeat", set_as_current=False)
    made.conf.update(configuration_of(redis_url))
    yield made
    made.close()


def time_passes(owner_transaction: Transaction, redis_url: str) -> None:
    """The claim and the lock of who died run out, without a minute of waiting for it."""
    with owner_transaction() as session:
        session.execute(text("UPDATE backfills SET claimed_until = now() - interval '1 second'"))
    with redis.Redis.from_url(redis_url) as client:
        for key in client.scan_iter("ledgerbeat:backfill:*"):
            client.delete(key)


def test_a_killed_worker_leaves_nothing_half_done(
    desk: Desk,
    app: Celery,
    environment: dict[str, str],
    owner_transaction: Transaction,
    redis_url: str,
    tmp_path: Path,
) -> None:
    lines = [line(str(number), f"owner-{number % 50}", 10) for number in range(ROWS)]
    desk.clock.now = datetime.now(UTC) - timedelta(seconds=1)
    run_id = desk.start(desk.file(lines), batch_rows=20)
    with worker(environment, tmp_path, "-Q", "intake,backfills") as first:
        app.send_task("backfills.tick", queue="intake")
        until(lambda: desk.look(run_id).batches >= 10, what="some batches")
        first.kill()
    bury_the_dead(desk.transaction)
    stopped = desk.look(run_id)
    assert (stopped.state, stopped.posted == stopped.rows_read < ROWS) == ("running", True)
    assert len(desk.ledger()) == 2 * stopped.posted
    time_passes(owner_transaction, redis_url)
    with worker(environment, tmp_path, "-Q", "intake,backfills") as second:
        app.send_task("backfills.tick", queue="intake")
        until(lambda: desk.look(run_id).state == "done", what="the end of the run")
        assert second.stop() == 0
    run = desk.look(run_id)
    assert (run.posted, run.replayed, run.quarantined, len(desk.ledger())) == (ROWS, 0, 0, 2 * ROWS)
    assert desk.broken() == []


def test_flower_is_shown_ids_and_numbers(app: Celery, redis_url: str) -> None:
    publish_batch(UUID(int=7), 3, "42,000 of 1,000,000 rows, 21,000/s, ETA 45 s", through=app)
    with app.connection_for_read() as connection, connection.SimpleQueue("backfills") as queue:
        message = queue.get(timeout=30)
        message.ack()
    shown = "42,000 of 1,000,000 rows, 21,000/s, ETA 45 s; backfill 00000000-0000-0000-0000-000000000007"
    assert message.headers["kwargsrepr"] == shown
    assert "ETA 45 s" in shown[:FLOWER_SHOWS]
    assert message.payload[1] == {"backfill_id": str(UUID(int=7)), "turn": 3}
