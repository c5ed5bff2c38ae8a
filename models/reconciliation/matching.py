"""Matching: what a provider told against what the ledger says, line by line, both directions, in one statement.

A line is one movement of money between us and the provider: `side` 1 as the provider told it, -1 as the ledger has it,
both signed as what it adds to what the provider owes us. A record's fee is a line of its own. Lines agree when kind,
reference, currency and amount are the same, as many times on both sides. Only of the references that are left over is
the whole story fetched, whenever it happened; its lines are paired by what they have in common:

    exact       the counterpart lies outside of the window
    combined    several movements on one side are told as one on the other, with the same sum
    amount      amount_mismatch                      (of a fee: fee_mismatch)
    currency    currency_mismatch                    (of a fee: fee_mismatch)
    nothing     missing_at_provider, missing_in_ledger, duplicate_at_provider, or status_mismatch for a payout that
                came back on one side only
"""

# ruff: noqa: S608 - the statements are put together from constants of this room alone

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.ledger.codes import clearing_code
from models.money import BIGINT_MAX

STATEMENT_SECONDS_MAX = 600
LIMITS = {
    "statement_timeout": f"{STATEMENT_SECONDS_MAX}s",
    "work_mem": "128MB",
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a run is to judge. The lines that the provider was asked for lie in [fetched_from, fetched_until), those
    that are judged in [judged_from, judged_until); what moved after `settled_before` may still be on its way.

    `also` are the runs whose records are part of this feed, where each run is told a part of it: a file of its own.
    """

    run_id: int
    tenant: str
    provider: str
    fetched_from: datetime
    fetched_until: datetime
    judged_from: datetime
    judged_until: datetime
    settled_before: datetime
    also: tuple[int, ...] = ()


# Kind of a ledger transaction -> kind of line.
KIND = """
    CASE t.kind WHEN 'deposit.captured' THEN 'deposit' WHEN 'hold.captured' THEN 'payout' WHEN 'fee.booked' THEN 'fee'
        WHEN 'deposit.refunded' THEN 'refund' WHEN 'deposit.charged_back' THEN 'chargeback'
        WHEN 'deposit.refund_reversed' THEN 'refund' WHEN 'deposit.chargeback_reversed' THEN 'chargeback'
        WHEN 'deposit.capture_reversed' THEN 'deposit' WHEN 'payout.returned' THEN 'payout' ELSE 'other' END
"""

# What the ledger moved through the provider's clearing account. A payout is known to the provider by the reference of
# the attempt that it took; whatever else has no reference there is known by its subject.
OURS = f"""
    SELECT -1 AS side, {KIND} AS kind,
        coalesce(p.reference, CASE WHEN starts_with(t.subject, :deposit) THEN substr(t.subject, length(:deposit) + 1)
            WHEN starts_with(t.subject, :fee) THEN substr(t.subject, length(:fee) + 1) END,
            t.subject, 'transaction ' || t.id) AS reference,
        a.currency, -e.amount_minor AS amount_minor, t.occurred_at AS at, t.id AS transaction_id, t.subject
    FROM accounts a
    JOIN ledger_entries e ON e.account_id = a.id
    JOIN ledger_transactions t ON t.id = e.transaction_id AND t.tenant = :tenant
    LEFT JOIN payout_attempts p ON p.outcome IN ('paid', 'returned') AND p.payout_id =
        CASE WHEN t.kind IN ('hold.captured', 'payout.returned')
            AND t.subject ~ '^hold\\:[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
            THEN CAST(substr(t.subject, 6) AS uuid) END
    WHERE a.tenant = :tenant AND a.code = :clearing
"""

# What the provider told: each record, and the fee that it kept for it.
THEIRS = """
    SELECT 1 AS side, 1 AS part, r.kind,
        CASE WHEN r.kind = 'fee' THEN r.record_id ELSE coalesce(r.reference, 'record ' || r.record_id) END AS reference,
        r.currency, r.amount_minor, r.occurred_at AS at, r.record_id, r.run_id, r.status, r.line
    FROM provider_records r WHERE {which} AND r.amount_minor <> 0
    UNION ALL
    SELECT 1, 2, 'fee', r.record_id, r.fee_currency, -r.fee_minor, r.occurred_at, r.record_id, r.run_id, r.status,
        r.line
    FROM provider_records r WHERE {which} AND r.fee_minor <> 0
"""
FEED = """
    (r.run_id = :run_id OR (r.run_id = ANY(CAST(:also AS bigint[])) AND r.occurred_at >= :fetched_from
        AND r.occurred_at < :fetched_until))
"""
IN_WINDOW = "at >= :fetched_from AND at < :fetched_until"
JUDGED = "at >= :judged_from AND at < :judged_until"
# A row of a file that is older than anything this run asked for is told now or never.
JUDGED_TOLD = f"({JUDGED} OR at < :fetched_from)"
OTHER_RUNS = """
    r.run_id <> :run_id AND r.run_id IN (SELECT id FROM reconciliation_runs
        WHERE tenant = :tenant AND provider = :provider AND records > 0)
"""

MATCH = f"""
    CREATE TEMP TABLE reconciliation_lines ON COMMIT DROP AS
    -- 1. All lines of the window, counted by key. What agrees shrinks to a sum per currency and kind.
    WITH counted AS (
        SELECT kind, reference, currency, amount_minor, sum(side) AS surplus,
            count(*) FILTER (WHERE side = 1 AND judged) AS theirs, count(*) FILTER (WHERE side = -1 AND judged) AS ours
        FROM (
            SELECT side, kind, reference, currency, amount_minor, {JUDGED_TOLD} AS judged
            FROM ({THEIRS.format(which=FEED)}) r
            UNION ALL
            SELECT side, kind, reference, currency, amount_minor, {JUDGED}
            FROM ({OURS} AND e.transaction_id >= :first_id
                AND t.occurred_at >= :fetched_from AND t.occurred_at < :fetched_until) o
        ) lines
        GROUP BY kind, reference, currency, amount_minor
    ),
    summed AS MATERIALIZED (
        SELECT currency, kind, CASE WHEN surplus <> 0 THEN reference END AS reference,
            CASE WHEN surplus <> 0 THEN amount_minor END AS amount_minor,
            sum(theirs) AS theirs, sum(ours) AS ours,
            sum(CAST(theirs AS numeric) * amount_minor) AS theirs_minor,
            sum(CAST(ours AS numeric) * amount_minor) AS ours_minor
        FROM counted GROUP BY 1, 2, 3, 4
    ),
    -- 2. The references in question: what is left over, and what stands open from earlier runs.
    suspects AS MATERIALIZED (
        SELECT kind, reference FROM summed WHERE reference IS NOT NULL
        UNION
        SELECT detail ->> 'line', detail ->> 'reference' FROM reconciliation_findings
        WHERE tenant = :tenant AND provider = :provider AND state = 'open' AND run_id IS NOT NULL
            AND kind <> 'invariant_broken'
    ),
    subjects AS MATERIALIZED (
        SELECT CASE kind WHEN 'other' THEN reference WHEN 'fee' THEN :fee || reference ELSE :deposit || reference END
            AS subject
        FROM suspects
        UNION
        SELECT 'hold\\:' || p.payout_id FROM suspects s
        JOIN payout_attempts p ON p.tenant = :tenant AND p.provider = :provider AND p.reference = s.reference
        WHERE s.kind = 'payout'
        UNION
        SELECT reference FROM suspects WHERE kind = 'payout'
    ),
    moved AS MATERIALIZED (
        SELECT t.id FROM subjects s JOIN ledger_transactions t ON t.tenant = :tenant AND t.subject = s.subject
        UNION
        SELECT CAST(substr(reference, 13) AS bigint) FROM suspects
        WHERE kind = 'other' AND reference ~ '^transaction [0-9]{{1,18}}$'
    ),
    -- 3. Their whole story: of this window what is left over, of any other time all that is known.
    known AS MATERIALIZED ({OURS} AND t.id IN (SELECT id FROM moved)),
    told AS MATERIALIZED (
        SELECT side, part, kind, reference, currency, amount_minor, at, record_id, status, line,
            {JUDGED_TOLD} AS judged, row_number() OVER (PARTITION BY record_id, part ORDER BY at) > 1 AS again
        FROM ({THEIRS.format(which=FEED)}) r
        WHERE (kind, reference, currency, amount_minor) IN (
            SELECT kind, reference, currency, amount_minor FROM summed WHERE reference IS NOT NULL)
    ),
    story AS (
        SELECT o.side, o.kind, o.reference, o.currency, o.amount_minor, o.at, o.transaction_id, o.subject,
            CAST(NULL AS text) AS record_id, CAST(NULL AS text) AS status, CAST(NULL AS integer) AS line,
            {JUDGED} AS judged, false AS again
        FROM known o
        WHERE (o.kind, o.reference) IN (SELECT kind, reference FROM suspects) AND (NOT ({IN_WINDOW})
            OR o.transaction_id >= :first_id AND (o.kind, o.reference, o.currency, o.amount_minor) IN (
                SELECT kind, reference, currency, amount_minor FROM summed WHERE reference IS NOT NULL))
        UNION ALL
        SELECT side, kind, reference, currency, amount_minor, at, NULL, NULL, record_id, status, line, judged, again
        FROM told
        UNION ALL
        (SELECT DISTINCT ON (record_id, part) side, kind, reference, currency, amount_minor, at,
            NULL, NULL, record_id, status, line, false, false
        FROM ({THEIRS.format(which=OTHER_RUNS)}) r
        WHERE (kind, reference) IN (SELECT kind, reference FROM suspects) AND NOT ({IN_WINDOW})
            AND (record_id, part) NOT IN (SELECT record_id, part FROM told)
        ORDER BY record_id, part, run_id DESC)
    ),
    -- 4. Pair them, step by step; each step takes what the one before has left.
    exact AS (
        SELECT *, row_number() OVER (PARTITION BY kind, reference, currency, amount_minor, side
                ORDER BY at, record_id, transaction_id) AS nth_exact,
            count(*) FILTER (WHERE side = 1) OVER key AS exact_theirs,
            count(*) FILTER (WHERE side = -1) OVER key AS exact_ours
        FROM story WHERE NOT again WINDOW key AS (PARTITION BY kind, reference, currency, amount_minor)
    ),
    combined AS (
        SELECT *, nth_exact <= least(exact_theirs, exact_ours) AS is_exact,
            sum(amount_minor) FILTER (WHERE side = 1 AND nth_exact > exact_ours) OVER whole
                = sum(amount_minor) FILTER (WHERE side = -1 AND nth_exact > exact_theirs) OVER whole AS sums_agree
        FROM exact WINDOW whole AS (PARTITION BY kind, reference, currency)
    ),
    amounts AS (
        SELECT *, CASE WHEN is_exact THEN 'exact' WHEN sums_agree THEN 'combined' END AS agreed,
            row_number() OVER (PARTITION BY kind, reference, currency, sign(amount_minor), side, is_exact
                ORDER BY at, record_id, transaction_id) AS nth_amount,
            count(*) FILTER (WHERE side = 1) OVER same AS amount_theirs,
            count(*) FILTER (WHERE side = -1) OVER same AS amount_ours
        FROM combined WINDOW same AS (PARTITION BY kind, reference, currency, sign(amount_minor), is_exact)
    ),
    currencies AS (
        SELECT *, row_number() OVER (PARTITION BY kind, reference, sign(amount_minor), side, paired
                ORDER BY at, record_id, transaction_id) AS nth_currency,
            count(*) FILTER (WHERE side = 1) OVER rest AS currency_theirs,
            count(*) FILTER (WHERE side = -1) OVER rest AS currency_ours
        FROM (SELECT *, coalesce(agreed, CASE WHEN nth_amount <= least(amount_theirs, amount_ours) THEN 'amount' END)
            AS paired FROM amounts) a
        WINDOW rest AS (PARTITION BY kind, reference, sign(amount_minor), paired)
    ),
    placed AS (
        SELECT *, coalesce(paired, CASE WHEN nth_currency <= least(currency_theirs, currency_ours) THEN 'currency'
            ELSE 'nothing' END) AS step
        FROM currencies
    ),
    paired AS (
        SELECT *, CASE step WHEN 'exact' THEN nth_exact WHEN 'amount' THEN nth_amount WHEN 'currency' THEN nth_currency
                ELSE side * row_number() OVER (PARTITION BY step, side) END AS nth,
            CASE WHEN step = 'currency' THEN '' ELSE currency END AS same_currency,
            CASE WHEN step = 'exact' THEN amount_minor ELSE sign(amount_minor) END AS same_amount
        FROM placed
    ),
    lines AS (
        SELECT coalesce(t.step, o.step) AS step, coalesce(t.kind, o.kind) AS kind,
            coalesce(t.reference, o.reference) AS reference,
            t.record_id, t.currency AS theirs_currency, t.amount_minor AS theirs_minor, t.at AS theirs_at, t.status,
            t.line, coalesce(t.judged, false) AS theirs_judged,
            o.transaction_id, o.currency AS ours_currency, o.amount_minor AS ours_minor, o.at AS ours_at, o.subject,
            coalesce(o.judged, false) AS ours_judged, coalesce(t.exact_ours, 0) > 0 AS told_once
        FROM (SELECT * FROM paired WHERE side = 1) t
        FULL JOIN (SELECT * FROM paired WHERE side = -1) o
            ON (t.step, t.kind, t.reference, t.same_currency, t.same_amount, t.nth)
                = (o.step, o.kind, o.reference, o.same_currency, o.same_amount, o.nth)
    )
    SELECT CASE WHEN step IN ('exact', 'combined') THEN 'matched'
            WHEN NOT theirs_judged AND NOT ours_judged THEN 'outside'
            WHEN greatest(theirs_at, ours_at) > :settled_before THEN 'expected'
            ELSE 'finding' END AS status,
        CASE WHEN step IN ('exact', 'combined') THEN NULL
            WHEN kind = 'fee' AND step <> 'nothing' THEN 'fee_mismatch'
            WHEN step <> 'nothing' THEN step || '_mismatch'
            WHEN kind = 'payout' AND coalesce(theirs_minor, ours_minor) > 0 THEN 'status_mismatch'
            WHEN record_id IS NULL THEN 'missing_at_provider'
            WHEN told_once THEN 'duplicate_at_provider'
            ELSE 'missing_in_ledger' END AS finding,
        kind, reference, record_id, theirs_currency, theirs_minor, theirs_at, status AS told_status, line,
        theirs_judged, transaction_id, ours_currency, ours_minor, ours_at, subject, ours_judged,
        CAST(CAST(theirs_judged AS int) AS bigint) AS theirs_rows,
        CAST(CAST(ours_judged AS int) AS bigint) AS ours_rows,
        CASE WHEN theirs_judged THEN theirs_minor ELSE 0 END AS theirs_sum,
        CASE WHEN ours_judged THEN ours_minor ELSE 0 END AS ours_sum
    FROM lines
    UNION ALL
    SELECT 'repeated', NULL, kind, reference, record_id, currency, amount_minor, at, status, line, judged,
        NULL, NULL, NULL, NULL, NULL, false, CAST(CAST(judged AS int) AS bigint), 0,
        CASE WHEN judged THEN amount_minor ELSE 0 END, 0
    FROM story WHERE again
    UNION ALL
    SELECT CASE WHEN reference IS NULL THEN 'agreed' ELSE 'in question' END, NULL, kind, NULL, NULL, currency, NULL,
        NULL, NULL, NULL, NULL, NULL, currency, NULL, NULL, NULL, NULL,
        CAST(sum(theirs) AS bigint), CAST(sum(ours) AS bigint), sum(theirs_minor), sum(ours_minor)
    FROM summed GROUP BY 1, kind, currency
"""


# The night among all nights: from which id on its transactions lie, and what each side tells of [since, judged_until).
SURVEY = text("""
    SELECT (SELECT count(*) FROM provider_records WHERE run_id = :run_id), b.first_id, b.deposits + (
            SELECT count(*) FROM payout_attempts WHERE tenant = :tenant AND provider = :provider
                AND outcome IN ('paid', 'returned') AND finished_at >= :since AND finished_at < :judged_until
                AND finished_at <= :settled_before),
        (SELECT count(*) FROM provider_records r
            WHERE r.run_id = :run_id AND r.kind IN ('deposit', 'refund', 'chargeback', 'payout')
                AND (:of_file OR (r.occurred_at >= :since AND r.occurred_at < :judged_until))),
        (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY records) FROM (
            SELECT records FROM reconciliation_runs
            WHERE tenant = :tenant AND provider = :provider AND state = 'done' AND id <> :run_id
            ORDER BY business_date DESC LIMIT 7) runs)
    FROM (
        SELECT min(id + 0) AS first_id, count(*) FILTER (WHERE starts_with(subject, :deposit) AND occurred_at >= :since
                AND occurred_at < :judged_until AND occurred_at <= :settled_before) AS deposits
        FROM ledger_transactions
        WHERE tenant = :tenant AND occurred_at >= :fetched_from AND occurred_at < :fetched_until
    ) b
