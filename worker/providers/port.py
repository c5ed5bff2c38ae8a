"""What a provider tells us: one shape for every vendor, and the three ways a webhook is refused.

    WebhookRefused
    ├── BadSignature     missing, malformed or wrong: nothing proves who sent it
    ├── StaleSignature   authentic, but signed more than the tolerance before or after now
    └── MalformedEvent   not a JSON object (worker.providers.event_json)

`code` is the contract's stable code. Messages name headers, fields and limits, never what stood in them.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args

from models.errors import LedgerbeatError

DepositMove = Literal[
    "authorised",
    "captured",
    "capture_total",
    "failed",
    "expired",
    "refunded",
    "refund_total",
    "refund_reversed",
    "refund_voided",
    "released",
    "chargeback",
    "chargeback_reversed",
    "capture_reversed",
    "returned",
]
"""What an event says happened to a deposit.

`authorised` moves nothing and names the payment; `expired` is the end of what was not captured of it, and `released`
its rest after a capture. `capture_total` and `refund_total` state the sum so far; the latter falls when a refund fails.
A refund is `reversed` when its money came back, and `voided` when it never left, though a total may have counted it.
`returned` is settled money that was taken back from us, as a whole or in part.
"""

PayoutMove = Literal[
    "payout_submitted",
    "payout_paid",
    "payout_failed",
    "payout_returned",
    "payout_reversed",
    "payout_reversal_failed",
]
"""What an event says happened to a payout: taken by the provider, money gone, never gone, or gone and come back.

`payout_reversed`: another payout, `part_id`, has fetched the money back. `payout_reversal_failed`: that one has not, or
not for good. `object_id` names the payout that was to be reversed.
"""

Move = DepositMove | PayoutMove

DEPOSIT_MOVES: frozenset[str] = frozenset(get_args(DepositMove))
PAYOUT_MOVES: frozenset[str] = frozenset(get_args(PayoutMove))
MOVES = DEPOSIT_MOVES | PAYOUT_MOVES

COUNTERS_BELOW = 1_000_000_000
"""A `sequence` below this counts the events of one object, from 1 and without a gap; above, it is made of a time."""

Refusal = Literal["other_account", "unknown_event_type", "thin_event"]
"""`other_account`: another account's money, or test mode's. `unknown_event_type`: not known whether it moves money.
`thin_event`: Stripe's thin payload, which names an object and does not contain it."""

LATER_FIELDS = frozenset({"refusal", "account", "released_minor", "made_at", "is_total"})

UNSIGNED = -1
"""In place of the index of the secret that signed: nothing in the body had to be signed, and nothing takes effect."""

Capture = Literal["automatic", "manual"]
"""When the money is ours: with the authorisation, or with a capture of its own."""


class WebhookRefused(LedgerbeatError):
    """The webhook is not accepted; nothing of it is recorded."""

    code: ClassVar[str] = "bad_signature"


class BadSignature(WebhookRefused):
    code = "bad_signature"


class StaleSignature(WebhookRefused):
    code = "stale_signature"


class MalformedEvent(WebhookRefused):
    code = "malformed_json"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One authentic event, in our words. Amounts are ISO 4217 minor units, times ISO 8601 in UTC.

    `problem` says why an authentic event was not understood: such an event has no move, and its raw body is
    what a person looks at. It holds field names and our own words only, never what stood in a field.
    """

    event_key: str
    """The provider's identity of the event, for de-duplication: at most 200 printable ASCII characters."""
    type: str
    """The provider's own name of it, such as `charge.refunded` or `CAPTURE:true`."""
    move: Move | None
    """None: nothing that a deposit or a payout does."""
    reference: str | None
    """Our reference, as given to deposits.expect, or that of a payout's attempt."""
    object_id: str | None
    """The provider's id of the payment, or the payout, itself."""
    part_id: str | None
    """Which capture, refund or chargeback of that payment; which reversal of that payout."""
    amount_minor: int | None
    currency: str | None
    sequence: int | None
    """Higher is newer for one object: the provider's counter, or made of its time (COUNTERS_BELOW)."""
    occurred_at: str | None
    problem: str | None = None
    code: str | None = None
    """Why a payout failed or came back, in the provider's word."""
    released_minor: int | None = None
    """Of a `capture_total` or `refund_total`: what the charge's refunds contain and only released an authorisation."""
    made_at: int | None = None
    """When the refund that the event is about was made, in Unix seconds."""
    is_total: bool | None = None
    """True where `amount_minor` is all that came back so far of a chargeback, not only what this event adds."""
    refusal: Refusal | None = None
    """Why an authentic event takes no effect although it was understood; `problem` says it in a sentence."""
    account: str | None = None
    """The provider's account that tells of a payout, where that is not our own: the payout must have gone there."""

    def as_args(self) -> dict[str, Any]:
        """The event as JSON-ready job arguments. Fields of LATER_FIELDS only where they say something, so that an event
        has the idempotency key that it had before they were added."""
        values = {name: getattr(self, name) for name in NAMES}
        return {
            name: value for name, value in values.items() if value is not None or name not in LATER_FIELDS
        }

    @classmethod
    def from_args(cls, args: Mapping[str, Any]) -> Self:
        """The event of `as_args()`. Raises ValueError for unknown, missing or impossible fields."""
        known = {field.name for field in fields(cls)}
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        if unexpected := (set(args) - known) | (needed - set(args)):
            raise ValueError(f"not a provider event: unknown or missing {sorted(unexpected)}")
        if args["move"] is not None and args["move"] not in MOVES:
            raise ValueError(f"not a provider event: unknown move {args['move']!r}")
        return cls(**args)


NAMES = tuple(field.name for field in fields(ProviderEvent))
