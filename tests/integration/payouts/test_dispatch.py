"""Places: as many as an account may have, the accounts in turns, the longest due first. Counts, not times."""

import threading
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, text

from models.tenants import set_paused
from tasks.payouts.attempts import attempt, claim
from tasks.payouts.dispatch import dispatch, give_places, in_turns, sweep_expired, tick
from tests.integration.payouts.attempting import *  # noqa: F403 - the fixtures
from tests.integration.payouts.attempting import Till
from tests.integration.payouts.cashier import Cashier


def open_many(till: Till, count: int) -> list[UUID]:
    outcomes = till.cashier.request(*([10] * count))
    return [UUID(one["payout_id"]) for one in outcomes]


def test_no_more_than_max_in_flight_have_a_place(till: Till) -> None:
    till.account(max_in_flight=5)
    ids = open_many(till, 12)
    assert till.dispatched() == sorted(ids)[:5]
    assert till.dispatched() == []
    attempt(till.hands, min(ids))
    assert till.dispatched() == [sorted(ids)[5]]
    for payout_id in sorted(ids)[1:6]:
        assert claim(till.hands, payout_id)
    assert till.dispatched() == [], "who is being sent has a place too"


def test_a_lost_message_is_sent_again_when_its_place_ends(till: Till) -> None:
    till.account(max_in_flight=2)
    ids = sorted(open_many(till, 3))
    assert till.dispatched() == ids[:2]
    till.later(14.999)
    assert till.dispatched() == []
    till.later(0.001)
    assert till.dispatched() == ids[:2]


@pytest.mark.parametrize(("per_second", "at_once"), [(3.0, 3), (0.5, 1), (1.0, 1), (100.0, 16)])
def test_no_more_than_so_many_a_second(till: Till, per_second: float, at_once: int) -> None:
    till.account(per_second=per_second)
    open_many(till, 60)
    sent = 0
    for second in range(8):
        given = till.dispatched()
        sent += len(given)
        assert sent <= max(per_second, 1) + per_second * second
        if second == 0:
            assert len(given) == at_once
        for payout_id in given:
            attempt(till.hands, payout_id)
        till.later(1)
    assert sent >= min(60, int(per_second * 7))


def test_the_bucket_keeps_no_more_than_a_second(till: Till) -> None:
    till.account(per_second=2.0)
    open_many(till, 10)
    assert len(till.dispatched()) == 2
    till.later(3600)
    assert len(till.dispatched()) == 2


