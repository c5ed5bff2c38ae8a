"""Messages that no task takes: discarded with a line in the log, and the line tells nothing of what was in them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from tests.factories import credit_args
from tests.integration.intake.processes import worker
from tests.waiting import until
from worker.telemetry import tell_errors

PRIVATE = "very-private-owner"


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    app = Celery("upstream", broker=redis_url, set_as_current=False)
    yield app
    app.close()


@pytest.mark.usefixtures("tenant")
def test_what_the_worker_cannot_take_is_not_quoted_in_the_log(
    database_url: str, redis_url: str, client: Celery, tmp_path: Path
) -> None:
    environment = {"LEDGERBEAT_DATABASE_URL": database_url, "LEDGERBEAT_REDIS_URL": redis_url}
    call = {"name": "wallets.credit", "idempotency_key": "k1", "args": credit_args(PRIVATE)}
    with worker(environment, tmp_path) as running:
        client.send_task("jobs.acept", kwargs=call)
        until(lambda: "unregistered task" in running.printed())
        client.send_task("jobs.accept", kwargs=call, serializer="pickle")
        until(lambda: "invalid task message" in running.printed())
        printed = running.printed()
    assert "jobs.acept" in printed
    assert PRIVATE not in printed


def test_what_cannot_be_decoded_is_not_quoted_either() -> None:
    """Celery tells the headers, which hold the caller's own text of the arguments, in the first line already."""
    told = f"Can't decode message body: ValueError('x') [type:'a' headers:{PRIVATE}]\n\nbody: {PRIVATE}\n"
    event = {"logger": "celery.worker.consumer.consumer", "event": told}
    assert tell_errors(None, "critical", event)["event"] == "Can't decode message body: ValueError('x')"
