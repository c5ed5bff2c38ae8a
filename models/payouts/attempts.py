"""The rows of attempts, and what is due: SQL only. What an answer means is decided elsewhere, and moved by `moving`."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.jobs.claim import WAKE_SQL
from models.payouts.payout import Attempt


@dataclass(frozen=True, slots=True)
class Place:
    """A payout, and the account it goes through."""

    payout_id: UUID
    tenant: str
    provider: str

    @property
    def account(self) -> tuple[str, str]:
        return self.tenant, self.provider


FIND = text("SELECT id AS payout_id, tenant, provider FROM payouts WHERE id = :payout_id")

# The same attempt sent again keeps its key, its reference and the time of their first use.
WRITE_SQL = """
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, error_code, object_id, sends, started_at, first_used_at, key_valid_until, finished_at)
    VALUES (:payout_id, :attempt_no, :tenant, :provider, :provider_key, :reference, :claim_version, :outcome,
        :error_code, :object_id, :sends, :started_at, :first_used_at, :key_valid_until, :finished_at)
    ON CONFLICT (payout_id, attempt_no) DO UPDATE SET claim_version = excluded.claim_version,
        outcome = excluded.outcome, error_code = excluded.error_code, object_id = excluded.object_id,
        sends = excluded.sends, started_at = excluded.started_at, finished_at = excluded.finished_at
"""
WRITE = text(WRITE_SQL)

# And what came too early for it is tried again.
WRITE_AND_WAKE = text(f"WITH woken AS ({WAKE_SQL}) {WRITE_SQL}")

# It stays in doubt, or submitted: no move.
POSTPONE_LOOKUP = text("""
    UPDATE payouts SET lookups_made = :lookups_made, next_lookup_at = :next_lookup_at, dispatched_until = NULL
    WHERE id = :payout_id AND state IN ('in_doubt', 'submitted')
""")

# It has the provider's own id, which we did not know.
NAME_OBJECT = text("UPDATE payouts SET provider_reference = :object_id WHERE id = :payout_id")

WITHDRAW = text(
    "UPDATE payouts SET dispatched_until = NULL WHERE id = :payout_id AND dispatched_until IS NOT NULL"
)

# Plans of small tables outlive their smallness: what is due is found by index, however long the queue.
BY_INDEX = text("SELECT set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)")

ACCOUNTS_WITH_WORK = text("""
    SELECT a.tenant, a.provider FROM provider_accounts a JOIN tenants t USING (tenant)
    WHERE a.enabled AND a.paused_at IS NULL AND t.paused_at IS NULL
        AND (a.breaker = 'closed' OR a.probe_at <= :now) AND EXISTS (
            SELECT FROM payouts p WHERE p.tenant = a.tenant AND p.provider = a.provider
                AND p.state IN ('approved', 'cooling') AND p.next_attempt_at <= :now
                AND (p.dispatched_until IS NULL OR p.dispatched_until <= :now))
""")

UNDER_WAY = text("""
    SELECT (SELECT count(*) FROM payouts WHERE tenant = :tenant AND provider = :provider AND state = 'sending')
        + (SELECT count(*) FROM payouts WHERE tenant = :tenant AND provider = :provider AND dispatched_until > :now
            AND state IN ('approved', 'cooling'))
""")

TAKE_DUE = text("""
    WITH due AS (
        SELECT id, next_attempt_at FROM payouts
        WHERE tenant = :tenant AND provider = :provider AND state IN ('approved', 'cooling')
            AND next_attempt_at <= :now AND (dispatched_until IS NULL OR dispatched_until <= :now)
        ORDER BY next_attempt_at, id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE payouts p SET dispatched_until = :dispatched_until FROM due WHERE p.id = due.id
        RETURNING p.id, due.next_attempt_at
    )
    SELECT id FROM taken ORDER BY next_attempt_at, id
""")

# At most :each of one account at a time, so that one account's doubts do not delay another's; doubts come first.
TAKE_LOOKUPS = text("""
    WITH ranked AS (
        SELECT p.id, row_number() OVER (
            PARTITION BY p.tenant, p.provider ORDER BY p.state <> 'in_doubt', p.next_lookup_at, p.id) AS nth
        FROM payouts p JOIN provider_accounts a USING (tenant, provider)
        WHERE a.enabled AND p.state IN ('in_doubt', 'submitted') AND p.next_lookup_at <= :now
            AND (p.dispatched_until IS NULL OR p.dispatched_until <= :now)
    ), due AS (
        SELECT p.id, r.nth FROM payouts p JOIN ranked r USING (id)
        WHERE r.nth <= :each AND p.state IN ('in_doubt', 'submitted') AND p.next_lookup_at <= :now
            AND (p.dispatched_until IS NULL OR p.dispatched_until <= :now)
        ORDER BY r.nth, p.id LIMIT :limit FOR NO KEY UPDATE OF p SKIP LOCKED
    ), taken AS (
        UPDATE payouts p SET dispatched_until = :dispatched_until FROM due WHERE p.id = due.id
        RETURNING p.id AS payout_id, p.tenant, p.provider, due.nth
    )
    SELECT payout_id, tenant, provider FROM taken ORDER BY nth, payout_id
