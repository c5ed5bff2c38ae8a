"""claim() and finish(): the lane's oldest first, by a small index; outcomes and counters in two statements."""

import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from models.jobs.claim import CLAIM, LANES, WAKE_DUE, claim, lanes_with_work, lock_lane, wake, wake_due
from models.jobs.outcomes import Cooling, Dead, Done, Outcome, Parked, Refused, finish, parked_for
from tests.factories import accept_jobs, job_request, job_rows, job_states
from worker.database import Transaction

HISTORY = text("""
    INSERT INTO jobs (tenant, name, origin, idempotency_key, fingerprint, args, state, due_at, accepted_at, finished_at)
    SELECT 'acme', 'wallets.credit', 'app', 'old-' || n, '', '{}', 'done', now(), now(), now()
    FROM generate_series(1, 200000) AS n
""")


def finish_all(transaction: Transaction, tenant: str, outcome: Outcome, now: datetime) -> None:
    with transaction() as session:
        finish(session, [(job, outcome) for job in claim(session, tenant, limit=100)], now=now)


def counters(transaction: Transaction) -> dict[tuple[str, str, str], int]:
    with transaction() as session:
        rows = session.execute(text("SELECT name, outcome, reason, total FROM job_outcomes"))
        return {(row.name, row.outcome, row.reason): row.total for row in rows}


def explain(session: Session, statement: TextClause, values: dict[str, object], verb: str = "EXPLAIN") -> str:
    wanted = {name: values[name] for name in statement.compile().params}
    return "\n".join(session.execute(text(f"{verb} {statement.text}"), wanted).scalars())


