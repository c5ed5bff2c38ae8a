"""From lines to findings, set-based: opened, seen again, opened again, closed. After matching, in its transaction."""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.changing import changed
from models.reconciliation.findings import SEEN_AGAIN, SEVERITY, Finding, record_findings
from models.reconciliation.scope import Scope

RECONCILIATION = "reconciliation"
"""Who closes what has gone."""

# `subject` is the one that the ledger, the payouts and their findings use, so that all about one thing is found by it.
# Two findings of one kind about one subject are told apart by the record or the transaction that they are about.
FINDINGS = """
    SELECT finding AS kind, subject, left(encode(sha256(convert_to(CAST(jsonb_build_array(
            CAST(:provider AS text), finding, subject,
            CASE finding WHEN 'duplicate_record' THEN 'record' ELSE kind END || ' '
                || coalesce(record_id, 'transaction ' || transaction_id)) AS text), 'UTF8')), 'hex'), 32)
            AS fingerprint,
        abs(CASE WHEN theirs_currency = ours_currency THEN theirs_minor - ours_minor
            ELSE coalesce(theirs_minor, ours_minor) END) AS amount_minor,
        coalesce(theirs_currency, ours_currency) AS currency,
        CASE WHEN theirs_judged THEN theirs_at ELSE ours_at END AS occurred_at,
        jsonb_strip_nulls(jsonb_build_object('line', kind, 'reference', reference, 'record_id', record_id,
            'transaction_id', transaction_id, 'provider_minor', theirs_minor, 'provider_currency', theirs_currency,
            'provider_status', told_status, 'provider_at', theirs_at, 'feed_line', line, 'ledger_minor', ours_minor,
            'ledger_currency', ours_currency, 'ledger_at', ours_at)) AS detail
    FROM (
        SELECT l.finding, l.kind, l.reference, l.record_id, l.theirs_currency, l.theirs_minor, l.theirs_at,
            l.told_status, l.line, l.theirs_judged, l.transaction_id, l.ours_currency, l.ours_minor, l.ours_at,
            CASE CASE l.finding WHEN 'duplicate_record' THEN 'record' ELSE l.kind END
                WHEN 'record' THEN 'record\\:' || CAST(:provider AS text) || '\\:' || l.record_id
                WHEN 'payout' THEN coalesce('payout\\:' || substr(l.subject, 6),
                    'payout\\:' || p.payout_id, 'payout\\:' || CAST(:provider AS text) || '\\:' || l.reference)
                WHEN 'fee' THEN :fee || l.reference
                WHEN 'own_transfer' THEN coalesce(l.subject,
                    :settlement || CASE WHEN CAST(:bank AS text) IS NULL THEN l.reference ELSE l.record_id END)
                WHEN 'other' THEN l.reference
                ELSE :deposit || l.reference END AS subject
        FROM reconciliation_lines l
        LEFT JOIN payout_attempts p ON l.kind = 'payout'
            AND p.tenant = :tenant AND p.provider = :provider AND p.reference = l.reference
        WHERE l.status = 'finding'
    ) lines
"""

# Opens what is new, sees again what is there. `before` are the findings as they stood.
CONCLUDE = text(f"""
    WITH seen AS MATERIALIZED (
        SELECT DISTINCT ON (fingerprint) * FROM ({FINDINGS}) found
        ORDER BY fingerprint, detail ->> 'line' = 'record' DESC
    ),
    before AS MATERIALIZED (
        SELECT s.fingerprint, f.state FROM seen s
        LEFT JOIN reconciliation_findings f ON f.tenant = :tenant AND f.fingerprint = s.fingerprint
    ),
    written AS (
        INSERT INTO reconciliation_findings (tenant, provider, kind, fingerprint, subject, amount_minor, currency,
            detail, severity, run_id, occurred_at, first_seen_at, last_seen_at)
        SELECT :tenant, :provider, kind, fingerprint, subject, amount_minor, currency, detail,
            {SEVERITY.format(kind="kind", amount="amount_minor")}, :run_id, occurred_at, :now, :now
        FROM seen ORDER BY fingerprint
        {SEEN_AGAIN}
        RETURNING kind, fingerprint, state
    )
    SELECT w.kind, count(*), count(*) FILTER (WHERE b.state IS NULL),
        count(*) FILTER (WHERE b.state IN ('closed', 'resolved')), count(*) FILTER (WHERE w.state = 'ignored')
    FROM written w JOIN before b USING (fingerprint) GROUP BY 1
""")

