"""Keys that a dry run would have used: what it meets again would be a replay."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.arrays import texts

REMEMBER = text("""
    INSERT INTO backfill_rehearsed_keys (backfill_id, key, fingerprint)
    SELECT :backfill_id, key, sha256(convert_to(key, 'UTF8')) FROM unnest(CAST(:keys AS text[])) AS k (key) ORDER BY key
    ON CONFLICT DO NOTHING RETURNING key
""")


def remember_keys(session: Session, backfill_id: UUID, keys: Collection[str]) -> set[str]:
    """Note these keys under the run. Those that it had not met before."""
    if not keys:
        return set()
    values = {"backfill_id": backfill_id, "keys": texts(sorted(set(keys)))}
    return set(session.execute(REMEMBER, values).scalars())