def test_the_oldest_are_claimed_first_and_only_this_lanes(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    accept_jobs(transaction, [job_request(key=key) for key in "cab"], now=now)
    accept_jobs(transaction, [job_request(key="g", tenant="globex")], now=now - timedelta(hours=1))
    with transaction() as session:
        assert [job.idempotency_key for job in claim(session, tenant, limit=2)] == ["c", "a"]
        lanes = [(lane.tenant, lane.due_since) for lane in lanes_with_work(session)]
    assert lanes == [("globex", now - timedelta(hours=1)), ("acme", now)]


def test_heavy_jobs_make_small_batches_and_the_heaviest_stands_alone(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    weights = [1500, 400, 200, 5000, 1]
    accept_jobs(
        transaction, [job_request("wallets.award", {"awards": [{}] * weight}) for weight in weights], now=now
    )
    sizes = []
    for _ in weights:
        with transaction() as session:
            jobs = claim(session, tenant, limit=200)
            sizes.append([len((job.args or {})["awards"]) for job in jobs])
            finish(session, [(job, Done()) for job in jobs], now=now)
    assert sizes == [[1500, 400], [200], [5000], [1], []]


def test_awards_that_are_no_list_weigh_one(transaction: Transaction, tenant: str, now: datetime) -> None:
    odd: list[object] = ["x", 7, None, [], {}]
    accept_jobs(transaction, [job_request(args={"awards": awards}) for awards in odd], now=now)
    with transaction() as session:
        assert len(claim(session, tenant, limit=5, weight_max=5)) == 5


def test_a_lane_has_one_holder_until_its_transaction_ends(transaction: Transaction, tenant: str) -> None:
    with transaction() as first, transaction() as second:
        assert lock_lane(first, tenant)
        assert not lock_lane(second, tenant)
        assert lock_lane(second, "globex")
        first.rollback()
        assert lock_lane(second, tenant)


def test_a_long_history_is_not_read_to_find_what_is_queued(
    transaction: Transaction, owner_transaction: Transaction, tenant: str, now: datetime
) -> None:
    with owner_transaction() as session:
        session.execute(HISTORY)
    accept_jobs(transaction, [job_request() for _ in range(50)], now=now)
    with owner_transaction() as session:
        session.execute(text("ANALYZE jobs"))
        for statement in (CLAIM, LANES):
            plan = explain(session, statement, {"tenant": tenant, "limit": 200, "weight": 2000})
            assert "jobs_queued_idx" in plan, plan
            assert "Seq Scan on jobs" not in plan, plan
        waiting = explain(session, WAKE_DUE, {"now": now, "limit": 200})
        assert "jobs_waiting_idx" in waiting, waiting
        assert len(claim(session, tenant, limit=200)) == 50


def test_a_flood_is_not_read_through_by_a_plan_of_quiet_times(
    owner_transaction: Transaction, tenant: str, now: datetime
) -> None:
    with owner_transaction() as session:
        session.execute(HISTORY)
        session.execute(text("ANALYZE jobs"))
    accept_jobs(owner_transaction, [job_request() for _ in range(2000)], now=now)
    values = {"tenant": tenant, "limit": 20, "weight": 2000}
    with owner_transaction() as session:
        plan = explain(session, CLAIM, values, "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF)")
    rows = [float(rows) * int(loops) for rows, loops in re.findall(r"actual rows=([\d.]+) loops=(\d+)", plan)]
    assert max(rows) == 20, plan
    assert "Removed" not in plan, plan


@pytest.mark.parametrize(
    ("outcome", "state", "result", "error"),
    [
        (Done({"transaction_id": 7}), "done", {"transaction_id": 7}, None),
        (Done(), "done", {}, None),
        (
            Refused("insufficient_funds", {"available_minor": 3}),
            "refused",
            {"code": "insufficient_funds", "available_minor": 3},
            None,
        ),
        (
            Dead("failed", {"cause": "it broke"}),
            "dead",
            {"code": "failed", "cause": "it broke"},
            "failed: it broke",
        ),
        (
            Dead("invalid_arguments", {"errors": [{"pointer": "/owner", "message": "required"}]}),
            "dead",
            {"code": "invalid_arguments", "errors": [{"pointer": "/owner", "message": "required"}]},
            "invalid_arguments: /owner required",
        ),
    ],
)
def test_a_final_outcome_is_written_with_its_time(
    transaction: Transaction,
    tenant: str,
    now: datetime,
    outcome: Outcome,
    state: str,
    result: dict[str, object],
    error: str | None,
) -> None:
    accept_jobs(transaction, [job_request()], now=now)
    finish_all(transaction, tenant, outcome, now)
    [row] = job_rows(transaction)
    assert (row["state"], row["result"], row["last_error"]) == (state, result, error)
    assert (row["attempts"], row["finished_at"], row["wait_keys"]) == (1, now, None)


def test_a_parked_job_waits_longer_each_time_and_is_woken_by_schedule(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    accept_jobs(transaction, [job_request()], now=now)
    for minutes in (1, 5, 30, 120, 720, 1440, 1440):
        finish_all(transaction, tenant, Parked("unknown_reference", ("deposit:x",)), now)
        [row] = job_rows(transaction)
        assert (row["state"], row["due_at"] - now) == ("parked", timedelta(minutes=minutes))
        assert (row["last_error"], row["finished_at"]) == ("unknown_reference", None)
        with transaction() as session:
            assert wake_due(session, now=now + timedelta(minutes=minutes, seconds=-1), limit=10) == 0
            assert wake_due(session, now=now + timedelta(minutes=minutes), limit=10) == 1
        now += timedelta(minutes=minutes)
    [row] = job_rows(transaction)
    assert (row["state"], row["wait_keys"], row["attempts"]) == ("queued", None, 7)


def test_a_parked_job_is_woken_by_any_of_its_keys_in_its_own_lane_only(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    accept_jobs(transaction, [job_request(key="one")], now=now)
    finish_all(transaction, tenant, Parked("waits", ("a", "b", 'it\'s, {"odd"}')), now)
    with transaction() as session:
        assert wake(session, tenant, [], now=now) == 0
        assert wake(session, tenant, ["c"], now=now) == 0
        assert wake(session, "globex", ["a"], now=now) == 0
        assert wake(session, tenant, ["c", 'it\'s, {"odd"}'], now=now) == 1
    assert job_states(transaction) == {"one": "queued"}


def test_a_cooling_job_is_due_when_it_says(transaction: Transaction, tenant: str, now: datetime) -> None:
    accept_jobs(transaction, [job_request()], now=now)
    finish_all(transaction, tenant, Cooling("ZeroDivisionError", now + timedelta(seconds=20)), now)
    with transaction() as session:
        assert wake_due(session, now=now + timedelta(seconds=19), limit=10) == 0
        assert lanes_with_work(session) == []
        assert wake_due(session, now=now + timedelta(seconds=20), limit=10) == 1
        assert [lane.due_since for lane in lanes_with_work(session)] == [now + timedelta(seconds=20)]


def test_counters_count_each_outcome_and_each_job_once_as_accepted(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    accept_jobs(transaction, [job_request() for _ in range(3)], now=now)
    finish_all(transaction, tenant, Parked("waits", ("a",)), now)
    with transaction() as session:
        wake(session, tenant, ["a"], now=now)
    finish_all(transaction, tenant, Done(reason="stale"), now)
    accept_jobs(transaction, [job_request(name="whatever.i.like")], now=now)
    finish_all(transaction, tenant, Dead("unknown_job"), now)
    assert counters(transaction) == {
        ("wallets.credit", "accepted", ""): 3,
        ("wallets.credit", "parked", "waits"): 3,
        ("wallets.credit", "done", "stale"): 3,
        ("unknown", "accepted", ""): 1,
        ("unknown", "dead", "unknown_job"): 1,
    }


def test_the_ladder_never_ends() -> None:
    assert parked_for(10_000) == timedelta(days=1)
