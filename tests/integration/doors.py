"""All doors on one database, without Celery: a shim over HTTP, `enqueue_job()`, and the drain when it is asked for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.factories import job_rows
from tests.integration.http.requests import SANDBOX, captured, job_headers, signed
from tests.integration.http.serving import ACME_TOKEN
from tests.integration.ledger.postings import available
from worker.database import Transaction


@dataclass
class Doors:
    """`transaction` is the worker's, `owner` the database's owner's."""

    client: httpx.Client
    transaction: Transaction
    owner: Transaction

    def http(
        self,
        args: Mapping[str, Any] | bytes,
        name: str = "wallets.credit",
        *,
        key: str = "k",
        token: str = ACME_TOKEN,
    ) -> httpx.Response:
        body = args if isinstance(args, bytes) else json.dumps(args).encode()
        return self.client.post(f"/v1/jobs/{name}", content=body, headers=job_headers(key, token))

    def webhook(self, event_id: str = "evt_1", *, age_seconds: int = 0, **event: Any) -> httpx.Response:
        body = captured(event_id, **event)
        headers = signed(body, event_id, age_seconds=age_seconds)
        return self.client.post(SANDBOX, content=body, headers=headers)

    def sql(self, args: Mapping[str, Any], name: str = "wallets.credit", key: str = "k") -> UUID:
        enqueue = text("SELECT enqueue_job('acme', :name, :key, CAST(:args AS jsonb))")
        with self.owner() as session:
            values = {"name": name, "key": key, "args": json.dumps(args)}
            return UUID(str(session.execute(enqueue, values).scalar_one()))

    def drain(self) -> None:
        for tenant in ("acme", "globex"):
            drain(self.transaction, tenant, routing=ROUTING, clock=partial(datetime.now, UTC), seconds_max=60)

    def transactions(self) -> list[tuple[str, str]]:
        """(tenant, kind) of every ledger transaction, oldest first."""
        with self.transaction() as session:
            found = session.execute(text("SELECT tenant, kind FROM ledger_transactions ORDER BY id"))
            return [(row.tenant, row.kind) for row in found]

    def wallet(self, owner: str = "ada", tenant: str = "acme") -> int:
        return available(self.transaction, owner, tenant=tenant)

    def jobs(self, tenant: str = "acme") -> list[Mapping[str, Any]]:
        return [dict(row) for row in job_rows(self.transaction, tenant)]