""")

EARLIER_RUNS = text("""
    SELECT id FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider AND id <> :run_id AND records > 0 AND business_date >= :since
    ORDER BY id
""")

TOTALS = text("""
    SELECT 'provider', theirs_currency, status, finding, sum(theirs_rows), sum(theirs_sum) FROM reconciliation_lines
    WHERE theirs_currency IS NOT NULL GROUP BY 2, 3, 4
    UNION ALL
    SELECT 'ledger', ours_currency, status, finding, sum(ours_rows), sum(ours_sum) FROM reconciliation_lines
    WHERE ours_currency IS NOT NULL GROUP BY 2, 3, 4
""")

# Each record's fee that the ledger does not know, by record; in two currencies, where a fee's own fee is in another.
UNBOOKED_FEES = text("""
    SELECT r.record_id, min(r.occurred_at), array_agg(f.currency), array_agg(f.minor)
    FROM provider_records r
    CROSS JOIN LATERAL (
        SELECT currency, CAST(sum(minor) AS bigint) AS minor FROM (VALUES (r.fee_currency, r.fee_minor),
            (r.currency, CASE r.kind WHEN 'fee' THEN -r.amount_minor ELSE 0 END)) v (currency, minor)
        GROUP BY currency HAVING abs(sum(minor)) BETWEEN 1 AND :largest) f
    WHERE r.run_id = :run_id AND (r.fee_minor <> 0 OR r.kind = 'fee') AND NOT EXISTS (
        SELECT FROM ledger_transactions t WHERE t.tenant = :tenant AND t.idempotency_key
            = :fee || replace(replace(r.record_id, '%', '%25'), '\\:', '%3A'))
    GROUP BY r.record_id, r.ctid