def test_a_flood_of_one_tenant_delays_no_other(till: Till) -> None:
    other = Cashier(till.cashier.transaction, "globex", till.cashier.now)
    other.fund("ada", 100)
    flood = open_many(till, 100)
    till.later(1)
    other.now = till.cashier.now
    late = [UUID(one["payout_id"]) for one in other.request(10, 10)]
    given = till.dispatched()
    assert Counter(one in flood for one in given) == {True: 16, False: 2}
    assert {given.index(one) // 2 for one in late} == {0, 1}, "in the first two turns"


def test_the_longest_due_goes_first(till: Till) -> None:
    till.account(max_in_flight=1)
    first = till.opened()
    till.later(1)
    second = till.opened()
    till.later(1)
    with till.cashier.transaction() as session:
        session.execute(
            text("UPDATE payouts SET next_attempt_at = :now WHERE id = :id"),
            {"now": till.cashier.now, "id": first},
        )
    assert till.dispatched() == [second]


def test_two_dispatchers_give_no_place_twice(till: Till) -> None:
    till.account(max_in_flight=7)
    open_many(till, 30)
    given: list[UUID] = []
    together = threading.Barrier(6)

    def work() -> None:
        together.wait()
        given.extend(give_places(till.cashier.transaction, ("acme", "sandbox"), now=till.cashier.now))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == len(set(given)) == 7


@pytest.mark.parametrize("why", ["disabled", "paused", "tenant paused", "breaker open"])
def test_nothing_goes_where_nothing_may_go(till: Till, why: str) -> None:
    """Neither a place, nor with a place from before; and nothing is spent."""
    before, waiting = till.opened(), till.opened()
    till.account(max_in_flight=1)
    given = till.dispatched()
    assert given == [min(before, waiting)]
    now = till.cashier.now
    match why:
        case "disabled":
            till.account(enabled=False)
        case "paused":
            till.account(paused_at=now, paused_by="ops:dana")
        case "tenant paused":
            with till.cashier.transaction() as session:
                set_paused(session, "acme", now)
        case _:
            till.account(breaker="open", probe_at=now + timedelta(seconds=30))
    attempt(till.hands, given[0])
    assert (till.state(given[0]), till.attempts(given[0])) == ("approved", [])
    assert till.payout(given[0])["dispatched_until"] is None
    till.later(16)
    assert till.dispatched() == []
    assert till.left(before) == till.left(waiting) == (0, 0)


def test_nobody_reads_the_whole_queue_for_a_place(till: Till, database_url: str) -> None:
    """However many wait: the plans have an index for each question."""
    from models.payouts.attempts import ACCOUNTS_WITH_WORK, BY_INDEX, EXPIRED, LOST, TAKE_DUE, UNDER_WAY

    values = {"tenant": "acme", "provider": "sandbox", "now": till.cashier.now, "limit": 5,
              "dispatched_until": till.cashier.now}  # fmt: skip
    with till.cashier.transaction() as session:
        session.execute(BY_INDEX)
        for query in (ACCOUNTS_WITH_WORK, UNDER_WAY, TAKE_DUE, LOST, EXPIRED):
            plan = session.execute(text(f"EXPLAIN {query.text}"), values).scalars().all()
            assert not [line for line in plan if "Seq Scan on payouts" in line], "\n".join(plan)


def test_a_broker_that_takes_nothing_costs_one_place_each(till: Till) -> None:
    def refuse(_task: str, _payout_id: UUID) -> None:
        raise ConnectionRefusedError("no broker")

    payout_id = till.opened()
    assert dispatch(till.with_hands(publish=refuse)) == []
    assert till.dispatched() == []
    till.later(15)
    assert till.dispatched() == [payout_id]


def test_an_approval_that_nobody_gave_expires(till: Till) -> None:
    till.cashier.policy(approval_threshold_minor=0, approval_expires_seconds=600)
    before = till.cashier.wallet()
    payout_id = till.opened()
    till.later(599)
    assert sweep_expired(till.hands) == 0
    till.later(1)
    assert sweep_expired(till.hands) == 1
    assert sweep_expired(till.hands) == 0
    row = till.payout(payout_id)
    assert (row["state"], row["failure_code"]) == ("cancelled", "approval_expired")
    assert (till.cashier.wallet(), till.cashier.held(), till.cashier.reserved()) == (before, 0, 0)
    [audited] = till.cashier.rows("SELECT actor, subject FROM audit_events WHERE action = 'payouts.expire'")
    assert audited == {"actor": "system", "subject": f"payout:{payout_id}"}


def test_one_part_of_a_tick_that_fails_keeps_none_of_the_others(till: Till) -> None:
    payout_id = till.opened()

    def break_sweep(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "claimed_until <=" in statement:
            raise RuntimeError("the sweep of lost claims")

    with till.cashier.transaction() as session:
        engine = session.get_bind().engine
    event.listen(engine, "before_cursor_execute", break_sweep)
    try:
        tick(till.hands)
    finally:
        event.remove(engine, "before_cursor_execute", break_sweep)
    assert [one for _, one in till.published] == [payout_id]


def test_in_turns() -> None:
    assert in_turns([["a1", "a2", "a3"], [], ["c1"], ["d1", "d2"]]) == ["a1", "c1", "d1", "a2", "d2", "a3"]
    assert in_turns([]) == []
