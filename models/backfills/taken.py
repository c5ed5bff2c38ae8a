"""Files that a run of the same tenant, kind and namespace has taken to their end before."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# The newest last, so that of several the newest is told. A namespace has a handful of runs.
TAKEN = text("""
    SELECT source_digest, id FROM backfills
    WHERE tenant = :tenant AND kind = :kind AND namespace = :namespace AND bytes_total = :bytes_total AND NOT dry_run
        AND state = 'done' AND source_digest IS NOT NULL
    ORDER BY finished_at
""")


def taken_before(
    session: Session, *, tenant: str, kind: str, namespace: str, bytes_total: int | None
) -> Mapping[str, UUID]:
    """The digests of the files of this size, and the runs that took them."""
    values = {"tenant": tenant, "kind": kind, "namespace": namespace, "bytes_total": bytes_total}
    return {row.source_digest: row.id for row in session.execute(TAKEN, values)}
