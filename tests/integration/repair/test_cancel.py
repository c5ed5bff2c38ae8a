"""Cancel: what has not happened yet never will; what has happened is left alone; nothing in between."""

from collections import Counter
from threading import Barrier, Event, Thread

import pytest

from models.jobs.claim import claim, lock_lane, wake_due
from models.jobs.outcomes import Done, finish
from models.jobs.repair import CANCELLABLE, Selection, cancel, pick
from ops.repair import carry_out, choose
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.factories import credit_args
from tests.integration.families.desk import Desk
from tests.integration.repair.lane import ORDER, breaking, play, states
from tests.unit.families.events import CAPTURED


def test_queued_parked_and_cooling_jobs_are_cancelled_and_never_run(desk: Desk) -> None:
    desk.tell(CAPTURED)
    desk.hand_in("wallets.credit", credit_args("bob"))
    play(desk, breaking("wallets.credit", "bob"))
    desk.hand_in("wallets.credit", credit_args("ada"))
    assert set(states(desk).values()) == {"parked", "cooling", "queued"}
    choice = choose(desk.transaction, Selection(CANCELLABLE, tenant=desk.tenant), rows=10)
    assert len(carry_out(desk.transaction, cancel, choice, ORDER, now=desk.now)) == 3
    rows = desk.rows("SELECT state, finished_at, wait_keys FROM jobs")
    assert {tuple(row.values()) for row in rows} == {("cancelled", desk.now, None)}
    desk.expect("ref-1")
    with desk.transaction() as session:
        assert wake_due(session, now=desk.now.replace(year=2030), limit=10) == 0
    play(desk)
    assert desk.rows("SELECT * FROM ledger_entries") == []
    [audit] = desk.rows("SELECT * FROM audit_events WHERE action = 'jobs.cancelled'")
    assert (audit["actor"], audit["detail"]["jobs"]) == ("ops", 3)


@pytest.mark.parametrize("state", ["done", "refused", "dead", "cancelled"])
def test_a_finished_job_stays_as_it_is_and_is_named(desk: Desk, state: str) -> None:
    [job] = desk.hand_in("wallets.nothing", {})
    desk.rows("UPDATE jobs SET state = :state, finished_at = accepted_at RETURNING id", state=state)
    choice = choose(desk.transaction, Selection(CANCELLABLE, ids=[job]), rows=10)
    assert (choice.jobs, choice.unfit) == ([], {job: state})
    assert carry_out(desk.transaction, cancel, choice, ORDER, now=desk.now) == set()
    assert desk.rows("SELECT * FROM audit_events") == []


def test_a_cancel_waits_for_the_drain_that_has_the_job_and_then_finds_it_finished(desk: Desk) -> None:
    [job] = desk.hand_in("wallets.configure", {"owner": "ada"})
    with desk.transaction() as session:
        jobs = pick(session, Selection(CANCELLABLE, ids=[job]), rows=1)
    cancelled: list[list[object]] = []
    began = Event()

    def operator() -> None:
        with desk.transaction() as session:
            began.set()
            cancelled.append([*cancel(session, desk.tenant, jobs, CANCELLABLE, ORDER, now=desk.now)])

    thread = Thread(target=operator)
    with desk.transaction() as session:
        assert lock_lane(session, desk.tenant)
        claimed = claim(session, desk.tenant, limit=1)
        thread.start()
        assert began.wait(60)
        thread.join(0.3)
        assert thread.is_alive()
        finish(session, [(claimed[0], Done({}))], now=desk.now)
    thread.join(120)
    assert cancelled == [[]]
    assert states(desk) == {job: "done"}


def test_when_cancel_and_drains_race_each_job_has_either_its_effect_or_its_cancellation(desk: Desk) -> None:
    jobs = desk.hand_in("wallets.credit", *(credit_args("ada", 1) for _ in range(900)))
    together = Barrier(3)
    cancelled: set[object] = set()

    def drainer() -> None:
        together.wait(60)
        for _ in range(20):
            drain(desk.transaction, desk.tenant, routing=ROUTING, clock=lambda: desk.now, batches_max=1)

    def operator() -> None:
        together.wait(60)
        for start in range(len(jobs) - 40, -1, -40):
            choice = choose(desk.transaction, Selection(CANCELLABLE, ids=jobs[start : start + 20]), rows=100)
            cancelled.update(carry_out(desk.transaction, cancel, choice, ORDER, now=desk.now))

    threads = [Thread(target=drainer), Thread(target=drainer), Thread(target=operator)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    play(desk)
    found = states(desk)
    assert {job for job, state in found.items() if state == "cancelled"} == cancelled
    assert Counter(found.values())["done"] == desk.wallet() == len(jobs) - len(cancelled)
