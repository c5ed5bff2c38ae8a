"""What to do first about a kind of finding, by the kind of movement that it is about."""

from collections.abc import Mapping, Sequence

from tasks.reconciliation.report.words import KINDS

LINES_NAMED_MAX = 3
LINES: Mapping[str, str] = {
    "deposit": "Deposits", "refund": "Refunds", "chargeback": "Chargebacks", "payout": "Payouts", "fee": "Fees",
    "own_transfer": "Settlements", "other": "Others",
}  # fmt: skip

FIRST: Mapping[str, Mapping[str, str]] = {
    "missing_in_ledger": {
        "payout": "Nobody here sent it, or nobody knows yet that it left: look for it among the payouts in doubt "
        "(`ledgerbeat payouts list`), and ask who else pays out with this account.",
        "refund": "Look for its webhook among parked and dead jobs; take it in again from there, or fetch it from the "
        "provider. Refunded in the dashboard, the wallet still has the money.",
        "chargeback": "Look for its webhook among parked and dead jobs; take it in again from there, or fetch it from "
        "the provider. A dispute has a deadline.",
        "fee": "Fees are booked by the night itself: run this night again. If it stands, call an engineer.",
        "own_transfer": "At a provider: a payout of ours of the same amount is not decided yet, and until it is, "
        "nothing is booked; settle that one, then run this night again. At a bank: no provider has told of it; look "
        "whether the report of its batch has come.",
        "other": "Find out from the provider's report what it is. If this type is none of our business, declare it in "
        "the account's settings, as `record_kinds` (of columns: `kinds`): `ignore`, `fee` or `own_transfer`.",
    },
    "missing_at_provider": {
        "refund": "Search the provider's dashboard for the payment. Not refunded there: the wallet was debited for "
        "nothing.",
        "chargeback": "Search the provider's dashboard for the dispute. Not there: the wallet was debited for nothing.",
        "payout": "Ask the provider for the payout by our reference. Not there: the money never left, and the customer "
        "waits for it.",
        "fee": "The provider does not tell of this fee any more. Compare with its invoice.",
        "own_transfer": "At a bank: the money was paid out to us and has not arrived. Ask the provider, then the bank. "
        "At a provider: it tells no more of a payout that was booked; compare with the bank.",
        "other": "Find out who booked it, and what it was to be at the provider.",
    },
    "amount_mismatch": {
        "own_transfer": "Compare with the bank's statement: what arrived is right. Correct the ledger by a posting.",
    },
    "duplicate_at_provider": {
        "deposit": "Refund the second charge.",
        "payout": "Call the provider at once: money may have left twice.",
        "fee": "Claim the second fee back.",
    },
}  # fmt: skip


def advice(kind: str, lines: Sequence[str]) -> str:
    """In one text: findings of this kind are about movements of these kinds, the most frequent first."""
    told = {line: first(kind, line) for line in lines[:LINES_NAMED_MAX]}
    if len(set(told.values())) <= 1:
        return next(iter(told.values()), KINDS[kind].first)
    return " ".join(f"{LINES.get(line, 'Others')}: {text}" for line, text in told.items())


def first(kind: str, line: str) -> str:
    """About movements of this kind; where it does not matter, what is to be done about all."""
    return FIRST.get(kind, {}).get(line, KINDS[kind].first)
