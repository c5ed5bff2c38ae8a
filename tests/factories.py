"""Requests and rows for the tests: valid by default, each argument there to be overridden."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, text

from models.jobs.accept import Accepted, JobRequest, accept
from worker.database import Transaction


def job_request(
    name: str = "wallets.credit",
    args: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
    tenant: str = "acme",
    origin: str = "app",
) -> JobRequest:
    """A request with a fresh key; the arguments of a credit when none are given."""
    return JobRequest(
        tenant=tenant,
        name=name,
        origin=origin,
        idempotency_key=key or f"key-{uuid4().hex[:12]}",
        args=credit_args() if args is None else args,
    )


def credit_args(owner: str = "ada", amount_minor: int = 100, **others: Any) -> dict[str, Any]:
    """The arguments of `wallets.credit` and `wallets.debit`."""
    return {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "reason": "promo", **others}


def accept_jobs(transaction: Transaction, requests: Sequence[JobRequest], *, now: datetime) -> list[UUID]:
    """Accept and commit; every request must be accepted. The jobs' ids, in order."""
    with transaction() as session:
        answers = accept(session, requests, now=now)
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return [answer.job_id for answer in answers if isinstance(answer, Accepted)]


def job_rows(transaction: Transaction, tenant: str = "acme") -> list[RowMapping]:
    """All jobs of a tenant as the table has them, in order of acceptance."""
    with transaction() as session:
        found = session.execute(
            text("SELECT * FROM jobs WHERE tenant = :tenant ORDER BY seq"), {"tenant": tenant}
        )
        return list(found.mappings())


def job_states(transaction: Transaction, tenant: str = "acme") -> dict[str, str]:
    """Idempotency key -> state."""
    return {row["idempotency_key"]: row["state"] for row in job_rows(transaction, tenant)}
