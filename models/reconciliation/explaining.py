"""Everything known about one reference, read together: jobs, webhooks, money, records, findings, audit.

A reference is whatever a person has in hand: ours, the provider's id, a payout's, an attempt's, a job's, a record's, or
the number of a finding.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.errors import NotFound

Row = Mapping[str, Any]

ROWS_MAX = 200
"""Of each kind."""
FINDING_NAME = re.compile(r"finding[: ]([0-9]{1,18})", re.IGNORECASE)
"""As the audit trail, a report and people write it."""
NUMBER = re.compile(r"[0-9]{1,18}")
RUNS_MAX = 7
"""Of each provider: the runs whose whole takes are looked through, the last ones."""

TENANTS = text(
    "SELECT tenant FROM tenants WHERE CAST(:tenant AS text) IS NULL OR tenant = :tenant ORDER BY 1"
)

PROVIDERS = text("SELECT provider FROM provider_accounts WHERE tenant = :tenant ORDER BY 1")

DEPOSITS = text("""
    SELECT id, provider, reference, owner, state, currency, expected_minor, captured_minor, refunded_minor,
        charged_back_minor, business_date, object_ids, job_id, expected_at, updated_at FROM deposits
    WHERE tenant = :tenant AND provider = ANY(CAST(:providers AS text[])) AND reference = :ref
    UNION
    SELECT id, provider, reference, owner, state, currency, expected_minor, captured_minor, refunded_minor,
        charged_back_minor, business_date, object_ids, job_id, expected_at, updated_at FROM deposits
    WHERE object_ids @> ARRAY[CAST(:ref AS text)] AND tenant = :tenant
    ORDER BY 1 LIMIT :rows
""")

PAYOUTS = text("""
    SELECT p.id, p.owner, p.state, p.amount_minor, p.currency, p.provider, p.attempts_made, p.provider_reference,
        p.failure_code, p.requested_at FROM payouts p
    WHERE p.tenant = :tenant AND (p.id = CAST(:id AS uuid) OR p.id IN (
        SELECT payout_id FROM payout_attempts WHERE tenant = :tenant AND provider = ANY(CAST(:providers AS text[]))
            AND reference = :ref
        UNION ALL SELECT payout_id FROM payout_attempts WHERE object_id = :ref AND tenant = :tenant))
    ORDER BY p.id LIMIT :rows
""")

ATTEMPTS = text("""
    SELECT payout_id, attempt_no, provider, reference, object_id, outcome, error_code, started_at, finished_at
    FROM payout_attempts WHERE payout_id = ANY(CAST(:payouts AS uuid[])) ORDER BY payout_id, attempt_no LIMIT :rows
""")

LEDGER = text("""
    SELECT t.id AS transaction_id, t.kind, t.subject, t.occurred_at, t.job_id, a.code, a.currency, e.amount_minor
    FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id JOIN accounts a ON a.id = e.account_id
    WHERE t.tenant = :tenant AND (t.subject = ANY(CAST(:subjects AS text[])) OR t.job_id = CAST(:id AS uuid))
    ORDER BY t.id, e.id LIMIT :rows
""")

# By id; and what waits for it, or died, naming it.
JOBS = text("""
    SELECT j.id, j.name, j.origin, j.state, j.idempotency_key, j.attempts, j.last_error, j.result, j.delivery_id,
        j.accepted_at, j.finished_at
    FROM jobs j WHERE j.tenant = :tenant AND j.id IN (
        SELECT unnest(CAST(:ids AS uuid[]))
        UNION ALL
        SELECT job_id FROM payout_events WHERE payout_id = ANY(CAST(:payouts AS uuid[])) AND job_id IS NOT NULL
        UNION ALL
        SELECT id FROM jobs WHERE state = 'parked' AND tenant = :tenant
            AND wait_keys && CAST(:wait_keys AS text[])
        UNION ALL
        SELECT id FROM jobs WHERE state = 'dead' AND tenant = :tenant
            AND (args ->> 'reference' = ANY(CAST(:references AS text[])) OR args ->> 'object_id' = :ref)
        UNION ALL
        SELECT id FROM jobs WHERE state = 'queued' AND tenant = :tenant
            AND args ->> 'reference' = ANY(CAST(:references AS text[])))
    ORDER BY j.seq LIMIT :rows
