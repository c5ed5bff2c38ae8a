"""What the database says about the nights, as metrics: when each account was last reconciled, and what was not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import text
from sqlalchemy.engine import Connection

LABELS = ("tenant", "provider")

LAST = text("""
    SELECT tenant, provider, extract(epoch FROM max(finished_at)) AS value FROM reconciliation_runs
    WHERE state = 'done' GROUP BY 1, 2 ORDER BY 1, 2
""")
# A night is missed when it is two local days old and not done: failed, cut short, or never begun.
MISSED = text("""
    SELECT r.tenant, r.provider, count(*) FILTER (WHERE r.state <> 'done'
            AND r.business_date < CAST(statement_timestamp() AT TIME ZONE t.timezone AS date) - 1) AS value
    FROM reconciliation_runs r JOIN tenants t USING (tenant)
    WHERE r.business_date >= CAST(statement_timestamp() AS date) - 33
    GROUP BY 1, 2 ORDER BY 1, 2
""")

Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class NightSnapshot:
    """One look at the database."""

    last: Rows
    missed: Rows


def look_at_nights(connection: Connection) -> NightSnapshot:
    """Ask both."""
    return NightSnapshot(connection.execute(LAST).all(), connection.execute(MISSED).all())


def show_nights(snapshot: NightSnapshot) -> Iterator[Metric]:
    """The families. An account has its gauges from its first night on."""
    yield _family(
        "ledgerbeat_reconciliation_last_success_timestamp",
        "When a reconciliation of the account last came to its end, in seconds since 1970",
        snapshot.last,
    )
    yield _family(
        "ledgerbeat_reconciliation_missed_nights",
        "Business dates of the last month that nothing was concluded about, and should have been",
        snapshot.missed,
    )


def _family(name: str, help_text: str, rows: Rows) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=LABELS)
    for row in rows:
        family.add_metric([row.tenant, row.provider], float(row.value))
    return family
