"""Runs in processes that are killed: at a point of what they do, or after so many of them."""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine

from tasks.backfills import service
from tests.integration.backfills.runs import Desk
from tests.integration.crashes.children import begin
from tests.integration.crashes.points import Point, Trail, bury_the_dead, statements
from worker.database import make_engine, transactions


class Countdown(Trail):
    """Dies at the `last`-th point, whichever it is."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self._left = last

    def reach(self, label: str) -> None:
        super().reach(label)
        self._left -= 1
        if self._left == 0:
            kill()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def live(
    desk: Desk, url: str, run_id: UUID, chosen: Point | int | None = None
) -> tuple[list[Point], int | None]:
    """Work on the run in a process of its own, until it dies there. The points that it told of, and how it ended."""
    child = begin(_child, url, desk.folder, desk.tenant, desk.clock.now.timestamp(), run_id, chosen)
    said = [one for one in child.heard() if isinstance(one, list)]
    exitcode = child.exitcode()
    bury_the_dead(desk.transaction)
    return (said[0] if said else []), exitcode


def _child(
    url: str,
    folder: Path,
    tenant: str,
    now: float,
    run_id: UUID,
    chosen: Point | int | None,
    parent: Connection,
) -> None:
    trail = Countdown(chosen) if isinstance(chosen, int) else Trail(chosen, die=kill)
    engine = make_engine(url, role="ledgerbeat_worker")
    desk = Desk(transactions(engine), folder, tenant=tenant)
    desk.clock.forward(now - desk.clock.now.timestamp())
    with statements(Engine, trail.reach):
        service.run_to_end(desk.hands(), run_id)
    parent.send(trail.points)
    parent.close()
