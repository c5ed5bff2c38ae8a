"""What a rehearsal says is what then happens, and the rehearsal itself leaves nothing behind."""

from collections.abc import Collection, Mapping
from threading import Event, Thread
from uuid import UUID

import pytest
from sqlalchemy import text

from models.errors import LaneBusy
from models.jobs.claim import lock_lane, wait_for_lane
from models.jobs.repair import REDRIVABLE, Selection, pick, redrive
from tasks.intake.port import Routing
from tasks.intake.rehearsal import BY_STATE, Prediction, rehearse
from tasks.intake.routing import ROUTING
from tasks.intake.service import BATCH_ROWS_MAX
from tests.factories import credit_args
from tests.integration.families.desk import Desk
from tests.integration.repair.lane import ORDER, breaking, bury, play, states, trouble

EVERYTHING = """
    SELECT md5(string_agg(line, ' ' ORDER BY line)) AS sum FROM (
        SELECT jobs::text AS line FROM jobs UNION ALL SELECT accounts::text FROM accounts
        UNION ALL SELECT ledger_entries::text FROM ledger_entries UNION ALL SELECT deposits::text FROM deposits
        UNION ALL SELECT ledger_transactions::text FROM ledger_transactions
        UNION ALL SELECT job_outcomes::text FROM job_outcomes UNION ALL SELECT audit_events::text FROM audit_events
    ) AS lines
"""


def rehearsed(desk: Desk, ids: Collection[UUID], routing: Routing = ROUTING) -> dict[UUID, Prediction]:
    with desk.transaction() as session:
        return rehearse(session, desk.tenant, ids, REDRIVABLE, routing=routing, now=desk.now)


def redriven(desk: Desk, ids: Collection[UUID], routing: Routing = ROUTING) -> dict[UUID, str]:
    """Redrive for real and drain; job -> state. What is woken meanwhile is drained too, as it would be."""
    with desk.transaction() as session:
        jobs = pick(session, Selection(REDRIVABLE, ids=list(ids)), rows=1000)
        assert len(redrive(session, desk.tenant, jobs, REDRIVABLE, ORDER, now=desk.now)) == len(ids)
    play(desk, routing)
    return states(desk)


def moved(desk: Desk) -> set[UUID]:
    return {row["job_id"] for row in desk.rows("SELECT job_id FROM ledger_transactions")}


def agree(desk: Desk, said: Mapping[UUID, Prediction], before: set[UUID], found: Mapping[UUID, str]) -> None:
    fresh = moved(desk) - before
    for job, prediction in said.items():
        if found[job] == "done":
            assert prediction == "moves_money" if job in fresh else prediction in {"no_op", "takes_effect"}
        else:
            assert prediction == BY_STATE[found[job]]


def test_it_says_what_a_redrive_then_does_and_leaves_nothing(desk: Desk) -> None:
    jobs = trouble(desk)
    assert states(desk)[jobs["poor"]] == "dead"
    [announced] = desk.hand_in("deposits.expect", {
        "provider": "sandbox", "reference": "ref-1", "owner": "ada", "amount_minor": 100, "currency": "EUR",
    })  # fmt: skip
    before, sum_before = moved(desk), desk.rows(EVERYTHING)
    mended = breaking("wallets.credit", "eve")
    said = rehearsed(desk, jobs.values(), mended)
    assert {name: said[job] for name, job in jobs.items()} == {
        "malformed": "dies",
        "unknown": "dies",
        "refund": "moves_money",
        "capture": "moves_money",
        "lost": "parks",
        "credit": "moves_money",
        "still broken": "fails",
        "debit": "moves_money",
        "poor": "refused",
    }
    assert desk.rows(EVERYTHING) == sum_before
    found = redriven(desk, jobs.values(), mended)
    agree(desk, said, before, found)
    assert found[announced] == "done"
    assert (desk.wallet("ada"), desk.wallet("bob"), desk.wallet("eve")) == (70, 30, 0)


def test_what_has_had_its_effect_would_be_a_no_op(desk: Desk) -> None:
    desk.expect("ref-1")
    [credit] = desk.hand_in("wallets.credit", credit_args())
    [expect] = desk.hand_in("deposits.expect", {
        "provider": "sandbox", "reference": "ref-1", "owner": "ada", "amount_minor": 100, "currency": "EUR",
    })  # fmt: skip
    [configure] = desk.hand_in("wallets.configure", {"owner": "ada", "kyc_status": "verified"})
    desk.drain()
    bury(desk)
    said = rehearsed(desk, [credit, expect, configure])
    assert said == {credit: "no_op", expect: "no_op", configure: "takes_effect"}
    before = moved(desk)
    agree(desk, said, before, redriven(desk, [credit, expect, configure]))
    assert desk.wallet() == 100
    desk.rows("UPDATE jobs SET state = 'done', finished_at = accepted_at WHERE state = 'dead' RETURNING id")


def test_a_poison_hides_none_of_its_neighbours(desk: Desk) -> None:
    people = [f"p{n}" for n in range(BATCH_ROWS_MAX + 30)]
    jobs = desk.hand_in("wallets.credit", *(credit_args(one) for one in people))
    bury(desk)
    said = rehearsed(desk, jobs, breaking("wallets.credit", "p0", "p77", "p229"))
    assert {people[jobs.index(job)] for job, end in said.items() if end == "fails"} == {"p0", "p77", "p229"}
    assert sum(end == "moves_money" for end in said.values()) == len(people) - 3


def test_what_lies_behind_too_much_work_is_not_reached(desk: Desk) -> None:
    [dead] = desk.hand_in("wallets.nothing", {})
    play(desk)
    with desk.transaction() as session:
        said = rehearse(
            session, desk.tenant, [dead], REDRIVABLE, routing=ROUTING, now=desk.now, seconds_max=0
        )
    assert said == {dead: "not_reached"}


def test_no_drain_works_in_the_lane_meanwhile_and_one_that_does_is_waited_for(desk: Desk) -> None:
    [dead] = desk.hand_in("wallets.nothing", {})
    play(desk)
    held, done = Event(), Event()

    def drainer() -> None:
        with desk.transaction() as session:
            assert lock_lane(session, desk.tenant)
            held.set()
            done.wait(60)

    thread = Thread(target=drainer)
    thread.start()
    assert held.wait(60)
    with pytest.raises(LaneBusy), desk.transaction() as session:
        wait_for_lane(session, desk.tenant, seconds=0.1)
    said: list[dict[UUID, Prediction]] = []
    rehearsal = Thread(target=lambda: said.append(rehearsed(desk, [dead])))
    rehearsal.start()
    done.set()
    rehearsal.join(120)
    thread.join(120)
    assert said == [{dead: "dies"}]


def test_a_job_that_is_finished_by_then_is_left_out(desk: Desk) -> None:
    [done] = desk.hand_in("wallets.credit", credit_args())
    desk.drain()
    assert rehearsed(desk, [done]) == {}
    with desk.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM ledger_transactions")).scalar_one() == 1
