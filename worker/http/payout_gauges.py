"""What the database says about payouts, provider accounts, findings and news, as metrics.

Every query is answered by a partial index of what is open, or of the last minutes, however long the history is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import text
from sqlalchemy.engine import Connection

RECENT_SECONDS = 300
OPEN_LABELS = ("tenant", "provider", "state")
BREAKER_VALUES = {"closed": 0, "half_open": 1, "open": 2}

# payouts_open_idx
OPEN = text("""
    SELECT tenant, provider, state, count(*) AS payouts FROM payouts
    WHERE state IN ('awaiting_approval', 'approved', 'sending', 'submitted', 'in_doubt', 'cooling')
    GROUP BY 1, 2, 3
""")
# payouts_due_idx. What a pause holds back is not late.
LATE = text("""
    SELECT p.tenant, p.provider, extract(epoch FROM clock_timestamp() - min(p.next_attempt_at)) AS seconds
    FROM payouts p JOIN provider_accounts a USING (tenant, provider) JOIN tenants t USING (tenant)
    WHERE p.state IN ('approved', 'cooling') AND a.enabled AND a.paused_at IS NULL AND t.paused_at IS NULL
    GROUP BY 1, 2
""")
# payouts_open_idx. Past the ladder a person has to look (ops/runbooks/payouts.md).
OVERDUE = text("""
    SELECT p.tenant, p.provider, count(*) AS payouts
    FROM payouts p JOIN tenants t USING (tenant)
    WHERE p.state = 'in_doubt' AND p.lookups_made >= cardinality(t.in_doubt_ladder_seconds)
    GROUP BY 1, 2
""")
# payout_attempts_finished_idx; a clock that moves within the statement could not be looked up in it
RECENT = text("""
    SELECT tenant, provider, outcome, count(*) AS attempts FROM payout_attempts
    WHERE finished_at > statement_timestamp() - make_interval(secs => :seconds) GROUP BY 1, 2, 3
""").bindparams(seconds=RECENT_SECONDS)
ACCOUNTS = text("""
    SELECT tenant, provider, breaker, paused_at IS NOT NULL AS paused FROM provider_accounts WHERE enabled
""")
# reconciliation_findings_open_idx
FINDINGS = text("""
    SELECT tenant, kind, count(*) AS findings FROM reconciliation_findings WHERE state = 'open' GROUP BY 1, 2
""")
# notifications_pending_idx, notifications_gave_up_idx
NEWS = text("""
    SELECT tenant, 'pending' AS state, count(*) AS news FROM notifications WHERE state = 'pending' GROUP BY 1
    UNION ALL
    SELECT tenant, 'gave_up', count(*) FROM notifications WHERE state = 'gave_up' GROUP BY 1
""")
QUERIES = (OPEN, LATE, OVERDUE, RECENT, ACCOUNTS, FINDINGS, NEWS)

Rows = Sequence[Any]


@dataclass(frozen=True, slots=True)
class PayoutSnapshot:
    """One look at the database."""

    open: Rows
    late: Rows
    overdue: Rows
    recent: Rows
    accounts: Rows
    findings: Rows
    news: Rows


def look_at_payouts(connection: Connection) -> PayoutSnapshot:
    """Ask all of it."""
    return PayoutSnapshot(*(connection.execute(query).all() for query in QUERIES))


def show_payouts(snapshot: PayoutSnapshot) -> Iterator[Metric]:
    """The families. A provider account that is configured has its gauges from the start, at zero."""
    accounts = snapshot.accounts
    yield _family("ledgerbeat_payouts", "Payouts that have not ended", OPEN_LABELS, snapshot.open, "payouts")
    yield _per_account(
        "ledgerbeat_payouts_oldest_due_seconds",
        "Since the oldest payout that waits to be sent was due",
        accounts,
        {(row.tenant, row.provider): max(0.0, float(row.seconds)) for row in snapshot.late},
    )
    yield _per_account(
        "ledgerbeat_payouts_in_doubt_overdue",
        "Payouts in doubt that every look-up of the ladder left in doubt",
        accounts,
        {(row.tenant, row.provider): row.payouts for row in snapshot.overdue},
    )
    yield _family(
        "ledgerbeat_payout_attempts_recent",
        f"Attempts that ended in the last {RECENT_SECONDS} s",
        ("tenant", "provider", "outcome"),
        snapshot.recent,
        "attempts",
    )
    yield _per_account(
        "ledgerbeat_provider_breaker",
        "0 closed, 1 half open (a probe is under way), 2 open",
        accounts,
        {(row.tenant, row.provider): BREAKER_VALUES[row.breaker] for row in accounts},
    )
    yield _per_account(
        "ledgerbeat_provider_paused",
        "1 while a person has paused it",
        accounts,
        {(row.tenant, row.provider): int(row.paused) for row in accounts},
    )
    yield _family(
        "ledgerbeat_findings_open",
        "Findings that nobody closed",
        ("tenant", "kind"),
        snapshot.findings,
        "findings",
    )
    yield _family(
        "ledgerbeat_notifications",
        "News that was not delivered yet, or was given up",
        ("tenant", "state"),
        snapshot.news,
        "news",
    )


def _family(name: str, help_text: str, labels: Sequence[str], rows: Rows, counted: str) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for row in rows:
        family.add_metric([getattr(row, label) for label in labels], getattr(row, counted))
    return family


def _per_account(name: str, help_text: str, accounts: Rows, values: dict[tuple[str, str], float]) -> Metric:
    """What was found, and zero for the other accounts: an alarm needs a series before it is too late."""
    family = GaugeMetricFamily(name, help_text, labels=["tenant", "provider"])
    known = {(row.tenant, row.provider): 0.0 for row in accounts}
    for labels, found in sorted((known | values).items()):
        family.add_metric(list(labels), found)
    return family
