"""A stack of its own whose servers go away and come back, lanes that take turns, and a process's resources."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import text

from ops.embedded import EmbeddedServices
from tests.conftest import migrate
from tests.factories import accept_jobs, credit_args, job_request, job_rows, job_states
from tests.integration.intake.processes import beat, celery, worker
from tests.waiting import insisting, until
from worker.consumer import RECONNECT_SECONDS_MAX
from worker.database import Transaction, make_engine, transactions
from worker.resources import Resources
from worker.settings import Settings, TenantSettings

FORK = """
import os, threading
from sqlalchemy import text
from worker.resources import current
parent = current()
with parent.transaction() as session:
    mine = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
child = os.fork()
if child == 0:
    with current().transaction() as session:
        theirs = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    os._exit(0 if theirs != mine and current() is not parent else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
with parent.transaction() as session:
    still = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
print(code, still == mine)
"""


@pytest.fixture
def own_services() -> Iterator[EmbeddedServices]:
    with tempfile.TemporaryDirectory(prefix="ledgerbeat-own-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedServices(Path(folder) / "home", durable=False) as services:
            migrate(services.services.database_url)
            yield services


@pytest.fixture
def configured(tmp_path: Path) -> dict[str, str]:
    """Settings that know the tenant "fresh", which no database has heard of."""
    config = tmp_path / "ledgerbeat.toml"
    config.write_text('[tenants.fresh]\ntimezone = "Europe/Istanbul"\n')
    return {"LEDGERBEAT_CONFIG": str(config)}


def test_a_door_message_outlives_a_database_that_is_away(
    own_services: EmbeddedServices, configured: dict[str, str], tmp_path: Path
) -> None:
    services = own_services.services
    environment = {
        "LEDGERBEAT_DATABASE_URL": services.database_url,
        "LEDGERBEAT_REDIS_URL": services.redis_url,
        **configured,
    }
    client = Celery("upstream", broker=services.redis_url, set_as_current=False)
    engine = make_engine(services.database_url)
    with worker(environment, tmp_path) as running, beat(environment, tmp_path):
        own_services.postgres.stop()
        call = {
            "tenant": "fresh",
            "name": "wallets.credit",
            "idempotency_key": "k1",
            "args": credit_args("very-private"),
        }
        client.send_task("jobs.accept", kwargs=call)
        until(lambda: running.printed().count("door.waiting") >= 2)
        own_services.restart_postgres()
        until(lambda: job_states(transactions(engine), "fresh") == {"k1": "done"})
        assert "very-private" not in running.printed()
        assert running.stop() == 0
    engine.dispose()
    client.close()


def test_a_worker_finds_a_broker_again_within_seconds_however_long_it_was_away(
    own_services: EmbeddedServices, configured: dict[str, str], tmp_path: Path
) -> None:
    services = own_services.services
    environment = {
        "LEDGERBEAT_DATABASE_URL": services.database_url,
        "LEDGERBEAT_REDIS_URL": services.redis_url,
        **configured,
    }
    with worker(environment, tmp_path) as running:
        own_services.stop_redis()
        until(lambda: len(refusals(running.printed())) >= 6)
        own_services.start_redis()
        until(lambda: running.printed().count("Connected to redis") == 2)
        times = refusals(running.printed())
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    # Celery's own would be 6 s and longer by then. The least: the machine may be busy elsewhere for a while.
    assert min(pauses[2:]) < RECONNECT_SECONDS_MAX + 1.5, pauses


def refusals(printed: str) -> list[datetime]:
    """When a worker could not connect."""
    return [
        datetime.fromisoformat(line.split()[0])
        for line in printed.splitlines()
        if "Cannot connect to redis" in line
    ]


def test_one_tenants_flood_does_not_starve_another(
    transaction: Transaction, tenant: str, now: datetime, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    for _ in range(8):
        accept_jobs(transaction, [job_request() for _ in range(1500)], now=now)
    accept_jobs(transaction, [job_request(tenant="globex") for _ in range(10)], now=now)
    environment = {"LEDGERBEAT_DATABASE_URL": database_url, "LEDGERBEAT_REDIS_URL": redis_url}

    def waiting() -> int:
        with transaction() as session:
            queued = session.execute(text("SELECT count(*) FROM jobs WHERE state = 'queued'"))
            return int(queued.scalar_one())

    with (
        celery(["worker", "-c", "1"], environment, tmp_path),
        Celery(broker=redis_url, set_as_current=False) as client,
    ):

        def sweep() -> None:
            client.send_task("intake.sweep", queue="intake")

        insisting(sweep, lambda: waiting() == 0)
    assert last_finished(transaction, "globex") < last_finished(transaction, "acme")


def last_finished(transaction: Transaction, tenant: str) -> datetime:
    times: list[datetime] = [row["finished_at"] for row in job_rows(transaction, tenant)]
    return max(times)


def test_the_first_transaction_of_a_process_makes_the_configured_tenants(
    database_url: str, now: datetime
) -> None:
    tenants = {"fresh": TenantSettings(name="fresh", timezone="Europe/Istanbul")}
    resources = Resources(Settings(database_url=database_url, tenants=tenants))
    accept_jobs(resources.transaction, [job_request(tenant="fresh")], now=now)
    resources.close()
    accept_jobs(resources.transaction, [job_request(tenant="fresh")], now=now)
    resources.close()


def test_a_forked_child_uses_no_connection_of_its_parent(database_url: str) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FORK],
        env={**os.environ, "LEDGERBEAT_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert answer.stdout.split() == ["0", "True"]


@pytest.mark.parametrize("command", ["worker", "beat", "flower"])
def test_a_missing_setting_is_a_sentence_on_celerys_command_line(command: str, tmp_path: Path) -> None:
    missing = {"LEDGERBEAT_REDIS_URL": "", "LEDGERBEAT_BROKER_URL": ""}
    with celery([command], missing, tmp_path) as running:
        assert running.process.wait(120) == 1
    assert "Error: LEDGERBEAT_REDIS_URL is not set" in running.printed()
    assert "Traceback" not in running.printed()
