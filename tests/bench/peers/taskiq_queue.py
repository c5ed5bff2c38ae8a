"""taskiq: `taskiq worker tests.bench.peers.taskiq_queue:broker --workers 2`."""

import os

from taskiq_redis import ListQueueBroker  # type: ignore[import-not-found]

from tests.bench.peers.deposit import deposit

broker = ListQueueBroker(os.environ["LEDGERBEAT_REDIS_URL"], queue_name="bench")
task = broker.task(task_name="deposit")(deposit)


async def send_all(messages: list[tuple[str, str, int]]) -> None:
    await broker.startup()
    for message in messages:
        await task.kiq(*message)
    await broker.shutdown()
