"""What we ask of a provider that pays out, and every answer it may have. Adapters raise nothing else than bugs.

The closed set is the point: whatever a network and a vendor's SDK can do becomes one of these, and only `Declined`
and `NotSent` say that no money moved. Everything that proves nothing is `InDoubt`.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

ObjectStatus = Literal["submitted", "paid", "failed", "returned"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One attempt. The amount is in ISO 4217 minor units; the adapter converts it exactly, or declines it.

    `reference` is ours and unique per attempt; `key` is the provider's idempotency key. Both the same, whenever the
    same attempt is sent again.
    """

    key: str
    reference: str
    amount_minor: int
    currency: str
    destination: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submitted:
    """Taken: `object_id` is the provider's id. Some are paid, or failed, at once; `code` says why it failed."""

    object_id: str
    status: ObjectStatus = "submitted"
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Declined:
    """A verdict about this payout: nothing moved and nothing will. `retryable`: another attempt may succeed."""

    code: str
    retryable: bool
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class NotSent:
    """Nothing moved, and it is no verdict: throttled, or no connection could be made.

    The same key is used again later; no attempt is spent. `down`: it speaks against the provider (breaker).
    """

    code: str
    retry_after_seconds: float | None = None
    down: bool = False


@dataclass(frozen=True, slots=True)
class InDoubt:
    """It may have happened: time-out after sending, 5xx, a broken or unreadable answer, an unknown error.

    Also when the key is busy, or was used for something else: another request with it may yet move money.
    """

    code: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing moved: the account itself is refused (401, 403). No payout of it can go on: stop the provider."""

    code: str


Answer = Submitted | Declined | NotSent | InDoubt | Stopped


@dataclass(frozen=True, slots=True)
class Found:
    """The provider knows the attempt."""

    object_id: str
    status: ObjectStatus
    amount_minor: int
    currency: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider answered that it does not know the reference. Proof only after the settle delay."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """The look-up itself gave no answer, or one that proves nothing."""

    code: str


Sighting = Found | NotFound | Unsure


class PayoutProvider(Protocol):
    """One account at one provider. Safe for threads; connects when first used; every call is bounded in time."""

    def send(self, instruction: Instruction) -> Answer:
        """Ask for the payout, once: no retry inside. Within `timeout_seconds` of the account."""

    def look_up(
        self, reference: str, *, since: datetime, destination: str, object_id: str | None = None
    ) -> Sighting:
        """What became of the attempt that was first sent at `since`. Changes nothing at the provider.

        `destination` is that of the instruction: at Stripe it says in which account, and for what, to look.
        """

    def close(self) -> None:
        """Give back connections."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an adapter's provider promises, with the source of each in the adapter's module.

    A key may be used again for `key_valid_seconds` after its first use. A payout is visible to the look-up
    `settle_seconds` after it was sent: "not found" is proof only after that.
    """

    key_valid_seconds: int
    settle_seconds: int
