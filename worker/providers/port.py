"""What a provider tells us: one shape for every vendor, and the three ways a webhook is refused.

    WebhookRefused
    ├── BadSignature     missing, malformed or wrong: nothing proves who sent it
    ├── StaleSignature   authentic, but signed more than the tolerance before or after now
    └── MalformedEvent   not a JSON object (or not strictly: worker.providers.strict_json)

`code` is the contract's stable code. Messages name headers, fields and limits, never what stood in them.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args

from models.errors import LedgerbeatError

Move = Literal[
    "captured",
    "failed",
    "refunded",
    "refund_total",
    "refund_reversed",
    "chargeback",
    "chargeback_reversed",
    "capture_reversed",
]
"""What an event says happened to a deposit. `refund_total` states the sum of all refunds so far."""

MOVES: frozenset[str] = frozenset(get_args(Move))

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
    """None: nothing that a deposit does."""
    reference: str | None
    """Our reference, as given to deposits.expect."""
    object_id: str | None
    """The provider's id of the payment itself."""
    part_id: str | None
    """Which capture, refund or chargeback of that payment."""
    amount_minor: int | None
    currency: str | None
    sequence: int | None
    """Higher is newer for one object, where the provider counts."""
    occurred_at: str | None
    problem: str | None = None

    def as_args(self) -> dict[str, Any]:
        """The event as JSON-ready job arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

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
