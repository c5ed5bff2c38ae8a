"""What can be decided about one event of a deposit, and what the rules have in common. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tasks.webhooks.facts import Deposit, Part, Position
from worker.providers.port import ProviderEvent


@dataclass(frozen=True, slots=True)
class Apply:
    """The deposit is as `after`: the ledger goes from the position `before` to that of `after`, under `key`.

    Without a `key` there is nothing to post.
    """

    after: Deposit
    kind: str = ""
    key: str = ""
    before: Position = field(default_factory=Position)
    reason: str = ""

    @property
    def minor(self) -> int:
        """What came in (or went back, < 0)."""
        return self.after.position.total - self.before.total if self.key else 0

    @property
    def wallet_minor(self) -> int:
        """What of it is for the owner's wallet."""
        return self.after.position.wallet - self.before.wallet if self.key else 0


@dataclass(frozen=True, slots=True)
class Park:
    """Not yet: wait for one of these keys, or for the schedule."""

    reason: str
    wait_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing to do, for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    """It cannot be right: a person must look. `detail` has the `cause`."""

    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)


Decision = Apply | Park | Ignore | Reject
Rule = Callable[[Deposit, str, ProviderEvent], Decision]
Kinds = tuple[str, str]
"""Kinds of the ledger transaction: of money that came in, and of money that went back."""

CAPTURES: Kinds = ("deposit.captured", "deposit.capture_reversed")
REFUNDS: Kinds = ("deposit.refund_reversed", "deposit.refunded")
CHARGEBACKS: Kinds = ("deposit.chargeback_reversed", "deposit.charged_back")
RETURNS: Kinds = ("deposit.captured", "deposit.returned")
SECOND = ":2"
"""Ends the part id of a second chargeback of one dispute."""


def moved(
    deposit: Deposit, after: Deposit, kinds: Kinds, effect: str, reason: str = "", otherwise: str = ""
) -> Apply:
    """The ledger follows the facts; `otherwise` is the reason where they say no more than was known."""
    before, minor = deposit.position, after.position.total - deposit.position.total
    if after.position == before:
        return Apply(after, reason=reason or otherwise)
    return Apply(after, kinds[minor < 0], deposit.key(effect), before, reason)


def told_again(known: Part, event: ProviderEvent) -> Decision:
    if event.amount_minor in (None, known.amount_minor):
        return Ignore("duplicate")
    cause = f"{event.amount_minor} told, {known.amount_minor} told before"
    return Reject("amount_conflict", {"cause": cause})


def cannot_undo(part: Part, event: ProviderEvent) -> Decision | None:
    told = told_again(part, event)
    return told if part.reversed or isinstance(told, Reject) else None


def was_captured(deposit: Deposit, payment: str) -> bool:
    return any(part.object_id == payment for part in deposit.captures.values())


def seconds_of(event: ProviderEvent) -> int | None:
    """When the event happened, in Unix seconds."""
    try:
        return int(datetime.fromisoformat(event.occurred_at or "").timestamp())
    except (ValueError, OverflowError):
        return None


def amount_of(event: ProviderEvent) -> int:
    assert event.amount_minor is not None  # noqa: S101 - NEEDS was checked: the type cannot say so
    return event.amount_minor


def part_id_of(event: ProviderEvent) -> str:
    assert event.part_id is not None  # noqa: S101 - NEEDS was checked: the type cannot say so
    return event.part_id


def names_no_payment(event: ProviderEvent) -> bool:
    """An event with one id alone, which is its own or the payment's: Adyen's without `originalReference`."""
    return (
        event.move in ("chargeback", "chargeback_reversed", "capture_reversed")
        and event.part_id is not None
        and event.part_id.removesuffix(SECOND) == event.object_id
    )
