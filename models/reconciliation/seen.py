"""What a report tells of a run, read set-based: findings, bad rows, fees, earlier nights; and what a sweep counted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

Row = Mapping[str, Any]

STREAM_ROWS = 500

# One moment for all of the report's reads: what is counted is what is listed.
ONE_MOMENT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")

RANK = "array_position(ARRAY['critical', 'high', 'medium', 'low'], severity)"
OPEN = "tenant = :tenant AND provider = ANY(CAST(:providers AS text[])) AND state = 'open'"

# An event about something unknown, and a record of the same money, are two findings; so are two events of one payout.
# Of a deposit each event is a movement of its own, and has a record of its own.
TOLD_ELSEWHERE = f"""
    events AS MATERIALIZED (
        SELECT *, row_number() OVER (PARTITION BY provider, subject, currency, minor, line ORDER BY id) AS nth
        FROM (
            SELECT id, provider, subject, currency, abs(amount_minor) AS minor,
                CASE WHEN starts_with(detail ->> 'move', 'payout') THEN 'payout'
                    WHEN starts_with(detail ->> 'move', 'refund') THEN 'refund'
                    WHEN starts_with(detail ->> 'move', 'chargeback') THEN 'chargeback' ELSE 'deposit' END AS line
            FROM reconciliation_findings
            WHERE {OPEN} AND kind = 'unknown_event' AND amount_minor IS NOT NULL AND currency IS NOT NULL) e
    ),
    records AS MATERIALIZED (
        SELECT provider, subject, currency, abs(amount_minor) AS minor, detail ->> 'line' AS line, count(*) AS records
        FROM reconciliation_findings
        WHERE {OPEN} AND kind <> 'unknown_event' AND subject IN (SELECT subject FROM events) GROUP BY 1, 2, 3, 4, 5
    ),
    told_elsewhere AS MATERIALIZED (
        SELECT id FROM events LEFT JOIN records USING (provider, subject, currency, minor, line)
        WHERE CASE line WHEN 'payout' THEN nth > 1 OR records IS NOT NULL ELSE nth <= coalesce(records, 0) END
    )
"""  # noqa: S608 - put together from constants of this room
COLUMNS = """
    id, kind, severity, state, subject, amount_minor, currency, detail, first_seen_at, last_seen_at, times_seen, reason,
    id IN (SELECT id FROM told_elsewhere) AS told_elsewhere
"""

# The worst first, and of those the largest; the first :listed of them are shown one by one.
LISTED = text(f"""
    WITH {TOLD_ELSEWHERE}
    SELECT {COLUMNS} FROM reconciliation_findings WHERE {OPEN}
    ORDER BY {RANK}, abs(amount_minor) DESC NULLS LAST, id LIMIT :listed
""")  # noqa: S608 - put together from constants of this room
REST = text(f"""
    WITH {TOLD_ELSEWHERE}
    SELECT {COLUMNS} FROM reconciliation_findings WHERE {OPEN}
    ORDER BY {RANK}, abs(amount_minor) DESC NULLS LAST, id OFFSET :listed
""")  # noqa: S608
GROUPS = text(f"""
    WITH {TOLD_ELSEWHERE}
    SELECT kind, severity, currency, detail ->> 'line' AS line, count(*) AS findings,
        min(first_seen_at) AS first_seen_at,
        CAST(sum(abs(amount_minor)) AS bigint) AS amount_minor,
        CAST(coalesce(sum(abs(amount_minor)) FILTER (WHERE id IN (SELECT id FROM told_elsewhere)), 0) AS bigint)
            AS told_elsewhere_minor
    FROM (SELECT * FROM reconciliation_findings WHERE {OPEN}
        ORDER BY {RANK}, abs(amount_minor) DESC NULLS LAST, id OFFSET :listed) rest
    GROUP BY kind, severity, currency, 4, amount_minor IS NULL ORDER BY 5 DESC, 1, 2, 3, 4
""")  # noqa: S608

BAD_ROWS = text("""
    SELECT line, raw, reason FROM reconciliation_bad_rows WHERE run_id = :run_id ORDER BY id LIMIT :rows
