"""A process frozen between its claim and its call wakes up when everything is over: money still left once."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import redis

from tests.integration.crashes.children import Child
from tests.integration.crashes.points import Point
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from tests.integration.payouts.crashing import Place, begin, ended
from tests.waiting import until

Freeze = Callable[[UUID], Child]


@pytest.fixture
def freeze(till: Till, redis_url: str, database_url: str) -> Iterator[Freeze]:
    """Begin to send a payout, in a process that stops itself with the key in its hand."""
    frozen: list[Child] = []

    def build(payout_id: UUID) -> Child:
        place = Place(database_url, redis_url, str(till.sandbox.base_url))
        chosen = Point("before the call", 1)
        child = begin("attempt", payout_id, till.cashier.now, place, chosen, signal.SIGSTOP)
        frozen.append(child)
        pid = child.process.pid
        until(lambda: is_stopped(pid), within_seconds=60, what="the frozen process")
        with redis.Redis.from_url(redis_url) as client:  # its lock runs out, which real time would take
            client.flushdb()
        return child

    yield build
    for child in frozen:
        if child.process.is_alive():
            child.process.kill()
            child.process.join(10)


def is_stopped(pid: int | None) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def wake(child: Child) -> None:
    assert child.process.pid is not None
    os.kill(child.process.pid, signal.SIGCONT)
    assert ended(child).exitcode == 0


def frozen_and_lost(till: Till, freeze: Freeze, destination: str = "ba_ada") -> tuple[UUID, Child]:
    payout_id = till.opened(10, destination)
    assert till.dispatched() == [payout_id]
    zombie = freeze(payout_id)
    assert till.state(payout_id) == "sending"
    till.later(40)
    till.work()
    assert till.state(payout_id) == "in_doubt"
    return payout_id, zombie


def check(till: Till, payout_id: UUID) -> None:
    till.settle()
    till.finish(payout_id)
    assert (till.state(payout_id), till.left(payout_id)) == ("paid", (1, 0))
    assert ([one.attempt_no for one in till.attempts(payout_id)], till.findings()) == ([1], [])


@pytest.mark.parametrize("paid", [True, False])
def test_it_wakes_after_another_has_sent_the_payout(till: Till, freeze: Freeze, paid: bool) -> None:
    """The look-up did not find it, so it was sent again - with the same key, which is what saves us."""
    payout_id, zombie = frozen_and_lost(till, freeze)
    till.later(30)
    assert till.look_up(payout_id) == "cooling"
    till.later(1)
    assert till.send(payout_id) == "submitted"
    if paid:
        till.settle()
    wake(zombie)
    check(till, payout_id)


def test_it_wakes_while_the_payout_waits_to_be_sent_again(till: Till, freeze: Freeze) -> None:
    payout_id, zombie = frozen_and_lost(till, freeze)
    till.later(30)
    assert till.look_up(payout_id) == "cooling"
    assert till.cashier.command("cancel", payout_id)["code"] == "attempt_lost"
    wake(zombie)
    assert till.state(payout_id) == "submitted"
    check(till, payout_id)


def test_it_wakes_while_nobody_knows(till: Till, freeze: Freeze) -> None:
    payout_id, zombie = frozen_and_lost(till, freeze)
    wake(zombie)
    assert till.state(payout_id) == "submitted"
    check(till, payout_id)


def test_it_wakes_and_is_refused_while_nobody_knows(till: Till, freeze: Freeze) -> None:
    payout_id, zombie = frozen_and_lost(till, freeze, "fault:decline_final")
    wake(zombie)
    assert (till.state(payout_id), till.left(payout_id), till.cashier.held()) == ("failed", (0, 0), 0)
