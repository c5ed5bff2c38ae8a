"""A tenant's desk in the tests: hand in jobs and events, drain the lane for real, look at what stands."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, event, text

from models.ledger.verify import verify
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.factories import accept_jobs, job_request
from worker.database import Transaction
from worker.providers.port import ProviderEvent

_keys = count(1)


@dataclass
class Desk:
    """`now` is the business time of everything the desk does."""

    transaction: Transaction
    tenant: str
    now: datetime

    def hand_in(self, name: str, *args: Mapping[str, Any], key: str | None = None) -> list[UUID]:
        """Accept one job per arguments, from the app."""
        requests = [
            job_request(name, one, key=key or f"{name}-{next(_keys)}", tenant=self.tenant) for one in args
        ]
        return accept_jobs(self.transaction, requests, now=self.now)

    def tell(self, *events: ProviderEvent, provider: str = "sandbox") -> list[UUID]:
        """Accept events of a provider, each as a delivery of its own."""
        requests = [
            job_request(
                "webhooks.event",
                {**one.as_args(), "provider": provider},
                key=f"{provider}:{one.event_key}:{next(_keys)}",
                tenant=self.tenant,
                origin="provider",
            )
            for one in events
        ]
        return accept_jobs(self.transaction, requests, now=self.now)

    def drain(self) -> None:
        """Until nothing is queued; a handler that raises fails the test."""
        drain(self.transaction, self.tenant, routing=ROUTING, clock=lambda: self.now, seconds_max=60)
        failed = self.rows(
            "SELECT id, last_error FROM jobs WHERE state IN ('queued', 'cooling') OR last_error LIKE 'failed%'"
        )
        assert failed == []

    def do(self, name: str, *args: Mapping[str, Any], key: str | None = None) -> list[dict[str, Any]]:
        """Hand in, drain, and say what became of each: its state, and what its result holds."""
        ids = self.hand_in(name, *args, key=key)
        self.drain()
        return [self.outcome(job_id) for job_id in ids]

    def hear(self, *events: ProviderEvent, provider: str = "sandbox") -> list[dict[str, Any]]:
        """Tell, drain, and say what became of each."""
        ids = self.tell(*events, provider=provider)
        self.drain()
        return [self.outcome(job_id) for job_id in ids]

    def expect(
        self, *references: str, owner: str = "ada", amount_minor: int = 100, **others: Any
    ) -> list[dict[str, Any]]:
        """Announce deposits."""
        given = {
            "provider": "sandbox",
            "owner": owner,
            "amount_minor": amount_minor,
            "currency": "EUR",
            **others,
        }
        return self.do("deposits.expect", *({**given, "reference": one} for one in references))

    def outcome(self, job_id: UUID) -> dict[str, Any]:
        [row] = self.rows("SELECT state, result, last_error FROM jobs WHERE id = :id", id=job_id)
        return {"state": row["state"], "error": row["last_error"], **(row["result"] or {})}

    def balance(self, code: str, currency: str = "EUR") -> int:
        rows = self.rows(
            "SELECT balance_minor FROM accounts WHERE (tenant, code, currency) = (:tenant, :code, :currency)",
            code=code,
            currency=currency,
        )
        return rows[0]["balance_minor"] if rows else 0

    def wallet(self, owner: str = "ada", currency: str = "EUR") -> int:
        return self.balance(f"wallet:{owner}:available", currency)

    def deposit(self, reference: str, provider: str = "sandbox") -> dict[str, Any]:
        [row] = self.rows(
            "SELECT * FROM deposits WHERE tenant = :tenant AND (provider, reference) = (:provider, :reference)",
            provider=provider,
            reference=reference,
        )
        return row

    def counted(self, name: str) -> dict[tuple[str, str], int]:
        """(outcome, reason) -> how often, as the metrics see it."""
        rows = self.rows(
            "SELECT outcome, reason, total FROM job_outcomes WHERE tenant = :tenant AND name = :name",
            name=name,
        )
        return {(row["outcome"], row["reason"]): row["total"] for row in rows}

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with self.transaction() as session:
            found = session.execute(text(query), {"tenant": self.tenant, **values})
            return [dict(row) for row in found.mappings()]

    def check_books(self) -> None:
        """Every invariant holds."""
        with self.transaction() as session:
            assert [check for check in verify(session) if check.broken] == []


@contextmanager
def counting_statements(engine: Engine) -> Iterator[Sequence[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)