""")

WEBHOOKS = text("""
    SELECT id, provider, event_keys, received_at, octet_length(body) AS bytes, encode(body_sha256, 'hex') AS sha256,
        CASE WHEN :bodies THEN body END AS body
    FROM webhook_deliveries WHERE id = ANY(CAST(:deliveries AS bigint[])) AND tenant = :tenant ORDER BY id LIMIT :rows
""")

TAKES = text("""
    SELECT take_id FROM (
        SELECT take_id, row_number() OVER (PARTITION BY provider ORDER BY business_date DESC) AS place
        FROM reconciliation_runs WHERE tenant = :tenant AND take_id IS NOT NULL) runs
    WHERE place <= :runs
""")

RECORDS = text("""
    SELECT n.id AS run_id, n.business_date, r.provider, r.record_id, r.kind, r.reference, r.object_id, r.amount_minor,
        r.currency, r.fee_minor, r.fee_currency, r.status, r.occurred_at, r.line
    FROM provider_records r JOIN reconciliation_runs n ON n.take_id = r.take_id
    WHERE r.take_id = ANY(CAST(:takes AS bigint[])) AND r.tenant = :tenant
        AND (r.reference = ANY(CAST(:references AS text[])) OR r.record_id = :ref OR r.object_id = :ref)
    ORDER BY n.business_date, r.record_id LIMIT :rows
""")

FINDINGS = text("""
    SELECT id, provider, kind, severity, state, subject, amount_minor, currency, detail, times_seen, first_seen_at,
        last_seen_at, closed_at, closed_by, reason
    FROM reconciliation_findings
    WHERE tenant = :tenant AND (subject = ANY(CAST(:subjects AS text[])) OR id = CAST(:finding AS bigint))
    ORDER BY id IS DISTINCT FROM CAST(:finding AS bigint), id LIMIT :rows
""")

FINDING = text("""
    SELECT tenant, subject, detail FROM reconciliation_findings
    WHERE id = :finding AND (CAST(:tenant AS text) IS NULL OR tenant = :tenant)
""")

AUDIT = text("""
    SELECT at, actor, action, subject, reason, detail FROM audit_events
    WHERE tenant = :tenant AND subject = ANY(CAST(:subjects AS text[])) ORDER BY id LIMIT :rows
""")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one tenant's rows say of a reference, each list in order of time. `truncated`: there is more."""

    tenant: str
    reference: str
    deposits: Sequence[Row]
    payouts: Sequence[Row]
    attempts: Sequence[Row]
    jobs: Sequence[Row]
    webhooks: Sequence[Row]
    ledger: Sequence[Row]
    records: Sequence[Row]
    findings: Sequence[Row]
    audit: Sequence[Row]

    @property
    def is_empty(self) -> bool:
        return not any((self.deposits, self.payouts, self.jobs, self.ledger, self.records, self.findings))

    @property
    def truncated(self) -> bool:
        return any(len(rows) == ROWS_MAX for rows in (self.jobs, self.webhooks, self.ledger, self.records))


def explain(session: Session, ref: str, *, tenant: str | None = None, bodies: bool = False) -> list[Snapshot]:
    """A snapshot of each tenant that knows the reference; of a finding, what it is about, and the finding first. Bodies
    of webhooks only where they are asked for.

    A bare number that is nobody's reference is a finding's. Raises NotFound for `finding:<number>` when there is none.
    """
    if named := FINDING_NAME.fullmatch(ref):
        return _of_finding(session, int(named[1]), tenant, bodies)
    names = session.execute(TENANTS, {"tenant": tenant}).scalars().all()
    found = [one for name in names if not (one := _snapshot(session, name, ref, bodies)).is_empty]
    if not found and NUMBER.fullmatch(ref):
        return _of_finding(session, int(ref), tenant, bodies)
    return found


def _of_finding(session: Session, number: int, tenant: str | None, bodies: bool) -> list[Snapshot]:
    row = session.execute(FINDING, {"finding": number, "tenant": tenant}).one_or_none()
    if row is None:
        raise NotFound(f"{tenant} has no finding {number}" if tenant else f"there is no finding {number}")
    return [_snapshot(session, row.tenant, _about(row.subject, row.detail), bodies, number)]


