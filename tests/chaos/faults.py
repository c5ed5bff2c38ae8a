"""Breaks things in a running stack. Each function returns when its fault is over."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import redis
from celery import Celery
from kombu import Queue

from ops.embedded import EmbeddedServices
from tests.chaos.schedule import Fault
from tests.chaos.senders import Promises, newest, publish
from tests.e2e.running import Running
from tests.waiting import until

UP_SECONDS = 180.0
NUDGES = 20
MESSAGES = 30
INTAKE_QUEUE = "intake"

TERMINATE = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = 'client backend'
"""


def inject(running: Running, promises: Promises, tenants: tuple[str, ...], fault: Fault) -> None:
    """Break it as the schedule says, and mend it where it would not mend itself."""
    if fault.name == "messages doubled":
        double_messages(running, promises, tenants)
    else:
        FAULTS[fault.name](running, fault)


def flush_redis(running: Running, _fault: Fault) -> None:
    url = running.stack.settings.require_broker_url()
    with redis.Redis.from_url(url, socket_timeout=5) as client, suppress(redis.RedisError):
        client.flushall()


def stop_redis(running: Running, fault: Fault) -> None:
    servers(running).stop_redis()
    time.sleep(fault.seconds)
    servers(running).start_redis()


def restart_postgresql(running: Running, _fault: Fault) -> None:
    servers(running).restart_postgres(immediate=True)


def kill_connections(running: Running, _fault: Fault) -> None:
    with running.connect() as connection:
        connection.execute(TERMINATE)


def kill(running: Running, fault: Fault, *names: str) -> None:
    for name in names or (fault.victim,):
        os.kill(pid_of(running, name), signal.SIGKILL)


def freeze(running: Running, fault: Fault, name: str = "") -> None:
    pid = pid_of(running, name or fault.victim)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(fault.seconds)
    with suppress(ProcessLookupError):  # another fault may have killed it meanwhile
        os.kill(pid, signal.SIGCONT)


def double_messages(running: Running, promises: Promises, tenants: tuple[str, ...]) -> None:
    """Nudges that nobody asked for, and jobs that were accepted already once more through the Celery door."""
    url = running.stack.settings.require_broker_url()
    queues = [Queue(INTAKE_QUEUE, routing_key=INTAKE_QUEUE)]
    with Celery(broker=url, set_as_current=False, task_queues=queues) as client:
        for tenant in tenants * NUDGES:
            client.send_task(
                "intake.drain", kwargs={"tenant": tenant}, queue=INTAKE_QUEUE, ignore_result=True
            )
    publish(running, newest(promises, MESSAGES))


def pid_of(running: Running, name: str) -> int:
    """Its number, once it runs."""
    return until(partial(running.stack.pid, name), within_seconds=UP_SECONDS, what=name) or 0


def servers(running: Running) -> EmbeddedServices:
    assert running.stack.servers is not None
    return running.stack.servers


FAULTS: Mapping[str, Callable[[Running, Fault], None]] = {
    "redis flushed": flush_redis,
    "redis stopped": stop_redis,
    "redis restarted": stop_redis,
    "redis frozen": partial(freeze, name="redis"),
    "worker killed": kill,
    "worker frozen": freeze,
    "both workers killed": lambda running, fault: kill(running, fault, "worker", "worker-2"),
    "shim killed": lambda running, fault: kill(running, fault, "shim"),
    "shim frozen": partial(freeze, name="shim"),
    "beat killed": lambda running, fault: kill(running, fault, "beat"),
    "beat frozen": partial(freeze, name="beat"),
    "postgresql restarted": restart_postgresql,
    "connections killed": kill_connections,
}
