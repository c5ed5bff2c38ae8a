"""Keys that an app's own open transaction holds: whoever sends them over HTTP too waits, and nobody else does."""

import asyncio

import pytest
from sqlalchemy import text

from models.jobs.accept import JobRequest
from tests.factories import credit_args
from worker.database import Transaction, connect_args_of
from worker.http.batching import Batcher, NotRecorded
from worker.http.recording import Submission
from worker.http.writing import DatabaseWriter, connector

ENQUEUE = text("SELECT enqueue_job('acme', 'wallets.credit', :key, '{}')")
KEYS = [f"held-{number}" for number in range(200)]


async def submit(batcher: Batcher, tenant: str, key: str) -> bool:
    request = JobRequest(tenant, "wallets.credit", "app", key, credit_args())
    try:
        await batcher.submit(Submission((request,)))
    except NotRecorded:
        return False
    return True


async def story(database_url: str) -> tuple[list[bool], list[bool]]:
    writer = DatabaseWriter(connector(connect_args_of(database_url)), lambda: None)
    batcher = Batcher(writer, committed=lambda _: None)
    batcher.start()
    held = [asyncio.create_task(submit(batcher, "acme", key)) for key in KEYS]
    await asyncio.sleep(0.05)
    others = await asyncio.gather(*(submit(batcher, "globex", f"free-{number}") for number in range(5)))
    kept_waiting = await asyncio.gather(*held)
    await batcher.stop()
    await writer.close()
    return kept_waiting, others


@pytest.mark.usefixtures("tenant")
def test_keys_that_one_tenant_holds_do_not_keep_another_waiting_in_vain(
    database_url: str, owner_transaction: Transaction
) -> None:
    with owner_transaction() as app:
        for key in KEYS:
            app.execute(ENQUEUE, {"key": key})
        held, others = asyncio.run(story(database_url))
    assert (set(held), set(others)) == ({False}, {True})
