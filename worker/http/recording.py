"""What the shim writes: webhook bodies and jobs, for many requests in one transaction."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from models.arrays import texts
from models.jobs.accept import Accepted, JobRequest, Rejected, accepting
from models.steps import Query, Steps

Identity = tuple[str, str, bytes]
"""Tenant, provider and digest of the body: the same body for the same account is the same delivery."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An authentic webhook, kept as it came."""

    tenant: str
    provider: str
    event_keys: tuple[str, ...]
    body: bytes
    secret_index: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Submission:
    """One HTTP request's share of a transaction: its jobs, and the webhook that they came from."""

    requests: tuple[JobRequest, ...]
    delivery: Delivery | None = None

    @property
    def tenant(self) -> str:
        """Whose it is: all of it is one tenant's."""
        return self.delivery.tenant if self.delivery else self.requests[0].tenant

    @property
    def body_bytes(self) -> int:
        """What its body takes in memory; that of a job is small and counts as nothing."""
        return len(self.delivery.body) if self.delivery else 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a submission: one answer per job."""

    answers: tuple[Accepted | Rejected, ...]


def recording(submissions: Sequence[Submission], *, now: datetime) -> Steps[list[Recorded]]:
    """Write all of them, in order, in a constant number of statements. One answer each."""
    identities = [_identity(s.delivery) if s.delivery else None for s in submissions]
    deliveries = {known: s.delivery for known, s in zip(identities, submissions, strict=True) if known}
    ids = (yield from _keep(deliveries)) if deliveries else {}
    requests = [
        _of_delivery(request, ids[known]) if known else request
        for known, s in zip(identities, submissions, strict=True)
        for request in s.requests
    ]
    answers = iter((yield from accepting(requests, now=now)))
    return [Recorded(tuple(next(answers) for _ in s.requests)) for s in submissions]


def _identity(delivery: Delivery) -> Identity:
    return delivery.tenant, delivery.provider, hashlib.sha256(delivery.body).digest()


def _of_delivery(request: JobRequest, delivery_id: int) -> JobRequest:
    """As dataclasses.replace() would, in a fifth of its time."""
    return JobRequest(
        request.tenant, request.name, request.origin, request.idempotency_key, request.args, delivery_id
    )


# Rows in the order of their identity: two callers with the same bodies wait for each other in one direction only.
KEEP = text("""
    INSERT INTO webhook_deliveries (tenant, provider, event_keys, body_sha256, body, secret_index, received_at)
    SELECT d.tenant, d.provider, ARRAY(SELECT jsonb_array_elements_text(d.event_keys::jsonb)), d.body_sha256,
           d.body, d.secret_index, d.received_at
    FROM unnest(CAST(:tenants AS text[]), CAST(:providers AS text[]), CAST(:digests AS bytea[]),
                CAST(:bodies AS bytea[]), CAST(:event_keys AS text[]), CAST(:secret_indexes AS smallint[]),
                CAST(:received_ats AS timestamptz[]))
        AS d (tenant, provider, body_sha256, body, event_keys, secret_index, received_at)
    ORDER BY d.tenant, d.provider, d.body_sha256
    ON CONFLICT (tenant, provider, body_sha256) DO NOTHING
    RETURNING id, tenant, provider, body_sha256
""")

FIND = text("""
    SELECT id, tenant, provider, body_sha256 FROM webhook_deliveries
    WHERE (tenant, provider, body_sha256) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:providers AS text[]), CAST(:digests AS bytea[])))
""")


def _keep(deliveries: Mapping[Identity, Delivery | None]) -> Steps[dict[Identity, int]]:
    """Identity -> id, of the row made now or of the one that was there."""
    rows = yield Query(KEEP, _names(deliveries) | _columns(filter(None, deliveries.values())))
    ids = _ids(rows)
    if missing := [known for known in deliveries if known not in ids]:
        ids |= _ids((yield Query(FIND, _names(missing))))
    return ids


def _ids(rows: Iterable[tuple[int, str, str, bytes]]) -> dict[Identity, int]:
    return {(tenant, provider, bytes(digest)): row_id for row_id, tenant, provider, digest in rows}


def _names(identities: Collection[Identity]) -> dict[str, str]:
    return {
        "tenants": texts(tenant for tenant, _, _ in identities),
        "providers": texts(provider for _, provider, _ in identities),
        "digests": texts(_bytea(digest) for _, _, digest in identities),
    }


def _columns(deliveries: Iterable[Delivery]) -> dict[str, str]:
    rows = list(deliveries)
    return {
        "bodies": texts(_bytea(row.body) for row in rows),
        "event_keys": texts(json.dumps(row.event_keys) for row in rows),
        "secret_indexes": texts(str(row.secret_index) for row in rows),
        "received_ats": texts(row.received_at.isoformat() for row in rows),
    }


def _bytea(value: bytes) -> str:
    return f"\\x{value.hex()}"
