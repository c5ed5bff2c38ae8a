"""What the database says about backfills, as metrics: how they stand, what became of their rows, and what waits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy import text
from sqlalchemy.engine import Connection

OUTCOMES = ("posted", "replayed", "unchanged", "quarantined")

# A tenant has a handful of runs, so all of them are read. A dry run has no rows but what it says, and one that has
# stopped keeps nobody waiting.
RUNS = text("""
    SELECT tenant, state, count(*) AS runs,
        extract(epoch FROM clock_timestamp() - min(coalesce(last_batch_at, created_at)) FILTER (WHERE NOT dry_run))
            AS seconds
    FROM backfills GROUP BY 1, 2 ORDER BY 1, 2
""")
ROWS = text("""
    SELECT tenant, kind, sum(posted) AS posted, sum(replayed) AS replayed, sum(unchanged) AS unchanged,
        sum(quarantined) AS quarantined
    FROM backfills WHERE NOT dry_run GROUP BY 1, 2 ORDER BY 1, 2
""")
# A run counts for ever what it set aside; what is still to be done about is in the quarantine.
ASIDE = text("""
    SELECT b.tenant, b.kind, sum(q.rows) AS rows
    FROM backfills b CROSS JOIN LATERAL (
        SELECT count(*) AS rows FROM backfill_quarantine
        WHERE backfill_id = b.id AND state IN ('open', 'waiting')) q
    WHERE NOT b.dry_run GROUP BY 1, 2 ORDER BY 1, 2
""")
STOPPED = ("paused", "failed")

Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class BackfillSnapshot:
    """One look at the database."""

    runs: Rows
    rows: Rows
    aside: Rows


def look_at_backfills(connection: Connection) -> BackfillSnapshot:
    """Ask for each."""
    return BackfillSnapshot(*(connection.execute(one).all() for one in (RUNS, ROWS, ASIDE)))


def show_backfills(snapshot: BackfillSnapshot) -> Iterator[Metric]:
    """The families. A tenant has its gauges from its first backfill on."""
    yield _runs(snapshot.runs)
    yield _oldest_stopped(snapshot.runs)
    yield _rows(snapshot.rows)
    yield _aside(snapshot.aside)


def _runs(rows: Rows) -> Metric:
    family = GaugeMetricFamily(
        "ledgerbeat_backfills", "Backfills, by their state", labels=["tenant", "state"]
    )
    for row in rows:
        family.add_metric([row.tenant, row.state], row.runs)
    return family


def _oldest_stopped(rows: Rows) -> Metric:
    help_text = (
        "Since the last batch of the backfill that has been paused or failed for longest; dry runs apart"
    )
    family = GaugeMetricFamily("ledgerbeat_backfills_stopped_oldest_seconds", help_text, labels=["tenant"])
    for tenant in dict.fromkeys(row.tenant for row in rows):
        ages = [float(row.seconds or 0) for row in rows if row.tenant == tenant and row.state in STOPPED]
        family.add_metric([tenant], max(0.0, *ages, 0.0))
    return family


def _rows(rows: Rows) -> Metric:
    labels = ["tenant", "kind", "outcome"]
    family = CounterMetricFamily(
        "ledgerbeat_backfills_rows", "What became of rows; dry runs apart", labels=labels
    )
    for row in rows:
        for outcome in OUTCOMES:
            family.add_metric([row.tenant, row.kind, outcome], float(getattr(row, outcome)))
    return family


def _aside(rows: Rows) -> Metric:
    """What is set aside until it is corrected and fed again, or dismissed (ops/runbooks/backfills.md)."""
    family = GaugeMetricFamily(
        "ledgerbeat_backfills_quarantined_rows",
        "Rows of backfills that are set aside and not closed, those that wait for money included",
        labels=["tenant", "kind"],
    )
    for row in rows:
        family.add_metric([row.tenant, row.kind], float(row.rows))
    return family
