"""The night among all nights, looked at before anything is made of it: what is there on both sides."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reconciliation.scope import Scope

# From which id on the window's transactions lie, which is the last of all, and what each side tells of
# [since, judged_until).
SURVEY = text("""
    SELECT told.rows, told.records, told.movements, b.first_id, (SELECT max(id) FROM ledger_transactions),
        b.deposits + (SELECT count(*) FROM payout_attempts WHERE tenant = :tenant AND provider = :provider
            AND outcome IN ('paid', 'returned') AND finished_at >= :since AND finished_at < :judged_until
            AND finished_at <= :settled_before),
        (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY records) FROM (
            SELECT records FROM reconciliation_runs
            WHERE tenant = :tenant AND provider = :provider AND state = 'done' AND id <> :run_id
            ORDER BY business_date DESC LIMIT 7) runs),
        coalesce(told.own_transfers, false), coalesce(told.ignored, false)
    FROM (
        SELECT coalesce(sum(rows), 0) AS rows, count(*) AS records, count(*) FILTER (WHERE moves) AS movements,
            bool_or(is_own_transfer) AS own_transfers, bool_or(is_ignored) AS ignored
        FROM (
            SELECT count(*) AS rows, bool_or(kind = 'own_transfer') AS is_own_transfer,
                bool_or(kind = 'ignore') AS is_ignored, bool_or(kind IN ('deposit', 'refund', 'chargeback', 'payout')
                AND (:of_file OR (occurred_at >= :since AND occurred_at < :judged_until))) AS moves
            FROM provider_records WHERE take_id = :take_id GROUP BY record_id) records
    ) told, (
        SELECT min(id + 0) AS first_id, count(*) FILTER (WHERE starts_with(subject, :deposit) AND occurred_at >= :since
                AND occurred_at < :judged_until AND occurred_at <= :settled_before) AS deposits
        FROM ledger_transactions
        WHERE tenant = :tenant AND occurred_at >= :fetched_from AND occurred_at < :fetched_until
    ) b
""")

NEWEST = text("""
    SELECT max(business_date) FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider AND state = 'done'
""")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is there to match: how many rows are staged, and whether a record stands in this take more than once; the
    ledger's settled movements of deposits and payouts that are to be judged, and the provider's; how many records the
    last runs had, as a median; and whether there are own transfers of the provider's, and records to ignore. The
    window's transactions begin at `first_id`; `last_id` is the last of the ledger."""

    staged: int
    told_again: bool
    first_id: int
    last_id: int
    ledger_rows: int
    provider_rows: int
    median_records: int | None
    own_transfers: bool
    ignored: bool

    def tells_own_transfers(self, scope: Scope) -> bool:
        """May one of them stand in the feed?"""
        return self.own_transfers or bool(scope.also)

    def tells_ignored(self, scope: Scope) -> bool:
        """May a record to ignore stand in the feed?"""
        return self.ignored or bool(scope.also)

    def tells_again(self, scope: Scope) -> bool:
        """May a record stand in the feed more than once?"""
        return self.told_again or bool(scope.also)


def survey(session: Session, scope: Scope, *, since: datetime, of_file: bool = False) -> Survey:
    """Look before matching, at what should have been told of [since, judged_until). Of a file all rows count, whenever
    they happened; a record that is told twice counts once. Reads only."""
    values = scope.values | {"since": since, "of_file": of_file}
    staged, records, moved, first, last, ours, median, own, ignored = session.execute(SURVEY, values).one()
    return Survey(int(staged), staged > records, first or 0, last or 0, ours, moved, median, own, ignored)


def newest_night(session: Session, tenant: str, provider: str) -> date | None:
    """The latest business date of this account that was concluded."""
    found: date | None = session.execute(NEWEST, {"tenant": tenant, "provider": provider}).scalar_one()
    return found
