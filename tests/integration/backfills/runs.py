"""An older wallet's files, and runs over them in this process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from models.backfills.quarantine import Quarantined, quarantined
from models.backfills.runs import Run, known_run
from models.ledger.verify import verify
from tasks.backfills import service
from tasks.backfills.batch import BatchReport, run_batch
from tasks.backfills.hands import Hands
from tasks.backfills.service import StartRequest
from worker.database import Transaction
from worker.settings import TenantSettings

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
COLUMNS = {
    "id": "id", "owner": "owner", "to_owner": "to", "amount": "amount", "currency": "currency", "occurred_at": "at",
}  # fmt: skip
HISTORY = {"unit": "minor", "reason": "history", "columns": COLUMNS}
BALANCES = {
    "unit": "minor",
    "columns": {"owner": "owner", "amount": "amount", "currency": "currency", "occurred_at": "at"},
}
SIGNED = {"actor": "ops:dana", "reason": "the older wallet moves over"}

ENTRIES = text("""
    SELECT t.idempotency_key, t.kind, t.subject, t.occurred_at, a.code, a.currency, e.amount_minor
    FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id JOIN accounts a ON a.id = e.account_id
    WHERE t.tenant = :tenant ORDER BY 1, 5, 6, 7
""")

Line = tuple[str, str, str, int, str, str]
"""id, owner, to, amount, currency, at"""


class Nobody:
    """Locks that everybody has, as without Redis."""

    @contextmanager
    def held(self, name: UUID | str, seconds: float) -> Iterator[object]:  # noqa: ARG002 - as Locks
        yield self


@dataclass
class Clock:
    """Business time that stands still until it is moved."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Desk:
    """Starts runs for the tenant and works on them."""

    transaction: Transaction
    folder: Path
    clock: Clock = field(default_factory=Clock)
    sent: list[tuple[UUID, int, str]] = field(default_factory=list)
    tenant: str = "acme"

    @property
    def tenants(self) -> dict[str, TenantSettings]:
        """As the settings say."""
        return {self.tenant: TenantSettings(name=self.tenant)}

    def hands(self, **other: Any) -> Hands:
        def publish(run_id: UUID, turn: int, progress: str) -> None:
            self.sent.append((run_id, turn, progress))

        told: dict[str, Any] = {"publish": publish, "clock": self.clock, "sleep": self.clock.forward}
        return Hands(self.transaction, self.tenants, Nobody(), **told | other)

    def file(self, lines: Sequence[Line], name: str = "history.csv") -> Path:
        path = self.folder / name
        rows = [",".join(map(str, line)) for line in lines]
        path.write_text("\n".join(["id,owner,to,amount,currency,at", *rows]) + "\n")
        return path

    def start(
        self, path: Path, mapping: Mapping[str, Any] = HISTORY, *, kind: str = "postings", **more: Any
    ) -> UUID:
        source = {"type": "file", "path": str(path), "mapping": mapping}
        told = {"id": uuid4(), "tenant": self.tenant, "kind": kind, "source": source, **SIGNED, **more}
        request = StartRequest(**told)
        service.check(self.tenants, request)
        with self.transaction() as session:
            return service.start(session, self.tenants, request, now=self.clock()).id

    def run(self, path: Path, mapping: Mapping[str, Any] = HISTORY, **more: Any) -> Run:
        """To its end, in this process."""
        return self.work(self.start(path, mapping, **more))

    def work(self, run_id: UUID) -> Run:
        return service.run_to_end(self.hands(), run_id)

    def batch(self, run_id: UUID, turn: int | None = None) -> BatchReport:
        return run_batch(self.hands(), run_id, turn)

    def look(self, run_id: UUID) -> Run:
        with self.transaction() as session:
            return known_run(session, run_id)

    def do(self, command: Callable[..., Run], run_id: UUID, **more: Any) -> Run:
        with self.transaction() as session:
            return command(session, run_id, now=self.clock(), **SIGNED | more)

    def set_aside(self, run_id: UUID, *states: str) -> list[Quarantined]:
        with self.transaction() as session:
            return quarantined(session, run_id, states=states or ("open", "waiting"))

    def codes(self, run_id: UUID) -> dict[str, str]:
        """Of each row that is set aside, by its place."""
        return {row.place: row.code for row in self.set_aside(run_id)}

    def ledger(self) -> list[tuple[Any, ...]]:
        """Every entry, without what two runs of the same story may number differently."""
        with self.transaction() as session:
            rows = session.execute(ENTRIES, {"tenant": self.tenant})
            return [tuple(row) for row in rows]

    def balance(self, owner: str, currency: str = "EUR") -> int:
        with self.transaction() as session:
            found = session.execute(
                text(
                    "SELECT sum(balance_minor) FROM accounts "
                    "WHERE tenant = :tenant AND owner = :owner AND currency = :currency"
                ),
                {"tenant": self.tenant, "owner": owner, "currency": currency},
            ).scalar_one()
            return int(found or 0)

    def broken(self) -> list[str]:
        with self.transaction() as session:
            return [check.name for check in verify(session, self.tenant) if check.broken]


def line(row_id: str, owner: str, amount: int, to: str = "", currency: str = "EUR", day: int = 1) -> Line:
    return (row_id, owner, to, amount, currency, f"2025-01-{day:02}T10:00:00Z")
