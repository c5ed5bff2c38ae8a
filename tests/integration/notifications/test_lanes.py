"""Lanes: one tenant's slow receiver does not hold back the others, and a lost message costs seconds."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.tenants import sync_notified, sync_tenants
from tasks.notifications.service import LANES_MAX
from tests.integration.notifications.conftest import Office
from tests.integration.notifications.receiver import SECRET, Receiver, Reply, receiving
from worker.notifying import Endpoint


@pytest.fixture
def tenants(office: Office, receiver: Receiver) -> list[str]:
    """Twelve tenants that are told, all at the one receiver."""
    names = [f"shop-{n:02}" for n in range(12)]
    with office.transaction() as session:
        sync_tenants(session, dict.fromkeys(names, "UTC"))
        sync_notified(session, names)
    office.endpoints = {name: Endpoint(f"{receiver.url}/{name}", (SECRET,)) for name in names}
    return names


def test_lanes_take_turns_and_no_more_than_so_many_at_a_time(office: Office, tenants: list[str]) -> None:
    for tenant in tenants:
        office.announce(("payout:1", 1), tenant=tenant)
    first = office.dispatch()
    assert sorted(first) == tenants[:LANES_MAX]
    assert office.dispatch() == []
    office.deliver(first[0])
    assert office.dispatch() == [tenants[LANES_MAX]]


def test_a_lane_whose_message_was_lost_is_served_again(office: Office, tenants: list[str]) -> None:
    office.announce(("payout:1", 1), tenant=tenants[0])
    assert office.dispatch() == [tenants[0]]
    office.now += timedelta(seconds=44)
    assert office.dispatch() == []
    office.now += timedelta(seconds=1)
    assert office.dispatch() == [tenants[0]]


def test_who_has_waited_longest_is_served_first(
    office: Office, tenants: list[str], receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    dead, healthy = tenants[:-1], tenants[-1]
    for tenant in tenants:
        office.announce(*((f"payout:{n}", 1) for n in range(5)), tenant=tenant)
    served = [office.after(60) for _ in range(2)]
    assert healthy in served[0] + served[1]
    assert set(served[0] + served[1]) == {*dead, healthy}


def test_a_slow_receiver_holds_back_nobody_else(office: Office, receiver: Receiver) -> None:
    held = threading.Event()
    receiver.answer = lambda _: Reply(hold=held)
    with office.transaction() as session:
        sync_notified(session, ["acme", "globex"])
    with receiving() as quick, ThreadPoolExecutor() as pool:
        office.endpoints["globex"] = Endpoint(quick.url, (SECRET,))
        office.announce(*((f"payout:{n}", 1) for n in range(100)))
        office.announce(("payout:1", 1), tenant="globex")
        assert office.dispatch() == ["acme", "globex"]
        slow = pool.submit(office.deliver, "acme")
        office.deliver("globex")
        assert quick.subjects() == [("payout:1", 1)]
        assert not slow.done()
        held.set()
        slow.result(120)
    assert receiver.at_once_max <= 16


def test_two_dispatchers_at_once_take_each_lane_once(office: Office, tenants: list[str]) -> None:
    for tenant in tenants:
        office.announce(("payout:1", 1), tenant=tenant)
    together = threading.Barrier(4)

    def dispatch() -> list[str]:
        together.wait(60)
        return office.dispatch()

    with ThreadPoolExecutor(4) as pool:
        taken = [tenant for one in [pool.submit(dispatch) for _ in range(4)] for tenant in one.result(120)]
    assert sorted(taken) == tenants[:LANES_MAX]


def test_a_large_backlog_behind_a_dead_receiver_is_not_read_again_and_again(
    office: Office, receiver: Receiver
) -> None:
    """What waits for an earlier version is due when that one is."""
    receiver.answer = lambda _: Reply(500)
    office.announce(*(("payout:1", version) for version in range(1, 301)))
    office.after(0)
    office.after(5.5)
    with office.transaction() as session:
        due = text("SELECT count(*) FROM notifications WHERE state = 'pending' AND next_try_at <= :now")
        assert session.execute(due, {"now": office.now}).scalar_one() <= 1
    assert office.after(10) == []
    receiver.answer = lambda _: Reply()
    office.after(400)
    for _ in range(20):
        office.after(1)
    assert receiver.subjects()[-300:] == [("payout:1", version) for version in range(1, 301)]


def test_nothing_is_written_while_nothing_is_due(office: Office, tenants: list[str]) -> None:
    office.dispatch()
    with office.transaction() as session:
        seen = session.execute(text("SELECT xmin::text FROM notification_lanes ORDER BY tenant")).all()
    office.after(1)
    with office.transaction() as session:
        again = session.execute(text("SELECT xmin::text FROM notification_lanes ORDER BY tenant")).all()
    assert seen == again
    assert len(seen) == len(tenants)
