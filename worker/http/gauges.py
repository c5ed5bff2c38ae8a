"""What the database says about jobs and the ledger, as metrics: read by one process at a time, seldom and briefly."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from models.jobs.outcomes import UNKNOWN_NAME
from worker.catalogue import JOBS, PROVIDER_EVENT
from worker.http.backfill_gauges import BackfillSnapshot, look_at_backfills, show_backfills
from worker.http.night_gauges import NightSnapshot, look_at_nights, show_nights
from worker.http.payout_gauges import PayoutSnapshot, look_at_payouts, show_payouts
from worker.http.probing import Probe
from worker.telemetry import describe_error

FRESH_SECONDS = 5.0
WAIT_SECONDS_MAX = 2.0

log = structlog.get_logger("ledgerbeat.http")

KNOWN_NAMES = [*JOBS, PROVIDER_EVENT]

# Three selects, because each is answered by a partial index of its own, however long the history is. A name that is
# no job is the caller's to choose, without bound: they share one label.
OPEN_JOBS = text("""
    SELECT tenant, CASE WHEN name = ANY(:known) THEN name ELSE :unknown END AS name, state, sum(jobs) AS jobs,
           max(due_seconds) AS due_seconds, max(accepted_seconds) AS accepted_seconds
    FROM (
        SELECT tenant, name, state, count(*) AS jobs,
               extract(epoch FROM clock_timestamp() - min(due_at)) AS due_seconds,
               extract(epoch FROM clock_timestamp() - min(accepted_at)) AS accepted_seconds
        FROM jobs WHERE state = 'queued' GROUP BY 1, 2, 3
        UNION ALL
        SELECT tenant, name, state, count(*), extract(epoch FROM clock_timestamp() - min(due_at)), 0
        FROM jobs WHERE state IN ('cooling', 'parked') GROUP BY 1, 2, 3
        UNION ALL
        SELECT tenant, name, state, count(*), 0, 0 FROM jobs WHERE state = 'dead' GROUP BY 1, 2, 3
    ) AS open GROUP BY 1, 2, 3
""").bindparams(known=KNOWN_NAMES, unknown=UNKNOWN_NAME)
PARKED = text("""
    SELECT tenant, coalesce(last_error, '') AS reason,
           extract(epoch FROM clock_timestamp() - min(accepted_at)) AS seconds
    FROM jobs WHERE state = 'parked' GROUP BY 1, 2
""")
OUTCOMES = text("SELECT tenant, name, outcome, reason, total FROM job_outcomes")
MISMATCHES = text("SELECT tenant, count(*) AS mismatches FROM ledger_mismatches GROUP BY 1")
TENANTS = text("SELECT tenant, paused_at IS NOT NULL AS paused FROM tenants")
LAST_VERIFY = text("""
    SELECT result, extract(epoch FROM finished_at) AS finished_at FROM schedule_slots
    WHERE schedule = 'ledger.verify' AND finished_at IS NOT NULL ORDER BY slot DESC LIMIT 1
""")

Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look at the database."""

    payouts: PayoutSnapshot
    nights: NightSnapshot
    backfills: BackfillSnapshot
    tenants: Rows
    open_jobs: Rows
    parked: Rows
    outcomes: Rows
    mismatches: Rows
    last_verify: Rows


class DatabaseGauges:
    """The families for Prometheus. Without the database there is only `ledgerbeat_database_up 0`, and in time."""

    def __init__(self, engine: Engine) -> None:
        self._probe = Probe(lambda: _look(engine), fresh_seconds=FRESH_SECONDS)

    def families(self) -> Iterable[Metric]:
        """For any thread but the event loop's: waits for the database, up to WAIT_SECONDS_MAX."""
        try:
            snapshot = self._probe.get(WAIT_SECONDS_MAX)
        except (SQLAlchemyError, TimeoutError) as error:
            log.warning("http.metrics.database_down", error=describe_error(error))
            return [_database_up(0)]
        return [_database_up(1), *_shown(snapshot)]