""")

# The last ones that were booked for this account: what the run has just posted.
FEES = text("""
    SELECT a.currency, CAST(-sum(e.amount_minor) AS bigint) AS amount_minor, count(*) AS records
    FROM (SELECT id FROM ledger_transactions
        WHERE tenant = :tenant AND kind = 'fee.booked' AND starts_with(subject, 'fee\\:' || :provider || '\\:')
        ORDER BY id DESC LIMIT :booked) t
    JOIN ledger_entries e ON e.transaction_id = t.id
    JOIN accounts a ON a.id = e.account_id AND a.code = 'house\\:fees'
    GROUP BY 1 ORDER BY 1
""")

# The last ones, likewise: what went to each bank account.
SETTLEMENTS = text("""
    SELECT a.code, a.currency, CAST(-sum(e.amount_minor) AS bigint) AS amount_minor, count(*) AS records
    FROM (SELECT id FROM ledger_transactions
        WHERE tenant = :tenant AND kind IN ('settlement.booked', 'settlement.returned')
            AND starts_with(subject, 'settlement\\:' || :provider || '\\:')
        ORDER BY id DESC LIMIT :booked) t
    JOIN ledger_entries e ON e.transaction_id = t.id
    JOIN accounts a ON a.id = e.account_id AND starts_with(a.code, 'bank\\:')
    GROUP BY 1, 2 ORDER BY 1, 2
""")

NEIGHBOURS = text("""
    SELECT business_date, state, matched, findings_open FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider AND business_date <= :business_date
        AND state IN ('done', 'truncated', 'failed')
    ORDER BY business_date DESC LIMIT :rows
""")

NOTE_SWEEP = text("""
    UPDATE reconciliation_runs
    SET counts = counts || jsonb_build_object('webhooks_listed', CAST(:listed AS int),
        'webhooks_missed', CAST(:missed AS int)) WHERE id = :run_id
""")

FILES = text("SELECT name, run_id FROM reconciliation_files WHERE tenant = :tenant AND provider = :provider")


@dataclass(frozen=True, slots=True)
class Standing:
    """Which findings: the open ones of these providers. The first `listed` are rows, the others are counted."""

    tenant: str
    providers: Sequence[str]
    listed: int


def one_moment(session: Session) -> None:
    """First of a transaction: everything it reads is of the same moment."""
    session.execute(ONE_MOMENT)


def listed_findings(session: Session, standing: Standing) -> list[Row]:
    return _rows(session, LISTED, **asdict(standing))


def grouped_findings(session: Session, standing: Standing) -> list[Row]:
    """The others, by kind, severity and currency."""
    return _rows(session, GROUPS, **asdict(standing))


def further_findings(session: Session, standing: Standing) -> Iterator[Row]:
    """The others one by one, streamed."""
    found = session.execute(REST, asdict(standing), execution_options={"yield_per": STREAM_ROWS})
    for row in found.mappings():
        yield dict(row)


def bad_rows(session: Session, run_id: int, rows: int) -> list[Row]:
    return _rows(session, BAD_ROWS, run_id=run_id, rows=rows)


def fees_booked(session: Session, tenant: str, provider: str, booked: int) -> list[Row]:
    """By currency, what the last `booked` fees of the account come to."""
    return _rows(session, FEES, tenant=tenant, provider=provider, booked=booked) if booked else []


def settlements_booked(session: Session, tenant: str, provider: str, booked: int) -> list[Row]:
    """By bank account and currency, what the last `booked` own transfers of the account come to."""
    return _rows(session, SETTLEMENTS, tenant=tenant, provider=provider, booked=booked) if booked else []


def neighbours(session: Session, tenant: str, provider: str, business_date: date, *, rows: int) -> list[Row]:
    """The runs that ended, up to this date, oldest first."""
    found = _rows(
        session, NEIGHBOURS, tenant=tenant, provider=provider, business_date=business_date, rows=rows
    )
    return found[::-1]


def note_sweep(session: Session, run_id: int, *, listed: int, missed: int) -> None:
    """So many events the provider listed, so many of them had not reached us."""
    session.execute(NOTE_SWEEP, {"run_id": run_id, "listed": listed, "missed": missed})


def taken_files(session: Session, tenant: str, provider: str) -> dict[str, int]:
    """Name of each report file that was taken, and the run that took it."""
    found = session.execute(FILES, {"tenant": tenant, "provider": provider})
    return {row.name: row.run_id for row in found}


def _rows(session: Session, query: Any, **values: Any) -> list[Row]:
    return [dict(row) for row in session.execute(query, values).mappings()]
