"""The doors of the intake as one caller uses them: each says accepted, duplicate, or the code of the refusal."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from models.jobs.accept import Accepted, JobRequest, accept
from tasks.intake.door import NotAccepted, submit
from tests.integration.http.requests import job_headers
from tests.integration.http.serving import SANDBOX_SECRET
from worker.database import Transaction
from worker.settings import ProviderSettings, TenantSettings

ENQUEUE = text("SELECT enqueue_job(:tenant, :name, :key, CAST(:args AS jsonb))")


@dataclass
class Caller:
    """A tenant's app. It remembers the id that it was told for each key; another one later fails the test."""

    tenant: str
    client: httpx.Client
    transaction: Transaction
    now: datetime
    ids: dict[str, UUID] = field(default_factory=dict)

    def told(self, key: str, job_id: UUID, *, duplicate: bool) -> str:
        assert self.ids.setdefault(key, job_id) == job_id
        return "duplicate" if duplicate else "accepted"


def tenant_settings(tenant: str) -> TenantSettings:
    """With a token of its own, and everyone's secret of the sandbox."""
    secrets = (SecretStr(SANDBOX_SECRET),)
    sandbox = ProviderSettings(name="sandbox", adapter="sandbox", webhook_secrets=secrets)
    tokens = (SecretStr(token_of(tenant)),)
    return TenantSettings(
        name=tenant, api_tokens=tokens, rate_limit_per_second=1e9, providers={"sandbox": sandbox}
    )


def token_of(tenant: str) -> str:
    return f"the-token-of-{tenant}"


def by_http(caller: Caller, name: str, key: str, args: dict[str, Any]) -> str:
    headers = job_headers(key, token=token_of(caller.tenant))
    answer = caller.client.post(f"/v1/jobs/{name}", json=args, headers=headers)
    if answer.status_code != 202:
        return str(answer.json()["code"])
    return caller.told(key, UUID(answer.json()["job_id"]), duplicate=answer.json()["duplicate"])


def by_sql(caller: Caller, name: str, key: str, args: dict[str, Any]) -> str:
    """The function says the id alone, so a duplicate is what the caller was told before."""
    values = {"tenant": caller.tenant, "name": name, "key": key, "args": json.dumps(args)}
    try:
        with caller.transaction() as session:
            job_id = session.execute(ENQUEUE, values).scalar_one()
    except DBAPIError as error:
        return str(error.orig).partition(":")[0]
    return caller.told(key, job_id, duplicate=key in caller.ids)


def by_celery(caller: Caller, name: str, key: str, args: dict[str, Any]) -> str:
    call = {"tenant": caller.tenant, "name": name, "key": key, "args": args}
    try:
        answer = submit(caller.transaction, **call, now=caller.now)
    except NotAccepted as refused:
        return str(refused).partition(":")[0]
    return caller.told(key, answer.job_id, duplicate=answer.duplicate)


def by_accept(caller: Caller, name: str, key: str, args: dict[str, Any]) -> str:
    with caller.transaction() as session:
        [answer] = accept(session, [JobRequest(caller.tenant, name, "app", key, args)], now=caller.now)
    if not isinstance(answer, Accepted):
        return answer.error.code
    return caller.told(key, answer.job_id, duplicate=answer.duplicate)


DOORS: dict[str, Callable[[Caller, str, str, dict[str, Any]], str]] = {
    "http": by_http,
    "sql": by_sql,
    "celery": by_celery,
    "accept": by_accept,
}
