"""accept(): durable, deduplicated by key, a constant number of round trips."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from threading import Barrier, Thread

import pytest
from sqlalchemy import Engine, event

from models.errors import IdempotencyKeyInvalid, IdempotencyKeyReused, TenantPaused, UnknownTenant
from models.jobs.accept import Accepted, JobRequest, Rejected, accept
from models.tenants import set_paused
from tests.factories import accept_jobs, credit_args, job_request, job_rows
from worker.database import Transaction


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def accept_now(
    transaction: Transaction, requests: list[JobRequest], now: datetime
) -> list[Accepted | Rejected]:
    with transaction() as session:
        return accept(session, requests, now=now)


def test_an_accepted_job_is_a_queued_row(transaction: Transaction, tenant: str, now: datetime) -> None:
    [answer] = accept_now(transaction, [job_request(key="k1")], now)
    [row] = job_rows(transaction)
    assert answer == Accepted(row["id"], "wallets.credit", "queued", duplicate=False)
    assert (row["state"], row["attempts"], row["due_at"], row["accepted_at"]) == ("queued", 0, now, now)
    assert row["args"] == credit_args()


def test_a_replay_is_the_same_job_whatever_the_spelling_of_its_arguments(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    first = job_request(key="k1", args={"a": 1, "b": [2]})
    [job_id] = accept_jobs(transaction, [first], now=now)
    [answer] = accept_now(transaction, [replace(first, args={"b": [2], "a": 1})], now)
    assert answer == Accepted(job_id, "wallets.credit", "queued", duplicate=True)
    assert len(job_rows(transaction)) == 1


@pytest.mark.parametrize("change", [{"name": "wallets.debit"}, {"args": credit_args(amount_minor=101)}])
def test_the_same_key_for_something_else_is_refused(
    transaction: Transaction, tenant: str, now: datetime, change: dict[str, object]
) -> None:
    first = job_request(key="k1")
    accept_jobs(transaction, [first], now=now)
    [answer] = accept_now(transaction, [replace(first, **change)], now)  # type: ignore[arg-type]
    assert isinstance(answer, Rejected)
    assert isinstance(answer.error, IdempotencyKeyReused)


def test_each_request_of_one_call_has_its_own_fate(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    repeated = job_request(key="b")
    answers = accept_now(
        transaction,
        [
            repeated,
            job_request(key="a"),
            repeated,
            job_request(key="b", args={"other": 1}),
            job_request(key="a", tenant="globex"),
            job_request(key="x", tenant="nobody"),
            job_request(key="y", tenant="No\0body"),
            job_request(key="bad\nkey"),
            job_request(key="k" * 256),
            job_request(key="b", origin="provider"),
        ],
        now,
    )
    found = [type(a.error) if isinstance(a, Rejected) else a.duplicate for a in answers]
    reused, unknown, bad = IdempotencyKeyReused, UnknownTenant, IdempotencyKeyInvalid
    assert found == [False, False, True, reused, False, unknown, unknown, bad, bad, False]
    assert [row["idempotency_key"] for row in job_rows(transaction)] == ["b", "a", "b"]


def test_a_paused_tenant_refuses_its_app_and_nobody_else(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    with transaction() as session:
        set_paused(session, tenant, now)
    answers = accept_now(transaction, [job_request(), job_request(origin="provider")], now)
    assert isinstance(answers[0], Rejected)
    assert isinstance(answers[0].error, TenantPaused)
    assert isinstance(answers[1], Accepted)


@pytest.mark.parametrize("size", [1, 500])
def test_round_trips_do_not_grow_with_the_call(
    transaction: Transaction, engine: Engine, tenant: str, now: datetime, size: int
) -> None:
    requests = [job_request() for _ in range(size)]
    with statements_of(engine) as fresh:
        accept_now(transaction, requests, now)
    with statements_of(engine) as replayed:
        accept_now(transaction, requests, now)
    inserts = [s for s in fresh if "jobs" in s]
    assert (len(inserts), len([s for s in replayed if "jobs" in s])) == (1, 2)


def test_two_callers_with_the_same_keys_in_opposite_order_agree_on_one_job_each(
    transaction: Transaction, tenant: str, now: datetime
) -> None:
    requests = [job_request(key=f"k{number}") for number in range(300)]
    together = Barrier(4)
    answers: list[list[Accepted | Rejected]] = []

    def call(mine: list[JobRequest]) -> None:
        together.wait(60)
        answers.append(accept_now(transaction, mine, now))

    threads = [Thread(target=call, args=(requests[:: (-1) ** n],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == 4
    assert sum(isinstance(a, Accepted) and not a.duplicate for each in answers for a in each) == 300
    assert len(job_rows(transaction)) == 300
