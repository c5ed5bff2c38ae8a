"""What a line is, in SQL: one movement of money between us and the provider, as one of the two sides has it.

`side` is 1 as the provider told it, -1 as the ledger has it; amounts are signed as what they add to what the provider
owes us. A record's fee is a line of its own (`part` 2). The names that begin with a colon are those of Scope.
"""

# Kind of a ledger transaction -> kind of line.
KIND = """
    CASE t.kind WHEN 'deposit.captured' THEN 'deposit' WHEN 'hold.captured' THEN 'payout' WHEN 'fee.booked' THEN 'fee'
        WHEN 'deposit.refunded' THEN 'refund' WHEN 'deposit.charged_back' THEN 'chargeback'
        WHEN 'deposit.refund_reversed' THEN 'refund' WHEN 'deposit.chargeback_reversed' THEN 'chargeback'
        WHEN 'deposit.capture_reversed' THEN 'deposit' WHEN 'deposit.returned' THEN 'deposit'
        WHEN 'payout.returned' THEN 'payout'
        WHEN 'settlement.booked' THEN 'own_transfer' WHEN 'settlement.returned' THEN 'own_transfer'
        WHEN 'payout.reversal_failed' THEN 'payout' ELSE 'other' END
"""

# What is known at a bank of our own transfers: their amount. Their references are the bank's, and nobody else's. So
# many transfers have one name, and which was matched with which is remembered of each.
AT_THE_BANK = "{currency} || ' ' || abs({amount})"
BY_AMOUNT = "({kind} = 'own_transfer' AND CAST(:bank AS text) IS NOT NULL)"

# What the ledger moved through the provider's clearing account, or through the bank account that it is. A payout is
# known to the provider by the reference of the attempt that it took; whatever else has no reference there is known by
# its subject.
OURS = f"""
    SELECT -1 AS side, {KIND} AS kind,
        coalesce(p.reference, CASE
            WHEN a.code = CAST(:bank AS text) AND t.kind IN ('settlement.booked', 'settlement.returned')
                THEN {AT_THE_BANK.format(currency="a.currency", amount="e.amount_minor")}
            WHEN starts_with(t.subject, :settlement) THEN substr(t.subject, length(:settlement) + 1)
            WHEN starts_with(t.subject, :deposit) THEN substr(t.subject, length(:deposit) + 1)
            WHEN starts_with(t.subject, :fee) THEN substr(t.subject, length(:fee) + 1) END,
            t.subject, 'transaction ' || t.id) AS reference,
        a.currency, -e.amount_minor AS amount_minor, t.occurred_at AS at, t.id AS transaction_id, t.subject
    FROM accounts a
    JOIN ledger_entries e ON e.account_id = a.id
    JOIN ledger_transactions t ON t.id = e.transaction_id AND t.tenant = :tenant
    LEFT JOIN payout_attempts p ON p.outcome IN ('paid', 'returned') AND p.payout_id =
        CASE WHEN t.kind IN ('hold.captured', 'payout.returned', 'payout.reversal_failed')
            AND t.subject ~ '^hold\\:[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$'
            THEN CAST(substr(t.subject, 6) AS uuid) END
    WHERE a.tenant = :tenant AND a.code = ANY(CAST(:codes AS text[]))
"""  # noqa: S608 - put together from constants, as all statements of this room

# What the provider told: each record, and the fee that it kept for it. What does not say our reference is known by the
# provider's name for it, as an event about it is.
THEIRS = f"""
    SELECT 1 AS side, 1 AS part, r.kind,
        CASE WHEN r.kind = 'fee' THEN r.record_id
            WHEN r.kind = 'own_transfer' AND CAST(:bank AS text) IS NOT NULL
                THEN {AT_THE_BANK.format(currency="r.currency", amount="r.amount_minor")}
            WHEN r.kind = 'own_transfer' THEN coalesce(r.object_id, r.record_id)
            ELSE coalesce(r.reference, r.object_id, 'record ' || r.record_id) END AS reference,
        r.currency, r.amount_minor, r.occurred_at AS at, r.record_id, r.take_id, r.status, r.line
    FROM provider_records r WHERE {{which}} AND r.amount_minor <> 0 AND r.kind <> 'ignore'
    UNION ALL
    SELECT 1, 2, 'fee', r.record_id, r.fee_currency, -r.fee_minor, r.occurred_at, r.record_id, r.take_id, r.status,
        r.line
    FROM provider_records r WHERE {{which}} AND r.fee_minor <> 0 AND r.kind <> 'ignore'
"""  # noqa: S608
KEY = "kind, reference, currency, amount_minor"
"""Lines of both sides that have these in common agree."""

IN_WINDOW = "at >= :fetched_from AND at < :fetched_until"
JUDGED = "at >= :judged_from AND at < :judged_until"
# A row of a file that is older than anything this run asked for is told now or never.
JUDGED_TOLD = f"({JUDGED} OR at < :fetched_from)"

# What the provider tells of the window.
TELLINGS = """
    (r.take_id = :take_id OR (r.take_id = ANY(CAST(:also AS bigint[])) AND r.occurred_at >= :fetched_from
        AND r.occurred_at < :fetched_until))
"""
EACH = "true /* each telling */"
"""Stands where `retold.newest_only` may put a condition."""
FEED = f"{TELLINGS} AND {EACH}"
CONFLICTING = "false /* conflicting */"
"""Stands where `retold.newest_only` may put the condition that other rows of the same record say something else."""
