"""huey: `huey_consumer tests.bench.peers.huey_queue.queue -k process -w 4`."""

import os

from huey import RedisHuey  # type: ignore[import-not-found]

from tests.bench.peers.deposit import deposit

queue = RedisHuey("bench", url=os.environ["LEDGERBEAT_REDIS_URL"], results=False)
send = queue.task()(deposit)
