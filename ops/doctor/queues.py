"""Redis, the broker, and the workers behind it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from ops.doctor.findings import Finding, first_line, ok, problem, warning
from worker.celery import QUEUES, configuration_of
from worker.settings import Settings

SECONDS = 1
PING_SECONDS = 1.5


def check_redis(settings: Settings) -> list[Finding]:
    """Reachable, and set up to keep what it is given."""
    if settings.redis_url is None:
        return [problem("redis", "LEDGERBEAT_REDIS_URL is not set, and no 'ledgerbeat up' runs here",
                        "give it a URL such as redis://host:6379/0")]  # fmt: skip
    try:
        with closing(_client(settings.redis_url)) as client:
            client.ping()
            broker = settings.require_broker_url().startswith("redis")
            return [ok("redis", "reachable"), _policy(client, broker), _aof(client)]
    except (redis.RedisError, ValueError, OSError) as error:
        fix = "start Redis; see host, port and password in LEDGERBEAT_REDIS_URL"
        return [problem("redis", f"cannot be used: {first_line(error)}", fix)]


def check_broker(settings: Settings) -> list[Finding]:
    """It takes a connection, and workers behind it answer a ping."""
    try:
        url = settings.require_broker_url()
    except Exception as error:  # noqa: BLE001 - said already by the check of Redis
        return [problem("broker", first_line(error), "set LEDGERBEAT_REDIS_URL or LEDGERBEAT_BROKER_URL")]
    app = Celery("ledgerbeat.doctor", set_as_current=False)
    app.add_defaults(partial(configuration_of, url))
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=SECONDS)
    except Exception as error:  # noqa: BLE001 - each transport raises its own
        fix = "start the broker; see LEDGERBEAT_BROKER_URL (default: LEDGERBEAT_REDIS_URL)"
        return [problem("broker", f"cannot be used: {first_line(error)}", fix)]
    return [ok("broker", "takes a connection"), *_workers(app)]


def _workers(app: Celery) -> Iterator[Finding]:
    """Who answers, and whether each queue has somebody who takes from it."""
    answers: Sequence[dict[str, Any]] = (
        app.control.broadcast("active_queues", reply=True, timeout=PING_SECONDS) or []
    )
    if not answers:
        fix = "start one: celery -A worker worker --without-gossip --without-mingle -E"
        yield problem("workers", f"none answered a ping within {PING_SECONDS:g} s", fix)
        return
    workers = {name: taken for one in answers for name, taken in one.items()}
    yield ok("workers", f"{len(workers)} answered: {', '.join(sorted(workers))}")
    taken = {queue["name"] for queues in workers.values() for queue in queues}
    if missing := sorted(set(QUEUES) - taken):
        fix = f"start one: celery -A worker worker -Q {','.join(missing)} -n {missing[0]}@%h (README: Run it for real)"
        yield problem("queues", f"no worker takes from: {', '.join(missing)}", fix)
    else:
        yield ok("queues", f"each has a worker: {', '.join(QUEUES)}")


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=SECONDS,
        socket_timeout=SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def _policy(client: redis.Redis, broker: bool) -> Finding:
    found = str(dict(client.info("memory")).get("maxmemory_policy", "unknown"))
    if found == "noeviction":
        return ok("redis", "maxmemory-policy noeviction")
    fix = "set maxmemory-policy noeviction: any other drops messages of the Celery door when memory is short"
    return (problem if broker else warning)("redis", f"maxmemory-policy {found}", fix)


def _aof(client: redis.Redis) -> Finding:
    if int(dict(client.info("persistence")).get("aof_enabled", 0)):
        return ok("redis", "appendonly yes")
    fix = "set appendonly yes: what apps sent by the Celery door and no worker has taken is in Redis alone"
    return warning("redis", "appendonly no: a restart loses its messages", fix)
