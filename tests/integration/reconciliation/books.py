"""Small books: ledger rows and records written one by one, and nights run at a chosen time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from models.ledger.codes import clearing_code, wallet_code
from models.ledger.outcomes import Created, Leg, Posting
from models.ledger.posting import post
from tasks.reconciliation.service import RunReport, reconcile
from worker.database import Transaction
from worker.providers.records.port import BadRow, Record, SourceFailed, Window

KINDS = {"deposit": "deposit.captured", "refund": "deposit.refunded", "chargeback": "deposit.charged_back",
         "returned": "deposit.returned"}  # fmt: skip
NIGHT = date(2026, 3, 13)
NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)


@dataclass
class Told:
    """A source that tells these, and then fails if it is to. Keeps the windows that it was asked for."""

    items: Sequence[Record | BadRow] = ()
    error: str | None = None
    asked: list[Window] = field(default_factory=list)

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        self.asked.append(window)
        for one in self.items:
            if isinstance(one, BadRow) or window.since <= one.occurred_at < window.until:
                yield one
        if self.error:
            raise SourceFailed(self.error)


@dataclass(kw_only=True)
class ToldFile(Told):
    """A report file: told as a whole, known by its digest."""

    digest: str = "d1"
    name: str = "batch.csv"

    def read(self, window: Window) -> Iterator[Record | BadRow]:
        self.asked.append(window)
        yield from self.items
        if self.error:
            raise SourceFailed(self.error)


def record(
    reference: str | None, minor: int, kind: str = "deposit", at: datetime = NOON, **others: Any
) -> Record:
    """A settled record, named after its reference."""
    values: dict[str, Any] = {
        "record_id": f"rec_{kind}_{reference}",
        "kind": kind,
        "reference": reference,
        "object_id": None,
        "amount_minor": minor,
        "currency": "EUR",
        "fee_minor": 0,
        "fee_currency": "EUR",
        "status": "settled",
        "occurred_at": at,
    }
    return Record(**values | others)


@dataclass
class Books:
    """The books of one tenant with one provider. `now` is the business time of its nights: three days after NIGHT."""

    transaction: Transaction
    tenant: str = "acme"
    provider: str = "sandbox"
    now: datetime = NOON + timedelta(days=3)
    posted: int = 0

    def moved(
        self, reference: str, minor: int, kind: str = "deposit", at: datetime = NOON, currency: str = "EUR"
    ) -> int:
        """The ledger's own row: the id of its transaction. `minor` is signed as the provider's record would be."""
        self.posted += 1
        posting = Posting(
            self.tenant,
            f"books:{self.provider}:{self.posted}",
            KINDS[kind],
            (
                Leg(wallet_code("ada"), currency, minor, "suspense:shortfall"),
                Leg(clearing_code(self.provider), currency, -minor),
            ),
            at,
            subject=f"deposit:{self.provider}:{reference}",
        )
        with self.transaction() as session:
            [outcome] = post(session, [posting], now=self.now)
        assert isinstance(outcome, Created), outcome
        return outcome.transaction_id

    def run(self, *items: Record | BadRow, night: date = NIGHT, **others: Any) -> RunReport:
        """A night whose source tells these."""
        return self.run_from(Told(items), night=night, **others)

    def run_from(self, source: Told, night: date = NIGHT, **others: Any) -> RunReport:
        asked: dict[str, Any] = {"clock": lambda: self.now, "with_checks": False} | others
        return reconcile(self.transaction, self.tenant, self.provider, night, source, **asked)

    def later(self, **by: float) -> "Books":
        return replace(self, now=self.now + timedelta(**by))

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with self.transaction() as session:
            asked = session.execute(text(query), {"tenant": self.tenant, **values})
            return [dict(row) for row in asked.mappings()]

    def findings(self, state: str = "open") -> list[dict[str, Any]]:
        return self.rows(
            "SELECT * FROM reconciliation_findings WHERE tenant = :tenant AND state = :state ORDER BY kind, id",
            state=state,
        )

    def kinds(self, state: str = "open") -> list[str]:
        return [row["kind"] for row in self.findings(state)]

    def balance(self, code: str, currency: str = "EUR") -> int:
        rows = self.rows(
            "SELECT balance_minor FROM accounts WHERE tenant = :tenant AND code = :code AND currency = :currency",
            code=code,
            currency=currency,
        )
        return rows[0]["balance_minor"] if rows else 0
