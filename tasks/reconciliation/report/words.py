"""What each finding kind is called, what it means, and what to do first, in the words of who handles the money."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KindWords:
    title: str
    meaning: str
    first: str


KINDS: Mapping[str, KindWords] = {
    "missing_at_provider": KindWords(
        "Missing at provider",
        "The ledger has it, the provider's records do not.",
        "Search the provider's dashboard for the reference. Not there: the wallet holds money that never came.",
    ),
    "missing_in_ledger": KindWords(
        "Missing in ledger",
        "The provider moved the money, the ledger does not know of it.",
        "Look for its webhook among parked and dead jobs; take it in again from there, or fetch it from the provider.",
    ),
    "amount_mismatch": KindWords(
        "Amount differs",
        "Both sides have it, with different amounts.",
        "Compare both records below. The provider's amount is what moved; correct the ledger by a posting.",
    ),
    "currency_mismatch": KindWords(
        "Currency differs",
        "Both sides have it, in different currencies.",
        "Find out in which currency the money settled before anything is corrected.",
    ),
    "status_mismatch": KindWords(
        "Status differs",
        "A payout came back on one side and not on the other.",
        "Ask the provider for the payout's state now. Do not pay it again before that is clear.",
    ),
    "fee_mismatch": KindWords(
        "Fee differs",
        "The fee that is booked is not the fee that the provider took.",
        "Compare with the provider's invoice; post the difference or claim it back.",
    ),
    "duplicate_at_provider": KindWords(
        "Twice at provider",
        "The provider has more records than the ledger for one reference.",
        "A payout: call the provider at once, money may have left twice. A deposit: refund the second charge.",
    ),
    "late_reversal": KindWords(
        "Reversed late",
        "A payout that was paid came back days later.",
        "The money is back in the wallet. Check the destination with the customer before it is paid again.",
    ),
    "unknown_event": KindWords(
        "Unknown event",
        "The provider told us of something that the ledger does not know.",
        "A deposit of ours: have the app announce it, and the event takes effect by itself. Made in the provider's "
        "dashboard, or by another system with the same key: cancel its job.",
    ),
    "in_doubt_overdue": KindWords(
        "Payout in doubt",
        "Nobody knows whether a payout left, and all look-ups are used up. Its money is held.",
        "Ask the provider's support for the reference; then settle the payout by hand.",
    ),
    "invariant_broken": KindWords(
        "Books out of order",
        "A promise that the ledger makes about itself does not hold.",
        "Stop payouts of this tenant and call an engineer; the check and its remedy are named below.",
    ),
    "duplicate_payment": KindWords(
        "Paid twice",
        "A customer paid more than was announced for one reference.",
        "Ask the app whose it is; then the job `deposits.allocate` books it, to the owner or, once it is refunded at "
        "the provider, back to the payer.",
    ),
    "disputed_more_than_captured": KindWords(
        "Disputed too much",
        "Chargebacks of a payment come to more than was captured.",
        "Compare the disputes with the payment at the provider; the excess stands in suspense until it is explained.",
    ),
    "duplicate_record": KindWords(
        "Two records, one id",
        "Rows of the provider's feed have the same id and say different things; each of them counts.",
        "Look at the rows in the feed. Different movements: name more columns as `record_id`, or have the ids mended. "
        "One movement told wrongly: have the file corrected, and run this night again.",
    ),
}
