"""Redrive: what was set aside gets another go, once, in order, and somebody signs for it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from models.jobs.reads import show_job
from models.jobs.repair import (
    REDRIVABLE,
    Picked,
    Selection,
    count_fitting,
    pick,
    redrive,
)
from ops.repair import carry_out, choose
from tests.factories import credit_args
from tests.integration.families.desk import Desk
from tests.integration.repair.lane import ORDER, breaking, bury, die, play, states, trouble


def picked(desk: Desk, rows: int = 1000, states: Sequence[str] = ("dead",), **wanted: Any) -> list[Picked]:
    with desk.transaction() as session:
        found = pick(session, Selection(states, **wanted), rows=rows)
        assert rows < 1000 or count_fitting(session, Selection(states, **wanted)) == len(found)
    return found


def redriven(desk: Desk, jobs: Sequence[Picked], states: Sequence[str] = REDRIVABLE) -> list[UUID]:
    with desk.transaction() as session:
        return redrive(session, desk.tenant, jobs, states, ORDER, now=desk.now)


def audited(desk: Desk) -> list[dict[str, Any]]:
    return desk.rows("SELECT * FROM audit_events WHERE subject = 'jobs' ORDER BY id")


def test_a_dead_job_starts_again_as_if_new_but_keeps_its_cause_until_it_has_another(desk: Desk) -> None:
    [job] = desk.hand_in("wallets.credit", credit_args("bob"))
    die(desk, breaking("wallets.credit", "bob"))
    desk.now += timedelta(hours=1)
    [dead] = picked(desk)
    assert (dead.id, dead.state) == (job, "dead")
    assert dead.cause.startswith("failed: ZeroDivisionError at tests/integration/repair/lane.py")
    assert redriven(desk, [dead]) == [job]
    [row] = desk.rows("SELECT * FROM jobs")
    assert (row["state"], row["attempts"], row["due_at"], row["finished_at"]) == ("queued", 0, desk.now, None)
    assert (row["last_error"], row["result"], row["wait_keys"]) == (dead.cause, None, None)
    play(desk)
    [row] = desk.rows("SELECT * FROM jobs")
    assert (row["state"], row["attempts"], row["last_error"]) == ("done", 1, None)
    assert desk.wallet("bob") == 100


def test_a_job_that_is_redriven_was_accepted_once_and_fails_as_often_as_a_new_one(desk: Desk) -> None:
    desk.hand_in("wallets.credit", credit_args("bob"))
    broken = breaking("wallets.credit", "bob")
    for _ in range(2):
        die(desk, broken)
        [row] = desk.rows("SELECT state, attempts FROM jobs")
        assert (row["state"], row["attempts"]) == ("dead", 5)
        redriven(desk, picked(desk))
    play(desk)
    counted = desk.counted("wallets.credit")
    assert counted == {("accepted", ""): 1, ("cooling", ""): 8, ("dead", "failed"): 2, ("done", ""): 1}


def test_the_same_redrive_twice_is_a_no_op(desk: Desk) -> None:
    trouble(desk)
    jobs = picked(desk)
    assert len(redriven(desk, jobs)) == len(jobs) > 3
    assert (picked(desk), redriven(desk, jobs), len(audited(desk))) == ([], [], 1)
    play(desk)
    before = desk.rows("SELECT count(*) FROM ledger_entries")
    redriven(desk, picked(desk))
    play(desk)
    assert desk.rows("SELECT count(*) FROM ledger_entries") == before


def test_effects_happen_once_however_often_a_finished_job_is_redriven(desk: Desk) -> None:
    desk.hand_in("wallets.credit", *(credit_args("ada") for _ in range(3)))
    desk.drain()
    for _ in range(3):
        bury(desk)
        redriven(desk, picked(desk))
        play(desk)
    assert desk.wallet() == 300


def test_redriven_jobs_keep_their_order_of_acceptance(desk: Desk) -> None:
    jobs = desk.hand_in("wallets.credit", *(credit_args() for _ in range(5)))
    bury(desk)
    [later] = desk.hand_in("wallets.credit", credit_args())
    redriven(desk, list(reversed(picked(desk))))
    play(desk)
    rows = desk.rows("SELECT job_id FROM ledger_transactions ORDER BY id")
    assert [row["job_id"] for row in rows] == [*jobs, later]


def test_one_audit_event_tells_who_why_what_and_how_many(desk: Desk) -> None:
    jobs = trouble(desk)
    done = redriven(desk, picked(desk, name="wallets.credit"))
    [audit] = audited(desk)
    assert (audit["actor"], audit["reason"], audit["action"]) == ("ops", "mended", "jobs.redriven")
    detail = audit["detail"]
    assert (detail["run"], detail["filter"], detail["jobs"]) == (str(ORDER.run), {"state": ["dead"]}, 3)
    assert sorted(detail["ids"]) == sorted(map(str, done))
    assert str(jobs["malformed"]) in detail["ids"]
    assert detail["causes"]["wallets.credit: invalid_arguments"] == 1


def test_a_job_shows_who_redrove_it(desk: Desk) -> None:
    first, second = desk.hand_in("wallets.nothing", {}, {})
    play(desk)
    redriven(desk, picked(desk, ids=[first]))
    with desk.transaction() as session:
        [event] = show_job(session, first)["audit"]
        assert show_job(session, second)["audit"] == []
    assert (event["actor"], event["action"], event["reason"]) == ("ops", "jobs.redriven", "mended")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {"malformed", "unknown", "credit", "still broken", "debit", "poor"}),
        ({"name": "wallets.debit"}, {"debit", "poor"}),
        ({"code": "invalid_arguments"}, {"malformed"}),
        ({"code": "failed"}, {"credit", "still broken", "debit", "poor"}),
        ({"code": "failed: ZeroDivisionError at tests"}, {"credit", "still broken", "debit", "poor"}),
        ({"code": "failed: KeyError"}, set()),
        ({"states": ("parked",)}, {"refund", "capture", "lost"}),
        ({"states": ("parked",), "code": "unknown_reference"}, {"refund", "capture", "lost"}),
        ({"states": ("parked", "dead"), "code": "unknown_"}, {"refund", "capture", "lost", "unknown"}),
        ({"tenant": "globex"}, set()),
        ({"states": ("cooling",)}, set()),
    ],
)
def test_filters(desk: Desk, wanted: dict[str, Any], expected: set[str]) -> None:
    jobs = {job: name for name, job in trouble(desk).items()}
    assert {jobs[one.id] for one in picked(desk, **wanted)} == expected


def test_by_age_by_id_and_the_oldest_first_up_to_a_limit(desk: Desk) -> None:
    old = desk.hand_in("wallets.nothing", {}, {})
    desk.now += timedelta(hours=1)
    new = desk.hand_in("wallets.nothing", {}, {})
    play(desk)
    moment = desk.now - timedelta(minutes=1)
    assert [job.id for job in picked(desk, accepted_before=moment)] == old
    assert [job.id for job in picked(desk, accepted_after=moment)] == new
    assert [job.id for job in picked(desk, ids=[new[1], old[0]])] == [old[0], new[1]]
    assert [job.id for job in picked(desk, rows=3)] == [*old, new[0]]


def test_several_tenants_each_have_their_own_audit_and_batches_are_bounded(
    desk: Desk, other_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.repair.BATCH_ROWS", 4)
    for one in (desk, other_desk):
        one.hand_in("wallets.nothing", *({} for _ in range(6)))
        play(one)
    choice = choose(desk.transaction, Selection(("dead",)), rows=10)
    assert (len(choice.jobs), choice.fitting) == (10, 12)
    changed = carry_out(desk.transaction, redrive, choice, ORDER, now=desk.now)
    assert changed == {job.id for job in choice.jobs}
    found = [(row["tenant"], row["detail"]["jobs"], row["detail"]["run"]) for row in audited(desk)]
    run = str(ORDER.run)
    assert found == [("acme", 4, run), ("acme", 2, run), ("globex", 4, run)]


def test_a_parked_job_goes_at_once_and_parks_again_on_the_first_step_of_its_ladder(desk: Desk) -> None:
    jobs = trouble(desk)
    desk.rows("UPDATE jobs SET attempts = 6 WHERE state = 'parked' RETURNING id")
    desk.now += timedelta(minutes=10)
    assert set(redriven(desk, picked(desk, states=("parked",)))) == {
        jobs["refund"],
        jobs["capture"],
        jobs["lost"],
    }
    play(desk)
    rows = desk.rows("SELECT state, attempts, due_at FROM jobs WHERE name = 'webhooks.event'")
    assert {tuple(row.values()) for row in rows} == {("parked", 1, desk.now + timedelta(minutes=1))}


@pytest.mark.parametrize("state", ["refused", "done", "cancelled", "queued"])
def test_what_is_final_or_about_to_run_is_never_redriven(desk: Desk, state: str) -> None:
    with pytest.raises(ValueError, match="were expected"):
        picked(desk, states=(state, "dead")) if state != "queued" else picked(desk, states=("done",))
    [job] = desk.hand_in("wallets.credit", credit_args())
    finished = None if state == "queued" else desk.now
    desk.rows(
        "UPDATE jobs SET state = :state, finished_at = :at WHERE id = :id RETURNING id",
        state=state,
        at=finished,
        id=job,
    )
    one = Picked(job, 1, desk.tenant, "wallets.credit", state, "")
    assert redriven(desk, [one], [state, *REDRIVABLE]) == []
    assert states(desk)[job] == state
    desk.rows("UPDATE jobs SET state = 'queued', finished_at = NULL RETURNING id")
