"""The Celery door: recorded, refused with the contract's code, or kept until the database takes it."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from models.jobs.accept import Accepted
from models.tenants import set_paused
from tasks.intake.door import BYTES_MAX, TRIES_MAX, NotAccepted, submit, submit_patiently
from tests.factories import credit_args, job_rows
from tests.integration.intake.test_drain import raise_sqlstate
from worker.database import Transaction, make_engine, transactions

Submit = Callable[..., Accepted]


@pytest.fixture
def send(transaction: Transaction, tenant: str, now: datetime) -> Submit:
    def send(**changes: Any) -> Accepted:
        call = {"tenant": tenant, "name": "wallets.credit", "key": "k1", "args": credit_args()}
        return submit(transaction, **{**call, **changes}, now=now)

    return send


def rejections(transaction: Transaction) -> dict[tuple[str, str, str], int]:
    with transaction() as session:
        rows = session.execute(text("SELECT * FROM job_outcomes WHERE outcome = 'rejected'"))
        return {(row.tenant, row.name, row.reason): row.total for row in rows}


def test_a_call_becomes_a_job_of_the_app_once(transaction: Transaction, send: Submit) -> None:
    first, again = send(), send()
    assert (first.duplicate, again.duplicate, first.job_id == again.job_id) == (False, True, True)
    [row] = job_rows(transaction)
    assert (row["origin"], row["args"]) == ("app", credit_args())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tenant": "nobody"}, "unauthenticated"),
        ({"tenant": None}, "unauthenticated"),
        ({"tenant": "a\0"}, "unauthenticated"),
        ({"key": ""}, "bad_idempotency_key"),
        ({"key": 7}, "bad_idempotency_key"),
        ({"key": "k" * 256}, "bad_idempotency_key"),
        ({"name": ["x"]}, "unknown_job"),
        ({"name": "x" * 101}, "unknown_job"),
        ({"name": "x\0"}, "unknown_job"),
        ({"args": {"owner": "x" * BYTES_MAX}}, "invalid_arguments"),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_its_code(
    transaction: Transaction, send: Submit, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(NotAccepted, match=f"^{code}: "):
        send(**changes)
    assert job_rows(transaction) == []


def test_refusals_are_counted(transaction: Transaction, send: Submit, now: datetime) -> None:
    send()
    with pytest.raises(NotAccepted, match=r"^idempotency_key_reused: "):
        send(args=credit_args("very-private"))
    with pytest.raises(NotAccepted, match=r"^unauthenticated: "):
        send(tenant="nobody")
    with transaction() as session:
        set_paused(session, "acme", now)
    with pytest.raises(NotAccepted, match=r"^tenant_paused: "):
        send(key="k2", name="made.up")
    assert rejections(transaction) == {
        ("acme", "wallets.credit", "idempotency_key_reused"): 1,
        ("", "wallets.credit", "unauthenticated"): 1,
        ("acme", "", "tenant_paused"): 1,
    }


@pytest.mark.parametrize(
    "args", [[1], "text", None, 7, {"owner": "a\0b"}, {"n": float("nan")}, {"s": "\ud800"}, {"a": {"b\0": 1}}]
)
def test_what_jsonb_cannot_hold_is_kept_as_text(transaction: Transaction, send: Submit, args: object) -> None:
    assert send(args=args).job_id == send(args=args).job_id
    [row] = job_rows(transaction)
    assert set(row["args"]) == {"unstorable"}


def test_a_backslash_is_not_a_nul(transaction: Transaction, send: Submit) -> None:
    send(args={"owner": r"a\u0000"})
    [row] = job_rows(transaction)
    assert row["args"] == {"owner": r"a\u0000"}


def test_a_database_that_is_away_is_waited_for_and_then_left_to_the_message() -> None:
    engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    naps: list[float] = []
    away = transactions(engine)

    def call() -> Accepted:
        with away() as session:
            session.execute(text("SELECT 1"))
        raise AssertionError("it answered")

    assert submit_patiently(call, sleep=naps.append) is None
    assert len(naps) == TRIES_MAX
    assert max(naps) <= 5
    engine.dispose()


def test_a_database_that_comes_back_takes_the_job(send: Submit) -> None:
    left = [OperationalError("x", {}, Exception("gone")), ZeroDivisionError("a bug of ours")]

    def call() -> Accepted:
        if left:
            raise left.pop()
        return send()

    accepted = submit_patiently(call, sleep=lambda _: None)
    assert accepted is not None
    assert not accepted.duplicate


@pytest.mark.parametrize("sqlstate", ["22P05", "54001"])
def test_what_postgresql_can_never_hold_is_refused_and_not_tried_for_ever(
    transaction: Transaction, sqlstate: str
) -> None:
    def call() -> Accepted:
        with transaction() as session:
            raise_sqlstate(session, sqlstate)
        raise AssertionError("it passed")

    with pytest.raises(NotAccepted, match=r"^invalid_arguments: "):
        submit_patiently(call, sleep=lambda _: pytest.fail("it waited"))


def test_arguments_that_nest_too_deeply_are_refused_and_not_tried_for_ever(send: Submit) -> None:
    """Tried again and again, eight such messages would hold every thread of the worker."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(NotAccepted, match="invalid_arguments"):
        submit_patiently(lambda: send(args={"owner": deep}), sleep=lambda _: pytest.fail("it waited"))
