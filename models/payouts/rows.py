"""Finding and locking payouts. Lock them before any account of theirs: every path does, so none waits in a circle."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import column, text
from sqlalchemy.orm import Session

from models.payouts.payout import PAYOUT_FIELDS, Attempt, Payout

LOCK = text("""
    SELECT * FROM payouts WHERE tenant = :tenant AND id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
""")

# Its columns are named, so that an answer is read by position. What follows in the transaction is found by index: plans
# of small tables outlive their smallness.
BY_INDEX = ("set_config('enable_seqscan', 'off', true)", "set_config('jit', 'off', true)")
LOCK_ONE = text(f"""
    SELECT {", ".join((*PAYOUT_FIELDS, *BY_INDEX))} FROM payouts WHERE id = :id FOR NO KEY UPDATE
""").columns(*map(column, (*PAYOUT_FIELDS, "seqscan", "jit")))  # noqa: S608 - constants

ATTEMPTS = text("""
    SELECT * FROM payout_attempts WHERE payout_id = ANY(CAST(:ids AS uuid[])) ORDER BY payout_id, attempt_no
""")

BY_REFERENCE = text("""
    SELECT a.*
    FROM unnest(CAST(:providers AS text[]), CAST(:references AS text[])) AS k (provider, reference)
    JOIN payout_attempts a ON a.tenant = :tenant AND a.provider = k.provider AND a.reference = k.reference
    UNION
    SELECT a.*
    FROM unnest(CAST(:object_providers AS text[]), CAST(:object_ids AS text[])) AS k (provider, object_id)
    JOIN payout_attempts a ON a.tenant = :tenant AND a.provider = k.provider AND a.object_id = k.object_id
""")


def lock_payouts(session: Session, tenant: str, ids: Collection[UUID]) -> dict[UUID, Payout]:
    """The tenant's payouts of these ids, locked in the order of their ids until the transaction ends."""
    if not ids:
        return {}
    rows = session.execute(LOCK, {"tenant": tenant, "ids": sorted(ids)}).mappings()
    return {row["id"]: Payout.from_row(dict(row)) for row in rows}


def lock_payout(session: Session, payout_id: UUID) -> Payout | None:
    """One payout, whosever it is, locked until the transaction ends; None when there is none."""
    row = session.execute(LOCK_ONE, {"id": payout_id}).one_or_none()
    return None if row is None else Payout(*row[: len(PAYOUT_FIELDS)])


def attempts_of(session: Session, ids: Collection[UUID]) -> dict[UUID, list[Attempt]]:
    """Payout id -> its attempts in order, for each id; lock the payouts first."""
    found: dict[UUID, list[Attempt]] = {payout_id: [] for payout_id in ids}
    for row in session.execute(ATTEMPTS, {"ids": sorted(ids)}).mappings():
        found[row["payout_id"]].append(Attempt.from_row(dict(row)))
    return found


def find_attempts(
    session: Session,
    tenant: str,
    references: Collection[tuple[str, str]],
    object_ids: Collection[tuple[str, str]] = (),
) -> Sequence[Attempt]:
    """The attempts known to the provider by our (provider, reference), or by its own (provider, object id)."""
    named, objects = sorted(references), sorted(object_ids)
    values = {
        "tenant": tenant,
        "providers": [provider for provider, _ in named],
        "references": [reference for _, reference in named],
        "object_providers": [provider for provider, _ in objects],
        "object_ids": [object_id for _, object_id in objects],
    }
    return [Attempt.from_row(dict(row)) for row in session.execute(BY_REFERENCE, values).mappings()]


def wait_keys(provider: str, reference: str | None, object_id: str | None = None) -> tuple[str, ...]:
    """What an event waits for whose payout is not known yet."""
    by_reference = (f"payout:{provider}:ref:{reference}",) if reference else ()
    return by_reference + ((f"payout:{provider}:obj:{object_id}",) if object_id else ())
