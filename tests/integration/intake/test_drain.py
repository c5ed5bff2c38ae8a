"""The drain: in order, once, all or nothing, and one bad job alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier, Thread
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import InvalidArguments, PostingRaced
from models.jobs.claim import wake, wake_due
from models.jobs.outcomes import Done, Outcome, Parked
from models.tenants import Tenant, update_policy
from tasks.intake.batch import BatchFailed, DrainReport
from tasks.intake.port import Route, Routing, Work
from tasks.intake.service import ATTEMPTS_MAX, BATCH_ROWS_MAX, drain
from tests.factories import accept_jobs, job_request, job_rows, job_states
from tests.integration.intake.handlers import Effects, effects, routing
from worker.database import Transaction

Works = Sequence[Work[Mapping[str, Any]]]
PATIENCE_SECONDS = 600
"""A turn that no slow machine can end."""


@pytest.fixture
def run(transaction: Transaction, tenant: str, now: datetime) -> Callable[..., DrainReport]:
    """Drain the lane of acme with these routes, at `now`, without sleeping."""

    def run(routes: Routing, *, at: datetime = now, lane: str = tenant, **bounds: Any) -> DrainReport:
        options: dict[str, Any] = {"seconds_max": PATIENCE_SECONDS} | bounds
        return drain(transaction, lane, routing=routes, clock=lambda: at, sleep=lambda _: None, **options)

    return run


def fails_for(*keys: str, error: Exception) -> Effects:
    def act(_session: Session, work: Works) -> None:
        if {one.job.idempotency_key for one in work} & set(keys):
            raise error

    return Effects(act)


def test_jobs_take_effect_once_in_order_of_acceptance_across_names(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    names = ["a", "a", "b", "a", "c", "c", "a"]
    accept_jobs(transaction, [job_request(name, key=f"k{n}") for n, name in enumerate(names)], now=now)
    a, b, c = Effects(), Effects(), Effects()
    report = run(routing(a=a, b=b, c=c))
    assert report == DrainReport(7, {"done": 7})
    assert effects(transaction) == [f"k{n}" for n in range(7)]
    assert (a.runs, b.runs, c.runs) == ([["k0", "k1"], ["k3"], ["k6"]], [["k2"]], [["k4", "k5"]])
    assert run(routing(a=a, b=b, c=c)) == DrainReport()


def test_two_drains_at_once_on_one_lane_do_each_job_once_in_order(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    keys = [f"k{n:04}" for n in range(1000)]
    accept_jobs(transaction, [job_request("a", key=key) for key in keys], now=now)
    together = Barrier(4)
    reports: list[DrainReport] = []

    def work() -> None:
        together.wait(60)
        reports.append(
            drain(transaction, tenant, routing=routing(a=Effects()), clock=lambda: now, seconds_max=60)
        )

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(reports) == 4
    assert effects(transaction) == keys
    assert sum(report.claimed for report in reports) == 1000


def test_a_lane_that_is_being_drained_is_left_alone_whatever_else_it_holds(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    others: list[DrainReport] = []

    def meanwhile(_session: Session, _work: Works) -> None:
        accept_jobs(transaction, [job_request("b", key="later")], now=now)
        others.append(run(routing(a=Effects(), b=Effects())))

    accept_jobs(transaction, [job_request("a", key="k1")], now=now)
    accept_jobs(transaction, [job_request("b", key="g", tenant="globex")], now=now)
    run(routing(a=Effects(meanwhile), b=Effects()))
    assert others == [DrainReport(taken=True)]
    assert effects(transaction) == ["k1", "later"]
    assert run(routing(b=Effects()), lane="globex") == DrainReport(1, {"done": 1})


def test_a_job_nudged_while_the_lane_is_found_empty_is_done_by_who_has_the_lane(
    transaction: Transaction, run: Callable[..., DrainReport], tenant: str, now: datetime
) -> None:
    """Its own nudge finds the lane taken, by a drain that has looked already."""
    others: list[DrainReport] = []
    opened = 0

    @contextmanager
    def watched() -> Iterator[Session]:
        nonlocal opened
        with transaction() as session:
            yield session
            opened += 1
            if opened == 2:  # the lane was empty, and is not let go of yet
                accept_jobs(transaction, [job_request("a", key="late")], now=now)
                others.append(run(routing(a=Effects())))

    accept_jobs(transaction, [job_request("a", key="k1")], now=now)
    report = drain(
        watched, tenant, routing=routing(a=Effects()), clock=lambda: now, seconds_max=PATIENCE_SECONDS
    )
    assert others == [DrainReport(taken=True)]
    assert effects(transaction) == ["k1", "late"]
    assert report == DrainReport(2, {"done": 2})


def test_jobs_that_an_operator_holds_do_not_keep_a_drain_busy(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    accept_jobs(transaction, [job_request("a")], now=now)
    with transaction() as session:
        session.execute(text("SELECT FROM jobs FOR UPDATE"))
        assert run(routing(a=Effects())) == DrainReport()
    assert run(routing(a=Effects())) == DrainReport(1, {"done": 1})


@pytest.mark.parametrize("position", [0, 1, 99, 150, 199])
def test_a_poison_job_is_set_aside_alone_and_its_neighbours_are_done_once(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime, position: int
) -> None:
    keys = [f"k{n:03}" for n in range(BATCH_ROWS_MAX + 50)]
    accept_jobs(transaction, [job_request("a", key=key) for key in keys], now=now)
    bad = keys[position]
    run(routing(a=fails_for(bad, error=ZeroDivisionError("the owner is ada"))))
    assert effects(transaction) == [key for key in keys if key != bad]
    states = job_states(transaction)
    assert states.pop(bad) == "cooling"
    assert set(states.values()) == {"done"}


def test_several_poison_jobs_are_each_set_aside(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    keys = [f"k{n:03}" for n in range(100)]
    bad = {"k000", "k001", "k050", "k099"}
    accept_jobs(transaction, [job_request("a", key=key) for key in keys], now=now)
    run(routing(a=fails_for(*bad, error=KeyError("ada"))), seconds_max=60)
    assert effects(transaction) == [key for key in keys if key not in bad]
    assert {key for key, state in job_states(transaction).items() if state == "cooling"} == bad


def test_a_job_that_keeps_failing_cools_longer_each_time_and_then_is_dead_with_its_cause_and_input(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    accept_jobs(transaction, [job_request("a", {"owner": "ada"}, key="bad")], now=now)
    routes = routing(a=fails_for("bad", error=ZeroDivisionError("the owner is ada")))
    for seconds in (10, 20, 40, 80):
        run(routes, at=now)
        [row] = job_rows(transaction)
        assert (row["state"], row["due_at"] - now) == ("cooling", timedelta(seconds=seconds))
        now = row["due_at"]
        with transaction() as session:
            assert wake_due(session, now=now, limit=10) == 1
    run(routes, at=now)
    [row] = job_rows(transaction)
    assert (row["state"], row["attempts"], row["finished_at"]) == ("dead", ATTEMPTS_MAX, now)
    assert row["args"] == {"owner": "ada"}
    assert row["result"]["code"] == "failed"
    assert "ZeroDivisionError at tests/integration/intake/test_drain.py" in row["result"]["cause"]
    assert "ada" not in row["last_error"]


def test_the_cause_of_a_database_error_names_no_value(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    def act(session: Session, _work: Works) -> None:
        session.execute(text("SELECT CAST(:value AS integer)"), {"value": "very-private"})

    accept_jobs(transaction, [job_request("a")], now=now)
    run(routing(a=Effects(act)))
    [row] = job_rows(transaction)
    assert row["state"] == "cooling"
    assert "sqlstate 22P02" in row["last_error"]
    assert "private" not in row["last_error"]


@pytest.mark.parametrize("answer", [[], [Done(), Done()], ["done"], [None]])
def test_a_handler_that_answers_wrongly_changes_nothing(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime, answer: list[Any]
) -> None:
    class Wrong(Effects):
        def __call__(self, *args: Any, **kwargs: Any) -> list[Outcome]:
            super().__call__(*args, **kwargs)
            return answer

    accept_jobs(transaction, [job_request("a", key="k1"), job_request("b", key="k2")], now=now)
    run(routing(a=Wrong(), b=Effects()))
    assert effects(transaction) == ["k2"]
    assert job_states(transaction) == {"k1": "cooling", "k2": "done"}
    assert "HandlerBroke" in job_rows(transaction)[0]["last_error"]


def raise_sqlstate(session: Session, sqlstate: str) -> None:
    session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"))


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "55P03"])
@pytest.mark.parametrize("times", [1, 5])
def test_what_may_pass_is_tried_again_and_costs_the_jobs_no_attempt(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime, sqlstate: str, times: int
) -> None:
    left = [times]

    def act(session: Session, _work: Works) -> None:
        if left[0]:
            left[0] -= 1
            raise_sqlstate(session, sqlstate)

    accept_jobs(transaction, [job_request("a", key="k1"), job_request("a", key="k2")], now=now)
    assert run(routing(a=Effects(act))).outcomes == {"done": 2}
    assert effects(transaction) == ["k1", "k2"]
    assert [row["attempts"] for row in job_rows(transaction)] == [1, 1]


def test_a_raced_posting_is_run_again(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    left = [PostingRaced("again")]

    def act(_session: Session, _work: Works) -> None:
        if left:
            raise left.pop()

    accept_jobs(transaction, [job_request("a", key="k1")], now=now)
    assert run(routing(a=Effects(act))).outcomes == {"done": 1}


@pytest.mark.parametrize("sqlstate", ["57014", "25P03"])
def test_a_job_that_always_runs_into_a_timeout_does_not_block_its_lane(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime, sqlstate: str
) -> None:
    """Each run into it takes half a minute or more: once for every halving of the batch, and no more."""
    runs: list[int] = []

    def act(session: Session, work: Works) -> None:
        if any(one.job.idempotency_key == "slow" for one in work):
            runs.append(len(work))
            raise_sqlstate(session, sqlstate)

    keys = [*(f"k{n}" for n in range(99)), "slow", *(f"k{n}" for n in range(99, 199))]
    accept_jobs(transaction, [job_request("a", key=key) for key in keys], now=now)
    run(routing(a=Effects(act)), seconds_max=60)
    assert job_states(transaction) == {key: "cooling" if key == "slow" else "done" for key in keys}
    assert effects(transaction) == [key for key in keys if key != "slow"]
    assert len(runs) <= 9, runs


def test_a_connection_cut_between_effect_and_commit_leaves_nothing_and_the_batch_is_redone(
    transaction: Transaction, owner_transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    cut = [True]

    class Cut(Effects):
        def __call__(self, session: Session, *args: Any, **kwargs: Any) -> list[Outcome]:
            outcomes = super().__call__(session, *args, **kwargs)
            if cut.pop() if cut else False:
                pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
                with owner_transaction() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
            return outcomes

    accept_jobs(transaction, [job_request("a", key=f"k{n}") for n in range(3)], now=now)
    assert run(routing(a=Cut())).outcomes == {"done": 3}
    assert effects(transaction) == ["k0", "k1", "k2"]
    assert [row["attempts"] for row in job_rows(transaction)] == [1, 1, 1]


@pytest.mark.parametrize("sqlstate", ["57P01", "53100", "58030", "25006", "42P01", "42501"])
def test_a_database_that_stays_away_or_cannot_write_blames_no_job(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime, sqlstate: str
) -> None:
    def act(session: Session, _work: Works) -> None:
        raise_sqlstate(session, sqlstate)

    accept_jobs(transaction, [job_request("a")], now=now)
    with pytest.raises(BatchFailed):
        run(routing(a=Effects(act)))
    [row] = job_rows(transaction)
    assert (row["state"], row["attempts"]) == ("queued", 0)


def parks_until(key: str, known: list[str]) -> Callable[..., list[Outcome]]:
    def handle(session: Session, work: Works, *, tenant: Tenant, now: datetime) -> list[Outcome]:
        return [Done() if key in known else Parked("unknown_reference", (key,)) for _ in work]

    return handle


def test_a_parked_job_does_not_block_those_behind_it_and_one_of_them_wakes_it(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    known: list[str] = []

    def appear(session: Session, work: Works) -> None:
        known.append("deposit:1")
        assert wake(session, "acme", ["deposit:1"], now=now) == 1

    requests = [job_request("event", key="e"), job_request("a", key="a"), job_request("expect", key="x")]
    accept_jobs(transaction, requests, now=now)
    routes = routing(event=parks_until("deposit:1", known), a=Effects(), expect=Effects(appear))
    report = run(routes)
    assert (report.claimed, report.outcomes) == (4, {"parked": 1, "done": 3})
    assert job_states(transaction) == {"e": "done", "a": "done", "x": "done"}
    assert [row["attempts"] for row in job_rows(transaction)] == [2, 1, 1]


def test_a_turn_ends_so_that_other_lanes_come_to_theirs(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    accept_jobs(transaction, [job_request("a") for _ in range(BATCH_ROWS_MAX * 2 + 1)], now=now)
    first = run(routing(a=Effects()), batches_max=2)
    assert (first.claimed, first.more) == (BATCH_ROWS_MAX * 2, True)
    assert run(routing(a=Effects()), seconds_max=0) == DrainReport(more=True)
    assert run(routing(a=Effects())) == DrainReport(1, {"done": 1})


def refuse(_args: object) -> dict[str, Any]:
    raise InvalidArguments("wrong", [{"pointer": "/owner", "message": "This field is required."}])


def test_what_no_one_can_process_is_dead_with_the_reason_and_the_rest_goes_on(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    inside = Effects()
    routes = {
        "a": Route(dict, inside),
        "b": Route(refuse, Effects()),
        "webhooks.event": Route(dict, inside, frozenset({"provider"})),
    }
    accept_jobs(
        transaction,
        [
            job_request("a", key="k1"),
            job_request("b", key="wrong"),
            job_request("a", key="k2"),
            job_request("no.such", key="unknown"),
            job_request("webhooks.event", key="forged"),
            job_request("webhooks.event", key="real", origin="provider"),
        ],
        now=now,
    )
    run(routes)
    assert effects(transaction) == ["k1", "k2", "real"]
    assert inside.runs == [["k1", "k2"], ["real"]]
    codes = {
        row["idempotency_key"]: (row["state"], (row["result"] or {}).get("code"))
        for row in job_rows(transaction)
    }
    assert codes["wrong"] == ("dead", "invalid_arguments")
    assert codes["unknown"] == codes["forged"] == ("dead", "unknown_job")


def test_a_run_sees_the_policy_that_an_earlier_run_of_its_batch_has_set(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    seen: list[str] = []

    def look(_session: Session, work: Works, *, tenant: Tenant, now: datetime) -> list[Outcome]:
        seen.append(tenant.policy.ledger_mode)
        return [Done() for _ in work]

    def change(session: Session, _work: Works) -> None:
        update_policy(session, "acme", {"ledger_mode": "shadow"})

    accept_jobs(transaction, [job_request(name) for name in ("look", "change", "look")], now=now)
    run(routing(look=look, change=Effects(change)))
    assert seen == ["enforce", "shadow"]


def test_a_replayed_job_is_not_run_again(
    transaction: Transaction, run: Callable[..., DrainReport], now: datetime
) -> None:
    request = job_request("a", key="k1")
    again = partial(accept_jobs, transaction, [request], now=now)
    first = again()
    run(routing(a=Effects()))
    assert again() == first
    run(routing(a=Effects()))
    assert effects(transaction) == ["k1"]