""")

# What a person looks at already is not told again; what was resolved is, after as long.
UNASKED = text("""
    SELECT p.id, p.tenant, p.provider, p.state, p.amount_minor, p.currency, p.next_lookup_at FROM payouts p
    WHERE p.state IN ('in_doubt', 'submitted') AND p.next_lookup_at < :in_doubt_before
        AND (p.state = 'in_doubt' OR p.next_lookup_at < :submitted_before)
        AND NOT EXISTS (
            SELECT FROM reconciliation_findings f
            WHERE f.tenant = p.tenant AND f.subject = 'payout\\:' || p.id
                AND f.kind = CASE p.state WHEN 'in_doubt' THEN 'in_doubt_overdue' ELSE 'status_mismatch' END
                AND (f.state IN ('open', 'ignored') OR f.last_seen_at >= :in_doubt_before))
    ORDER BY p.next_lookup_at LIMIT :limit
""")

LOST = text("""
    SELECT tenant, id FROM payouts WHERE state = 'sending' AND claimed_until <= :now
    ORDER BY claimed_until LIMIT :limit
""")

EXPIRED = text("""
    SELECT tenant, id FROM payouts WHERE state = 'awaiting_approval' AND approval_expires_at <= :now
    ORDER BY approval_expires_at LIMIT :limit
""")


def find_place(session: Session, payout_id: UUID) -> Place | None:
    """Where the payout belongs; reads without a lock."""
    row = session.execute(FIND, {"payout_id": payout_id}).mappings().one_or_none()
    return None if row is None else Place(**row)


def write_attempt(session: Session, attempt: Attempt) -> None:
    """Insert the attempt or bring its row up to date; lock its payout first."""
    session.execute(WRITE, asdict(attempt))


def write_and_wake(session: Session, attempt: Attempt, wait_keys: Collection[str], *, now: datetime) -> None:
    """The same, and queue the parked jobs that wait for any of these keys."""
    values = {"wait_keys": sorted(wait_keys), "now": require_aware(now)}
    session.execute(WRITE_AND_WAKE, asdict(attempt) | values)


def postpone_lookup(
    session: Session, payout_id: UUID, *, lookups_made: int, next_lookup_at: datetime
) -> None:
    """A look-up proved nothing: the next one is at `next_lookup_at`. Lock the payout first."""
    values = {"payout_id": payout_id, "lookups_made": lookups_made, "next_lookup_at": next_lookup_at}
    session.execute(POSTPONE_LOOKUP, values)


def name_object(session: Session, payout_id: UUID, object_id: str) -> None:
    """Note the provider's id of a payout that moved before we knew it. Lock the payout first."""
    session.execute(NAME_OBJECT, {"payout_id": payout_id, "object_id": object_id})


def withdraw(session: Session, payout_id: UUID) -> None:
    """No message for it is under way any more. Lock the payout first."""
    session.execute(WITHDRAW, {"payout_id": payout_id})


def accounts_with_work(session: Session, *, now: datetime) -> list[tuple[str, str]]:
    """(tenant, provider) of the accounts through which something is due and may go, as far as can be said unlocked."""
    session.execute(BY_INDEX)
    return [
        (row.tenant, row.provider) for row in session.execute(ACCOUNTS_WITH_WORK, {"now": require_aware(now)})
    ]


def under_way(session: Session, tenant: str, provider: str, *, now: datetime) -> int:
    """How many of the account's payouts are being sent, or have a message under way. Lock the account first."""
    session.execute(BY_INDEX)
    values = {"tenant": tenant, "provider": provider, "now": require_aware(now)}
    found: int = session.execute(UNDER_WAY, values).scalar_one()
    return found


def take_due(
    session: Session, tenant: str, provider: str, *, limit: int, dispatched_until: datetime, now: datetime
) -> list[UUID]:
    """The account's payouts that are due longest; no one else is given them before `dispatched_until`."""
    values = {"tenant": tenant, "provider": provider, "limit": limit, "dispatched_until": dispatched_until}
    return list(session.execute(TAKE_DUE, values | {"now": require_aware(now)}).scalars())


def take_lookups(
    session: Session, *, limit: int, each: int, dispatched_until: datetime, now: datetime
) -> list[Place]:
    """Payouts in doubt or submitted whose look-up is due, the accounts taking turns, at most `each` of one account."""
    values = {"limit": limit, "each": each, "dispatched_until": dispatched_until, "now": require_aware(now)}
    return [Place(**row) for row in session.execute(TAKE_LOOKUPS, values).mappings()]


def unasked(
    session: Session, *, in_doubt_before: datetime, submitted_before: datetime, limit: int
) -> list[Mapping[str, Any]]:
    """Payouts whose look-up was due before that and has not been made, and that no finding tells of."""
    values = {"in_doubt_before": in_doubt_before, "submitted_before": submitted_before, "limit": limit}
    return [dict(row) for row in session.execute(UNASKED, values).mappings()]


def lost_claims(session: Session, *, now: datetime, limit: int) -> Mapping[str, Collection[UUID]]:
    """Tenant -> payouts whose claim has run out: whoever had it died, or has lost the database."""
    return _by_tenant(session, LOST, now, limit)


def expired_approvals(session: Session, *, now: datetime, limit: int) -> Mapping[str, Collection[UUID]]:
    """Tenant -> payouts that nobody has approved in time."""
    return _by_tenant(session, EXPIRED, now, limit)


def _by_tenant(session: Session, query: Any, now: datetime, limit: int) -> Mapping[str, Collection[UUID]]:
    found: dict[str, list[UUID]] = {}
    for tenant, payout_id in session.execute(query, {"now": require_aware(now), "limit": limit}):
        found.setdefault(tenant, []).append(payout_id)
    return found