""")


@dataclass(frozen=True, slots=True)
class Survey:
    """What is there to match: how many records are staged; the ledger's settled movements of deposits and payouts that
    are to be judged, and the provider's; how many records the last runs had, as a median. The window's transactions
    begin at `first_id`."""

    staged: int
    first_id: int
    ledger_rows: int
    provider_rows: int
    median_records: int | None


@dataclass(frozen=True, slots=True)
class Sum:
    """So many lines of one side, in one currency, of one `status` (and of one kind of finding) and what they add up
    to, of those that are judged."""

    side: str
    currency: str
    status: str
    finding: str | None
    rows: int
    minor: int


@dataclass(frozen=True, slots=True)
class Fee:
    """What the provider kept for one record, by currency; negative: gave back."""

    record_id: str
    occurred_at: datetime
    minor: Sequence[tuple[str, int]]


def survey(session: Session, scope: Scope, *, since: datetime, of_file: bool = False) -> Survey:
    """Look before matching, at what should have been told of [since, judged_until). Of a file all rows count, whenever
    they happened. Reads only."""
    values = _values(scope) | {"since": since, "of_file": of_file}
    staged, first, ours, theirs, median = session.execute(SURVEY, values).one()
    return Survey(staged, first or 0, ours, theirs, median)


def earlier_runs(
    session: Session, run_id: int, tenant: str, provider: str, *, since: date
) -> tuple[int, ...]:
    """The runs of business dates from `since` on whose records are still there, this one left out."""
    values = {"run_id": run_id, "tenant": tenant, "provider": provider, "since": since}
    return tuple(session.execute(EARLIER_RUNS, values).scalars())


def match(session: Session, scope: Scope, found: Survey) -> list[Sum]:
    """Match both sides. The lines in question stand in the temporary table `reconciliation_lines` until the
    transaction ends; what comes back are the sums of all lines that are judged."""
    allow_long_statements(session)
    session.execute(text(MATCH), _values(scope) | {"first_id": found.first_id})
    return [
        Sum(side, currency, status, finding, int(rows), int(minor))
        for side, currency, status, finding, rows, minor in session.execute(TOTALS)
    ]


def unbooked_fees(session: Session, scope: Scope, rows_at_once: int) -> Generator[Sequence[Fee], None, None]:
    """Stream the fees of the staged records that the ledger does not have, in batches; in bounded memory."""
    allow_long_statements(session)
    names = {name: value for name, value in _values(scope).items() if name in ("run_id", "tenant", "fee")}
    names["largest"] = BIGINT_MAX
    with session.execute(UNBOOKED_FEES, names, execution_options={"yield_per": rows_at_once}) as streamed:
        for rows in streamed.partitions():
            yield [
                Fee(record_id, at, tuple(zip(currencies, minor, strict=True)))
                for record_id, at, currencies, minor in rows
            ]


def allow_long_statements(session: Session) -> None:
    """In this transaction: time and memory for a night's worth of rows, and no plan that was made for another."""
    for name, value in LIMITS.items():
        session.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})


def _values(scope: Scope) -> dict[str, Any]:
    return asdict(scope) | {
        "also": list(scope.also),
        "clearing": clearing_code(scope.provider),
        "deposit": f"deposit:{scope.provider}:",
        "fee": f"fee:{scope.provider}:",
    }
