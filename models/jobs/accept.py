"""accept(): the one way in. A job that is accepted and committed is never lost and takes effect once."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import integers, texts
from models.base import require_aware
from models.errors import (
    DoorError,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    TenantPaused,
    UnknownTenant,
)
from models.steps import Query, Steps, run

KEY = re.compile(r"[ -~]{1,255}")
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a door hands in. `args` is JSON as PostgreSQL can hold it (no NUL, no NaN), validated by the drain.

    `origin` is app, provider, schedule or operator: each has its own space of keys.
    """

    tenant: str
    name: str
    origin: str
    idempotency_key: str
    args: Mapping[str, Any]
    delivery_id: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job is recorded; `state` is its state at this moment, `duplicate` says that it was there before."""

    job_id: UUID
    name: str
    state: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """Nothing was recorded for this request."""

    error: DoorError


def accept(session: Session, requests: Sequence[JobRequest], *, now: datetime) -> list[Accepted | Rejected]:
    """One answer per request, in their order, in at most two round trips however many there are.

    The same key with the same name and arguments is the same job; with others it is IdempotencyKeyReused. A paused
    tenant refuses what its app sends, and nothing else. Jobs are numbered in the order of `requests`.
    Never blocks on another caller's different keys; two callers with the same keys cannot deadlock.
    """
    return run(session, accepting(requests, now=now))


def accepting(requests: Sequence[JobRequest], *, now: datetime) -> Steps[list[Accepted | Rejected]]:
    """The steps of accept()."""
    answers: dict[int, Accepted | Rejected] = {}
    sound: list[int] = []
    for index, request in enumerate(requests):
        if error := _malformed(request):
            answers[index] = Rejected(error)
        else:
            sound.append(index)
    answers |= yield from _insert(_first_of_each_key(requests, sound), require_aware(now))
    if len(answers) < len(requests):
        answers |= yield from _find({index: requests[index] for index in sound if index not in answers})
    return [answers[index] for index in range(len(requests))]


def _malformed(request: JobRequest) -> DoorError | None:
    if not TENANT.fullmatch(request.tenant):
        return UnknownTenant("no such tenant")
    if not KEY.fullmatch(request.idempotency_key):
        return IdempotencyKeyInvalid("an idempotency key of 1 to 255 printable ASCII characters was expected")
    return None


def _first_of_each_key(requests: Sequence[JobRequest], indexes: Sequence[int]) -> dict[int, JobRequest]:
    first: dict[tuple[str, str, str], int] = {}
    for index in indexes:
        first.setdefault(_identity(requests[index]), index)
    return {index: requests[index] for index in first.values()}


def _identity(request: JobRequest) -> tuple[str, str, str]:
    return request.tenant, request.origin, request.idempotency_key


# Numbers first, in the order of the requests; rows then in the order of their keys, so that two callers with the
# same keys wait for each other in one direction only. A key that is there already is left alone.
INSERT = text("""
    WITH incoming AS MATERIALIZED (
        SELECT r.tenant, r.name, r.origin, r.key, r.args::jsonb AS args, r.delivery_id, nextval('jobs_seq_seq') AS seq
        FROM unnest(CAST(:tenants AS text[]), CAST(:names AS text[]), CAST(:origins AS text[]),
                    CAST(:keys AS text[]), CAST(:args AS text[]), CAST(:delivery_ids AS bigint[]))
            WITH ORDINALITY AS r (tenant, name, origin, key, args, delivery_id, position)
        ORDER BY r.position
    )
    INSERT INTO jobs (seq, tenant, name, origin, idempotency_key, fingerprint, args, delivery_id, due_at, accepted_at)
    SELECT i.seq, i.tenant, i.name, i.origin, i.key, job_fingerprint(i.name, i.args), i.args,
           i.delivery_id, :now, :now
    FROM incoming i JOIN tenants t USING (tenant)
    WHERE t.paused_at IS NULL OR i.origin <> 'app'
    ORDER BY i.tenant, i.origin, i.key
    ON CONFLICT (tenant, origin, idempotency_key) DO NOTHING
    RETURNING id, tenant, name, origin, idempotency_key, state
""")

# Why a request made no row: its tenant, or the job that has its key.
FIND = text("""
    SELECT r.position, t.tenant IS NOT NULL AS tenant_known,
           t.paused_at IS NOT NULL AND r.origin = 'app' AS paused,
           j.id, j.name, j.state, j.fingerprint = job_fingerprint(r.name, r.args::jsonb) AS same
    FROM unnest(CAST(:positions AS integer[]), CAST(:tenants AS text[]), CAST(:names AS text[]),
                CAST(:origins AS text[]), CAST(:keys AS text[]), CAST(:args AS text[]))
        AS r (position, tenant, name, origin, key, args)
    LEFT JOIN tenants t USING (tenant)
    LEFT JOIN jobs j ON (j.tenant, j.origin, j.idempotency_key) = (r.tenant, r.origin, r.key)
""")


def _insert(requests: Mapping[int, JobRequest], now: datetime) -> Steps[dict[int, Accepted | Rejected]]:
    if not requests:
        return {}
    delivery_ids = [None if r.delivery_id is None else str(r.delivery_id) for r in requests.values()]
    values = _columns(requests) | {"delivery_ids": texts(delivery_ids), "now": now}
    index_of = {_identity(request): index for index, request in requests.items()}
    rows = yield Query(INSERT, values)
    return {
        index_of[tenant, origin, key]: Accepted(job_id, name, state, duplicate=False)
        for job_id, tenant, name, origin, key, state in rows
    }


def _find(requests: Mapping[int, JobRequest]) -> Steps[dict[int, Accepted | Rejected]]:
    rows = yield Query(FIND, _columns(requests) | {"positions": integers(requests)})
    return {position: _judge(Found(*rest), requests[position]) for position, *rest in rows}


class Found(NamedTuple):
    """What FIND says of one request."""

    tenant_known: bool
    paused: bool
    job_id: UUID | None
    name: str
    state: str
    same: bool


def _judge(found: Found, request: JobRequest) -> Accepted | Rejected:
    if not found.tenant_known:
        return Rejected(UnknownTenant("no such tenant"))
    if (
        found.paused or found.job_id is None
    ):  # opened between the two statements: it was closed when it was asked
        return Rejected(TenantPaused(f"tenant {request.tenant} is paused"))
    if not found.same:
        return Rejected(
            IdempotencyKeyReused(f"job {found.job_id} has this key with another name or other arguments")
        )
    return Accepted(found.job_id, found.name, found.state, duplicate=True)


def _columns(requests: Mapping[int, JobRequest]) -> dict[str, Any]:
    rows = requests.values()
    return {
        "tenants": texts(r.tenant for r in rows),
        "names": texts(r.name for r in rows),
        "origins": texts(r.origin for r in rows),
        "keys": texts(r.idempotency_key for r in rows),
        "args": texts(_compact(r.args) for r in rows),
    }
