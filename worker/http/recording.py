"""What the shim writes: webhook bodies and jobs, for many requests in one transaction."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import texts
from models.jobs.accept import Accepted, JobRequest, Rejected, accept


@dataclass(frozen=True, slots=True)
class Delivery:
    """An authentic webhook, kept as it came."""

    tenant: str
    provider: str
    event_keys: tuple[str, ...]
    body: bytes
    secret_index: int
    received_at: datetime

    @property
    def identity(self) -> tuple[str, str, bytes]:
        """The same body for the same account is the same delivery."""
        return self.tenant, self.provider, hashlib.sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Submission:
    """One HTTP request's share of a transaction: its jobs, and the webhook that they came from."""

    requests: tuple[JobRequest, ...]
    delivery: Delivery | None = None

    @property
    def tenant(self) -> str:
        """Whose it is: all of it is one tenant's."""
        return self.delivery.tenant if self.delivery else self.requests[0].tenant


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a submission: one answer per job."""

    answers: tuple[Accepted | Rejected, ...]


def record(session: Session, submissions: Sequence[Submission], *, now: datetime) -> list[Recorded]:
    """Write all of them, in order, in a constant number of statements. One answer each."""
    delivery_ids = _keep(session, [s.delivery for s in submissions if s.delivery])
    requests = [request for s in submissions for request in _with_delivery(s, delivery_ids)]
    answers = iter(accept(session, requests, now=now))
    return [Recorded(tuple(next(answers) for _ in s.requests)) for s in submissions]


def _with_delivery(submission: Submission, ids: Mapping[tuple[str, str, bytes], int]) -> Sequence[JobRequest]:
    if submission.delivery is None:
        return submission.requests
    delivery_id = ids[submission.delivery.identity]
    return [replace(request, delivery_id=delivery_id) for request in submission.requests]


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
""")

FIND = text("""
    SELECT id, tenant, provider, body_sha256 FROM webhook_deliveries
    WHERE (tenant, provider, body_sha256) IN (
        SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:providers AS text[]), CAST(:digests AS bytea[])))
""")


def _keep(session: Session, deliveries: Sequence[Delivery]) -> dict[tuple[str, str, bytes], int]:
    """Identity -> id, of the row made now or of the one that was there."""
    if not deliveries:
        return {}
    distinct = {delivery.identity: delivery for delivery in deliveries}
    names = {
        "tenants": texts(tenant for tenant, _, _ in distinct),
        "providers": texts(provider for _, provider, _ in distinct),
        "digests": texts(_bytea(digest) for _, _, digest in distinct),
    }
    session.execute(KEEP, names | _columns(distinct.values()))
    found = session.execute(FIND, names).all()
    return {(row.tenant, row.provider, bytes(row.body_sha256)): row.id for row in found}


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
