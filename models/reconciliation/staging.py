"""What a provider told, staged for matching: copied in, chunk by chunk, each chunk in a transaction of its own.

A run that starts again empties its stage first.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

from psycopg import Cursor, DataError
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware


class Recorded(Protocol):
    """A settled record, as worker.providers.records.port.Record says it."""

    @property
    def record_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def object_id(self) -> str | None: ...
    @property
    def amount_minor(self) -> int: ...
    @property
    def currency(self) -> str: ...
    @property
    def fee_minor(self) -> int: ...
    @property
    def fee_currency(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def occurred_at(self) -> datetime: ...
    @property
    def line(self) -> int | None: ...


class Misread(Protocol):
    """A row that was not understood."""

    @property
    def line(self) -> int | None: ...
    @property
    def raw(self) -> str: ...
    @property
    def reason(self) -> str: ...


COPY_RECORDS = """
    COPY provider_records (take_id, tenant, provider, record_id, kind, reference, object_id, amount_minor, currency,
        fee_minor, fee_currency, status, occurred_at, line) FROM STDIN
"""

KEEP_BAD_ROWS = text("""
    INSERT INTO reconciliation_bad_rows (run_id, tenant, provider, line, raw, reason, at)
    SELECT :run_id, :tenant, :provider, b.line, b.raw, b.reason, :now
    FROM unnest(CAST(:lines AS int[]), CAST(:raws AS text[]), CAST(:reasons AS text[]))
        WITH ORDINALITY AS b (line, raw, reason, place)
    ORDER BY b.place
""")

# Our reference of each of these payments and payouts, where we know the provider's name for it.
NAME = text("""
    SELECT o.object_id, coalesce(
        (SELECT d.reference FROM deposits d WHERE d.object_ids @> ARRAY[o.object_id]
            AND d.tenant = :tenant AND d.provider = :provider ORDER BY d.id LIMIT 1),
        (SELECT p.reference FROM payout_attempts p WHERE p.object_id = o.object_id
            AND p.tenant = :tenant AND p.provider = :provider ORDER BY p.attempt_no DESC LIMIT 1))
    FROM unnest(CAST(:object_ids AS text[])) AS o (object_id)
""")

# Without waiting for the disk: what a crash of the server took is missed by `survey`, and the run fails.
HURRY = text("SELECT set_config('synchronous_commit', 'off', true)")

# Whole runs, so that the space is used again as a whole.
FORGET = text("""
    DELETE FROM provider_records WHERE take_id IN (
        SELECT unnest(ARRAY[take_id, taking_id]) FROM (
            SELECT take_id, taking_id FROM reconciliation_runs
            WHERE tenant = :tenant AND provider = :provider AND business_date < :before AND state <> 'running'
                AND (take_id IS NOT NULL OR taking_id IS NOT NULL) ORDER BY business_date DESC LIMIT :runs_max) old)
""")
RUNS_FORGOTTEN_MAX = 31

KNOWN_FILE = text("""
    SELECT run_id FROM reconciliation_files
    WHERE tenant = :tenant AND provider = :provider AND digest = :digest
""")
TAKE_FILE = text("""
    INSERT INTO reconciliation_files (tenant, provider, digest, name, rows, taken_at, run_id)
    VALUES (:tenant, :provider, :digest, :name, :rows, :now, :run_id)
    ON CONFLICT (tenant, provider, digest) DO UPDATE SET taken_at = excluded.taken_at, rows = excluded.rows
    WHERE reconciliation_files.run_id = excluded.run_id
    RETURNING run_id
""")


def stage(session: Session, take_id: int, tenant: str, provider: str, records: Sequence[Recorded]) -> None:
    """Copy the records in, as part of this take. One that does not say our reference gets it from what we know of its
    `object_id`."""
    session.execute(HURRY)
    names = name_objects(
        session, tenant, provider, {one.object_id for one in records if not one.reference and one.object_id}
    )
    rows = [_row(one, (take_id, tenant, provider), names) for one in records]
    try:
        with session.begin_nested():
            _copy(session, rows)
    except (DataError, UnicodeEncodeError):
        _copy(session, [[_printable(v) if isinstance(v, str) else v for v in row] for row in rows])


def name_objects(session: Session, tenant: str, provider: str, object_ids: Collection[str]) -> dict[str, str]:
    """The provider's id -> our reference, of those that are known."""
    if not object_ids:
        return {}
    values = {"tenant": tenant, "provider": provider, "object_ids": sorted(object_ids)}
    return {object_id: name for object_id, name in session.execute(NAME, values) if name is not None}


def keep_bad_rows(
    session: Session, run_id: int, tenant: str, provider: str, rows: Sequence[Misread], *, now: datetime
) -> None:
    """Quarantine them with their text, for a person to look at. PostgreSQL's texts know no NUL: it is shown."""
    if rows:
        values = {
            "run_id": run_id,
            "tenant": tenant,
            "provider": provider,
            "lines": [row.line for row in rows],
            "raws": [_printable(row.raw) for row in rows],
            "reasons": [_printable(row.reason) for row in rows],
            "now": require_aware(now),
        }
        session.execute(KEEP_BAD_ROWS, values)


def forget_records(session: Session, tenant: str, provider: str, *, before: date) -> None:
    """Let go of what runs of earlier business dates had staged; their findings and totals stay."""
    values = {"tenant": tenant, "provider": provider, "before": before, "runs_max": RUNS_FORGOTTEN_MAX}
    session.execute(FORGET, values)


def taken_by(session: Session, tenant: str, provider: str, digest: str) -> int | None:
    """The run that took the file with this SHA-256 digest, or None."""
    found: int | None = session.execute(
        KNOWN_FILE, {"tenant": tenant, "provider": provider, "digest": digest}
    ).scalar_one_or_none()
    return found


def take_file(
    session: Session,
    run_id: int,
    tenant: str,
    provider: str,
    *,
    digest: str,
    name: str,
    rows: int,
    now: datetime,
) -> bool:
    """Note that the run took this file, once more perhaps; False when another run has taken it."""
    values = {"run_id": run_id, "tenant": tenant, "provider": provider, "digest": digest, "name": name}
    done = session.execute(TAKE_FILE, values | {"rows": rows, "now": require_aware(now)})
    return done.one_or_none() is not None


def _cursor(session: Session) -> "Cursor[tuple[object, ...]]":
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 - it has just been asked for
    cursor: Cursor[tuple[object, ...]] = connection.cursor()
    return cursor


def _copy(session: Session, rows: Iterable[Sequence[object]]) -> None:
    with _cursor(session).copy(COPY_RECORDS) as copy:
        for row in rows:
            copy.write_row(row)


def _row(one: Recorded, take: tuple[int, str, str], names: Mapping[str, str]) -> tuple[object, ...]:
    return (
        *take, one.record_id, one.kind, one.reference or names.get(one.object_id or ""), one.object_id,
        one.amount_minor, one.currency, one.fee_minor, one.fee_currency, one.status, one.occurred_at, one.line,
    )  # fmt: skip


def _printable(value: str) -> str:
    """As PostgreSQL can keep it: no NUL, no half of a surrogate pair."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
