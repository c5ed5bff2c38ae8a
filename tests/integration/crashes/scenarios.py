"""What the processes of a stack do, each in a child process that may be killed at any point of it."""

import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing.connection import Connection

import httpx
from celery import Task
from sqlalchemy import Engine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.intake.tasks import accept_job, drain_lane, sweep_lanes
from tasks.schedules import tasks as schedules
from tests.factories import credit_args
from tests.integration.crashes.children import SECONDS_MAX, begin
from tests.integration.crashes.points import Point, Reach, Trail, around, redis_commands, statements
from tests.integration.http.requests import CREDIT, SANDBOX, captured, job_headers, signed
from tests.integration.http.serving import serving
from tests.waiting import until
from worker.resources import Resources
from worker.settings import load_settings

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)

Acknowledge = Callable[[], None]
"""Called when the sender knows that it was heard, and so will not ask again."""

Scenario = Callable[[Trail, Acknowledge], None]


@dataclass(frozen=True)
class Life:
    """What came of one process: the points that it reached, how it ended, and whether its sender was answered."""

    points: list[Point]
    exitcode: int | None
    acknowledged: bool


def live(scenario: str, environment: Mapping[str, str], chosen: Point | None = None) -> Life:
    """Run the scenario in a process of its own, which is killed at the chosen point."""
    child = begin(_child, scenario, dict(environment), chosen)
    said = list(child.heard())
    points = [one for one in said if isinstance(one, list)]
    return Life(points[0] if points else [], child.exitcode(), "acknowledged" in said)


def _child(scenario: str, environment: Mapping[str, str], chosen: Point | None, parent: Connection) -> None:
    os.environ.update(environment)
    trail = Trail(chosen, die=lambda: os.kill(os.getpid(), signal.SIGKILL))
    with statements(Engine, trail.reach), redis_commands(trail.reach):
        SCENARIOS[scenario](trail, lambda: parent.send("acknowledged"))
    parent.send(trail.points)
    parent.close()


def message(task: "Task[..., None]", **arguments: object) -> Scenario:
    """A message comes to a worker, which acknowledges it when the task says so: before its work, or after it."""

    def run(trail: Trail, acknowledge: Acknowledge) -> None:
        told = around(acknowledge, "the acknowledgement", trail.reach)
        work = partial(task, **arguments)
        for step in (work, told) if task.acks_late else (told, work):
            step()

    return run


def at_noon(scenario: Scenario) -> Scenario:
    """The same hour for all who play it: none of them comes to the next slot of a schedule."""

    def run(trail: Trail, acknowledge: Acknowledge) -> None:
        schedules.utc_now = lambda: NOON
        scenario(trail, acknowledge)

    return run


def request(path: str, body: bytes, headers: Callable[[], Mapping[str, str]]) -> Scenario:
    """A request comes to a shim, over a socket; the shim is stopped once it is answered."""

    def run(trail: Trail, acknowledge: Acknowledge) -> None:
        trail.armed = False
        settings = load_settings()
        nudger, wrapped = Resources(settings).nudger, partial(Answering, trail.reach)
        with serving(settings, nudger.nudge, wrapped=wrapped) as address:
            until(lambda: "tenants" not in [thread.name for thread in threading.enumerate()])
            trail.armed = True
            answer = httpx.post(address + path, content=body, headers=headers(), timeout=SECONDS_MAX)
            assert answer.status_code == 202
            acknowledge()

    return run


@dataclass(frozen=True)
class Answering:
    """An app with a point before and after each part of its answers."""

    reach: Reach
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            self.reach(f"before sending {message['type']}")
            await send(message)
            self.reach(f"after sending {message['type']}")

        await self.app(scope, receive, watched)


JOB, WEBHOOK = json.dumps(credit_args("ada", 7)).encode(), captured("evt-late", "order-2")
SCENARIOS: dict[str, Scenario] = {
    "a job over HTTP": request(CREDIT, JOB, job_headers),
    "a webhook": request(SANDBOX, WEBHOOK, lambda: signed(WEBHOOK, "evt-late")),
    "a job by Celery": message(
        accept_job, tenant="acme", name="wallets.credit", idempotency_key="k", args=credit_args("ada", 7)
    ),
    "a drain": message(drain_lane, tenant="acme"),
    "a sweep": message(sweep_lanes),
    "a tick": at_noon(message(schedules.tick_schedules)),
}
