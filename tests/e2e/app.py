"""An upstream app and its providers, as they use one tenant of a running Ledgerbeat."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from sqlalchemy import text

from models.ledger.verify import verify
from ops.stack import Stack
from tests.e2e.clients import Request
from tests.unit.providers import shapes
from tests.waiting import until
from worker.database import Transaction
from worker.settings import TenantSettings

SETTLE_SECONDS = 240.0


@dataclass(frozen=True)
class App:
    """Makes the requests of one tenant, and reads what became of them in the tables."""

    stack: Stack
    transaction: Transaction
    tenant: str

    @property
    def url(self) -> str:
        return self.stack.http_url

    @property
    def settings(self) -> TenantSettings:
        return self.stack.settings.tenants[self.tenant]

    @property
    def token(self) -> str:
        return self.settings.api_tokens[0].get_secret_value()

    def secret(self, provider: str) -> str:
        return self.settings.providers[provider].webhook_secrets[0].get_secret_value()

    def job(self, name: str, args: Mapping[str, Any], key: str, *, token: str | None = None) -> Request:
        headers = {"Authorization": f"Bearer {token or self.token}", "Idempotency-Key": key}
        body = json.dumps(args).encode()
        return Request(f"/v1/jobs/{name}", body, {**headers, "Content-Type": "application/json"})

    def credit(self, key: str, owner: str = "ada", amount_minor: int = 100) -> Request:
        return self.job("wallets.credit", credit_args(owner, amount_minor), key)

    def expect(
        self, reference: str, owner: str, amount_minor: int = 2000, provider: str = "sandbox"
    ) -> Request:
        args = {"provider": provider, "reference": reference, "owner": owner,
                "amount_minor": amount_minor, "currency": "EUR"}  # fmt: skip
        return self.job("deposits.expect", args, f"expect-{reference}")

    def webhook(self, provider: str, body: bytes, headers: Mapping[str, str]) -> Request:
        path = f"/v1/webhooks/{self.tenant}/{provider}"
        return Request(path, body, {**headers, "Content-Type": "application/json"})

    def capture(
        self,
        reference: str,
        amount_minor: int = 2000,
        *,
        at: datetime | None = None,
        secret: str | None = None,
    ) -> Request:
        """`deposit.captured` of the sandbox, signed by the library `standardwebhooks`."""
        event = f"evt_{reference}"
        body = shapes.sandbox_body(
            event_id=event, id=f"dep_{reference}", reference=reference, amount_minor=amount_minor
        )
        signed = shapes.sandbox_headers(
            body, secret=secret or self.secret("sandbox"), at=at or datetime.now(UTC), event_id=event
        )
        return self.webhook("sandbox", body, signed)

    def send_by_celery(self, *jobs: tuple[str, str, Mapping[str, Any]]) -> None:
        """(name, key, args) each, as any Celery client would send them."""
        with Celery(broker=self.stack.settings.require_broker_url(), set_as_current=False) as client:
            for name, key, args in jobs:
                call = {"tenant": self.tenant, "name": name, "idempotency_key": key, "args": args}
                client.send_task("jobs.accept", kwargs=call, ignore_result=True)

    def nudge(self) -> None:
        """A message that changes nothing: the worker's events that Redis did not take in time go with its own."""
        with Celery(broker=self.stack.settings.require_broker_url(), set_as_current=False) as client:
            client.send_task(
                "intake.drain", kwargs={"tenant": self.tenant}, queue="intake", ignore_result=True
            )

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Of the tenant's, which the query names as :tenant."""
        with self.transaction() as session:
            found = session.execute(text(query), {"tenant": self.tenant, **values})
            return [dict(row) for row in found.mappings()]

    def count(self, query: str, **values: Any) -> int:
        [row] = self.rows(query, **values)
        return int(next(iter(row.values())))

    def wallets(self) -> dict[str, int]:
        """Owner -> what is available."""
        rows = self.rows("SELECT owner, available_minor FROM wallets WHERE tenant = :tenant")
        return {row["owner"]: row["available_minor"] for row in rows}

    def states(self) -> Counter[str]:
        rows = self.rows("SELECT state FROM jobs WHERE tenant = :tenant")
        return Counter(row["state"] for row in rows)

    def postings(self) -> int:
        """How many ledger transactions the tenant has."""
        return self.count("SELECT count(*) FROM ledger_transactions WHERE tenant = :tenant")

    def unfinished(self) -> int:
        return self.count("SELECT count(*) FROM jobs WHERE tenant = :tenant AND finished_at IS NULL")

    def settle(self, jobs: int | None = None) -> None:
        """Wait until every job is finished, and there are `jobs` of them."""

        def settled() -> bool:
            enough = jobs is None or self.count("SELECT count(*) FROM jobs WHERE tenant = :tenant") == jobs
            return enough and self.unfinished() == 0

        until(settled, within_seconds=SETTLE_SECONDS, what=f"the end of {self.tenant}'s jobs")

    def check_books(self) -> None:
        """Every invariant holds for the tenant."""
        with self.transaction() as session:
            assert [check for check in verify(session, self.tenant) if check.broken] == []


def credit_args(owner: str, amount_minor: int) -> dict[str, Any]:
    return {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "reason": "promo"}


def transfer_args(from_owner: str, to_owner: str, amount_minor: int) -> dict[str, Any]:
    return {"from_owner": from_owner, "to_owner": to_owner, "amount_minor": amount_minor,
            "currency": "EUR", "reason": "game"}  # fmt: skip
