"""dramatiq: `dramatiq tests.bench.peers.dramatiq_queue --processes 2 --threads 4`."""

import os

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]

from tests.bench.peers.deposit import deposit

dramatiq.set_broker(RedisBroker(url=os.environ["LEDGERBEAT_REDIS_URL"]))
actor = dramatiq.actor(deposit)
send = actor.send