# What this run would have seen and did not: it moved in the judged window, or its lines have found their counterparts,
# or it was told again and nothing contradicts it any more. Of what is expected still, nothing is known.
CLOSE = text(f"""
    UPDATE reconciliation_findings f SET state = 'closed', closed_at = :now, closed_by = '{RECONCILIATION}',
        reason = 'run ' || :run_id || ' found it in order'
    WHERE f.tenant = :tenant AND f.provider = :provider AND f.state = 'open' AND f.kind <> 'invariant_broken'
        AND f.run_id IS NOT NULL AND f.fingerprint NOT IN (SELECT fingerprint FROM ({FINDINGS}) seen)
        AND coalesce(CAST(f.detail ->> 'transaction_id' AS bigint) NOT IN (
            SELECT transaction_id FROM reconciliation_lines WHERE status = 'expected' AND transaction_id IS NOT NULL),
            true)
        AND ((f.occurred_at >= :judged_from AND f.occurred_at < :judged_until)
            OR (f.kind = 'duplicate_record' AND f.detail ->> 'record_id' IN (
                SELECT record_id FROM provider_records WHERE take_id = :take_id))
            OR (f.kind <> 'duplicate_record'
                AND coalesce(f.detail ->> 'record_id', f.detail ->> 'transaction_id') IS NOT NULL
                AND (NOT f.detail ? 'record_id' OR f.detail ->> 'record_id' IN (
                    SELECT record_id FROM reconciliation_lines WHERE status = 'matched' AND record_id IS NOT NULL))
                AND (NOT f.detail ? 'transaction_id' OR CAST(f.detail ->> 'transaction_id' AS bigint) IN (
                    SELECT transaction_id FROM reconciliation_lines
                    WHERE status = 'matched' AND transaction_id IS NOT NULL))))
""")

# Of the checks that were asked, what is no longer broken; what a check found about one provider, by a run of that one.
MEND = text(f"""
    UPDATE reconciliation_findings SET state = 'closed', closed_at = :now, closed_by = '{RECONCILIATION}',
        reason = 'run ' || :run_id || ' found it in order'
    WHERE tenant = :tenant AND provider = :provider AND kind = 'invariant_broken' AND state = 'open'
        AND detail ->> 'check' = ANY(CAST(:checks AS text[])) AND fingerprint <> ALL(CAST(:broken AS text[]))
        AND coalesce(detail ->> 'provider', :of) = :of
""")

COUNT_OPEN = text("""
    SELECT count(*) FROM reconciliation_findings
    WHERE tenant = :tenant AND provider = ANY(CAST(:providers AS text[])) AND state = 'open'
""")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a run did with the findings. `seen` counts them by kind, those that people ignore (`ignored`) included."""

    seen: Mapping[str, int]
    opened: int
    reopened: int
    ignored: int
    closed: int


def conclude(session: Session, scope: Scope, *, now: datetime) -> Conclusion:
    """Write the findings of the lines in question, and close those that this run covers and did not find."""
    values = scope.values | {"now": now}
    rows = session.execute(CONCLUDE, values).all()
    closed = changed(session, CLOSE, values)
    opened, reopened, ignored = (sum(row[place] for row in rows) for place in (2, 3, 4))
    return Conclusion({row[0]: row[1] for row in rows}, opened, reopened, ignored, closed)


def conclude_checks(
    session: Session,
    broken: Sequence[Finding],
    asked: Sequence[str],
    scope: Scope,
    provider: str,
    *,
    now: datetime,
) -> int:
    """Write what is broken, close what was broken and is no more, of the checks `asked`; how many were closed.

    `provider` is what these findings are filed under: the ledger belongs to no provider.
    """
    record_findings(session, broken, now=now, run_id=scope.run_id)
    values = {
        "tenant": scope.tenant,
        "provider": provider,
        "of": scope.provider,
        "run_id": scope.run_id,
        "now": now,
        "checks": list(asked),
        "broken": [one.fingerprint for one in broken],
    }
    return changed(session, MEND, values)


def count_open(session: Session, tenant: str, providers: Sequence[str]) -> int:
    """The findings that stand open."""
    found: int = session.execute(COUNT_OPEN, {"tenant": tenant, "providers": list(providers)}).scalar_one()
    return found
