"""Events of a provider that tell of something nobody here knows: parked, and after the tenant's grace a finding.

They are found in the intake and not in a feed, so they belong to no run, and no feed that is too short says anything
about them. A finding lasts for as long as its job is parked for want of what it names.
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.changing import changed
from models.reconciliation.concluding import RECONCILIATION
from models.reconciliation.findings import SEEN_AGAIN, SEVERITY

KIND = "unknown_event"
CAUSE = "unknown_reference"
"""What such a job is parked for. One that waits for a further event about something known is none of these."""

SCOPE = """
    (CAST(:tenant AS text) IS NULL OR {table}.tenant = :tenant)
    AND (CAST(:provider AS text) IS NULL OR {provider} = :provider)
"""
PROVIDER = "j.args ->> 'provider'"
OPEN = f"f.kind = '{KIND}' AND f.state = 'open' AND {SCOPE.format(table='f', provider='f.provider')}"

# In the order in which people who close them lock them.
LOCK = text(f"""
    SELECT count(*) FROM (
        SELECT f.id FROM reconciliation_findings f WHERE {OPEN} ORDER BY f.id FOR NO KEY UPDATE) AS locked
""")

# Parked for longer than the grace; read from the small index of what waits. The subject is the one that the deposit or
# payout would have; of two events about it each is a finding.
PARKED = f"""
    SELECT tenant, provider, subject, amount_minor, currency, detail,
        left(encode(sha256(convert_to(CAST(jsonb_build_array(provider, '{KIND}', subject, job_id) AS text), 'UTF8')),
            'hex'), 32) AS fingerprint
    FROM (
        SELECT j.tenant, {PROVIDER} AS provider, j.id AS job_id,
            CASE WHEN starts_with(j.args ->> 'move', 'payout') THEN 'payout' ELSE 'deposit' END || '\\:'
                || ({PROVIDER}) || '\\:' || coalesce(j.args ->> 'reference', j.args ->> 'object_id', CAST(j.id AS text))
                AS subject,
            CASE WHEN j.args ->> 'currency' IS NOT NULL THEN CAST(j.args ->> 'amount_minor' AS bigint) END
                AS amount_minor,
            CASE WHEN j.args ->> 'amount_minor' IS NOT NULL THEN j.args ->> 'currency' END AS currency,
            jsonb_strip_nulls(jsonb_build_object('job_id', j.id, 'event', j.args -> 'event_key',
                'move', j.args -> 'move', 'reference', j.args -> 'reference', 'object_id', j.args -> 'object_id',
                'occurred_at', j.args -> 'occurred_at', 'accepted_at', j.accepted_at, 'cause', j.last_error)) AS detail
        FROM jobs j JOIN tenants t USING (tenant)
        WHERE j.state = 'parked' AND j.origin = 'provider' AND j.last_error = '{CAUSE}'
            AND jsonb_typeof(j.args -> 'provider') = 'string'
            AND j.accepted_at <= CAST(:now AS timestamptz) - make_interval(secs => t.reconcile_grace_seconds)
            AND {SCOPE.format(table="j", provider=f"({PROVIDER})")}
    ) AS told
"""

# Opens what is new and what has come back, sees the others again; `ignored` stays what it is. One that stands open,
# or that a person has resolved, is left as it is while it was seen after :stale_before.
WRITE = text(f"""
    WITH parked AS MATERIALIZED ({PARKED}),
    before AS MATERIALIZED (
        SELECT f.state, CAST(:stale_before AS timestamptz) IS NULL OR f.last_seen_at <= :stale_before AS is_stale
        FROM parked p LEFT JOIN reconciliation_findings f USING (tenant, fingerprint)
    ),
    written AS (
        INSERT INTO reconciliation_findings (tenant, provider, kind, fingerprint, subject, amount_minor, currency,
            detail, severity, first_seen_at, last_seen_at)
        SELECT tenant, provider, '{KIND}', fingerprint, subject, abs(amount_minor), currency, detail,
            {SEVERITY.format(kind=f"CAST('{KIND}' AS text)", amount="amount_minor")}, :now, :now
        FROM parked ORDER BY tenant, fingerprint
        {SEEN_AGAIN}
        WHERE CAST(:stale_before AS timestamptz) IS NULL OR reconciliation_findings.state = 'closed'
            OR reconciliation_findings.last_seen_at <= :stale_before
        RETURNING xmax = 0 AS is_new
    )
    SELECT count(*), (SELECT count(*) FROM written WHERE is_new),
        count(*) FILTER (WHERE state = 'closed' OR (state = 'resolved' AND is_stale)),
        count(*) FILTER (WHERE state = 'ignored')
    FROM before
""")

# A job that is just being tried again says nothing yet.
CLOSE = text(f"""
    UPDATE reconciliation_findings f SET state = 'closed', closed_at = :now, closed_by = '{RECONCILIATION}',
        reason = 'the event is ' || coalesce(ended.state, 'gone')
    FROM (
        SELECT f.id, j.state FROM reconciliation_findings f
        LEFT JOIN jobs j ON j.id = CAST(f.detail ->> 'job_id' AS uuid)
        WHERE {OPEN} AND f.detail ? 'job_id'
            AND (j.id IS NULL OR j.finished_at IS NOT NULL OR (j.state = 'parked' AND j.last_error <> '{CAUSE}'))
    ) AS ended
    WHERE f.id = ended.id AND f.state = 'open'
""")


@dataclass(frozen=True, slots=True)
class Strangers:
    """What a look did with the findings. `seen` are all that have waited longer than the grace, `ignored` included."""

    seen: int = 0
    opened: int = 0
    reopened: int = 0
    ignored: int = 0
    closed: int = 0


def look_for_strangers(
    session: Session,
    *,
    now: datetime,
    tenant: str | None = None,
    provider: str | None = None,
    seen_within: timedelta | None = None,
) -> Strangers:
    """Open, see again and close the findings, of one account or of all, in the caller's transaction. Safe to repeat.

    With `seen_within` a finding that was seen so lately is not counted as seen again.
    """
    values: dict[str, Any] = {"now": require_aware(now), "tenant": tenant, "provider": provider}
    session.execute(LOCK, values)
    stale = {"stale_before": None if seen_within is None else now - seen_within}
    seen, opened, reopened, ignored = session.execute(WRITE, values | stale).one()
    closed = changed(session, CLOSE, values)
    return Strangers(seen, opened, reopened, ignored, closed)