def _about(subject: str, detail: Mapping[str, Any]) -> str:
    """What a finding is about, by the name that leads furthest: of a payout of ours its id, else a reference, the
    provider's id or the record's, else what the subject says after its kind and provider."""
    kind, _, name = subject.partition(":")
    if kind == "payout" and _uuid(name):
        return name
    told = detail.get("reference") if kind in ("deposit", "payout") else None
    known = detail.get("object_id") or detail.get("record_id")
    if told is None or str(told).startswith("record "):
        told = known
    return str(told or name.partition(":")[2] or subject)


def _snapshot(session: Session, tenant: str, ref: str, bodies: bool, finding: int | None = None) -> Snapshot:
    asked: dict[str, Any] = {
        "tenant": tenant,
        "ref": ref,
        "id": _uuid(ref),
        "rows": ROWS_MAX,
        "finding": finding,
    }
    asked["providers"] = list(session.execute(PROVIDERS, {"tenant": tenant}).scalars())
    asked["takes"] = list(session.execute(TAKES, {"tenant": tenant, "runs": RUNS_MAX}).scalars())
    deposits, payouts = _rows(session, DEPOSITS, asked), _rows(session, PAYOUTS, asked)
    asked["payouts"] = [row["id"] for row in payouts]
    attempts = _rows(session, ATTEMPTS, asked)
    asked["references"] = sorted({ref, *(row["reference"] for row in [*deposits, *attempts])})
    records = _rows(session, RECORDS, asked)
    asked["subjects"] = _subjects(asked, deposits, payouts, records)
    asked["wait_keys"] = _wait_keys(asked["providers"], asked["references"])
    ledger = _rows(session, LEDGER, asked)
    asked["ids"] = _job_ids(asked, deposits, payouts, ledger)
    jobs = _rows(session, JOBS, asked)
    asked |= {"deliveries": [row["delivery_id"] for row in jobs if row["delivery_id"]], "bodies": bodies}
    findings = _rows(session, FINDINGS, asked)
    asked["subjects"] += [f"finding:{row['id']}" for row in findings]
    return Snapshot(
        tenant=tenant,
        reference=ref,
        deposits=deposits,
        payouts=payouts,
        attempts=attempts,
        jobs=jobs,
        webhooks=_rows(session, WEBHOOKS, asked),
        ledger=ledger,
        records=records,
        findings=findings,
        audit=_rows(session, AUDIT, asked),
    )


def _subjects(
    asked: Mapping[str, Any], deposits: Sequence[Row], payouts: Sequence[Row], records: Sequence[Row]
) -> list[str]:
    """What ledger, findings and audit call it. A deposit that only the provider knows has a subject too."""
    guesses = {
        f"{kind}:{one}:{asked['ref']}"
        for one in asked["providers"]
        for kind in ("deposit", "fee", "payout", "settlement")
    }
    known = {f"deposit:{row['provider']}:{row['reference']}" for row in deposits}
    paid = {f"{kind}:{row['id']}" for row in payouts for kind in ("hold", "payout")}
    told = {f"{row['kind']}:{row['provider']}:{row['reference']}" for row in records}
    booked = {
        f"{kind}:{row['provider']}:{name}"
        for row in records
        for kind, name in (
            ("fee", row["record_id"]),
            ("settlement", row["object_id"] or row["record_id"]),
            ("record", row["record_id"]),
        )
    }
    return sorted({asked["ref"]} | guesses | known | paid | told | booked)


def _wait_keys(providers: Sequence[str], references: Sequence[str]) -> list[str]:
    """What parked webhooks wait for: deposits and payouts, by our reference or the provider's id."""
    return [
        f"{kind}:{provider}:{by}:{name}"
        for kind in ("deposit", "payout")
        for provider in providers
        for by in ("ref", "obj")
        for name in references
    ]


def _job_ids(
    asked: Mapping[str, Any], deposits: Sequence[Row], payouts: Sequence[Row], ledger: Sequence[Row]
) -> list[UUID]:
    found = {asked["id"], *(row["job_id"] for row in [*deposits, *ledger]), *(row["id"] for row in payouts)}
    return sorted(one for one in found if one is not None)


def _uuid(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None


def _rows(session: Session, query: Any, values: Mapping[str, Any]) -> list[Row]:
    return [dict(row) for row in session.execute(query, values).mappings()]