def _look(engine: Engine) -> Snapshot:
    with engine.connect() as connection:
        return Snapshot(
            look_at_payouts(connection),
            look_at_nights(connection),
            look_at_backfills(connection),
            *(
                _rows(connection, sql)
                for sql in (TENANTS, OPEN_JOBS, PARKED, OUTCOMES, MISMATCHES, LAST_VERIFY)
            ),
        )


def _rows(connection: Connection, sql: Any) -> Rows:
    return connection.execute(sql).all()


def _database_up(value: float) -> Metric:
    return GaugeMetricFamily("ledgerbeat_database_up", "1 when the database answered in time", value=value)


def _shown(snapshot: Snapshot) -> Iterator[Metric]:
    yield _paused(snapshot.tenants)
    yield _open_jobs(snapshot.open_jobs)
    yield _oldest(
        "ledgerbeat_oldest_due_seconds", "Age of the oldest due job", snapshot, lambda row: row.due_seconds
    )
    yield _oldest(
        "ledgerbeat_lag_seconds",
        "Since the oldest queued job was accepted",
        snapshot,
        lambda row: row.accepted_seconds,
    )
    yield _parked(snapshot.parked)
    yield _outcomes(snapshot.outcomes)
    yield _mismatches(snapshot)
    yield from _last_verify(snapshot.last_verify)
    yield from show_payouts(snapshot.payouts)
    yield from show_nights(snapshot.nights)
    yield from show_backfills(snapshot.backfills)


def _paused(tenants: Rows) -> Metric:
    family = GaugeMetricFamily("ledgerbeat_tenant_paused", "1 while its door is closed", labels=["tenant"])
    for row in tenants:
        family.add_metric([row.tenant], int(row.paused))
    return family


def _open_jobs(rows: Rows) -> Metric:
    labels = ["tenant", "name", "state"]
    family = GaugeMetricFamily("ledgerbeat_jobs", "Jobs that are not finished, and the dead", labels=labels)
    for row in rows:
        family.add_metric([row.tenant, row.name, row.state], row.jobs)
    return family


def _oldest(name: str, help_text: str, snapshot: Snapshot, age: Any) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=["tenant"])
    for row in snapshot.tenants:
        ages = [float(age(job)) for job in snapshot.open_jobs if job.tenant == row.tenant]
        family.add_metric([row.tenant], max(0.0, *ages, 0.0))
    return family


def _parked(rows: Rows) -> Metric:
    """By reason: reasons are words of ours. Beyond a day somebody has to look (ops/runbooks/repair.md)."""
    help_text = "Since the oldest job that is parked for this reason was accepted"
    family = GaugeMetricFamily("ledgerbeat_parked_oldest_seconds", help_text, labels=["tenant", "reason"])
    for row in rows:
        family.add_metric([row.tenant, row.reason], max(0.0, float(row.seconds)))
    return family


def _outcomes(rows: Rows) -> Metric:
    labels = ["tenant", "name", "outcome", "reason"]
    family = CounterMetricFamily("ledgerbeat_jobs_outcomes", "What became of jobs", labels=labels)
    for row in rows:
        family.add_metric([row.tenant, row.name, row.outcome, row.reason], row.total)
    return family


def _mismatches(snapshot: Snapshot) -> Metric:
    family = CounterMetricFamily(
        "ledgerbeat_ledger_mismatches", "Postings that only shadow mode let through", labels=["tenant"]
    )
    found = {row.tenant: row.mismatches for row in snapshot.mismatches}
    for row in snapshot.tenants:
        family.add_metric([row.tenant], found.get(row.tenant, 0))
    return family


def _last_verify(rows: Rows) -> Iterator[Metric]:
    for row in rows:
        yield GaugeMetricFamily(
            "ledgerbeat_verify_finished_timestamp_seconds",
            "When the last verify ended",
            value=float(row.finished_at),
        )
        yield GaugeMetricFamily(
            "ledgerbeat_verify_broken",
            "Invariants that the last verify found broken",
            value=len(row.result["broken"]),
        )
