"""How much of a payment stands refunded, from its refunds one by one and the provider's own total. Pure.

Stripe reports both: each refund with its state, and with `charge.refunded` the charge's `amount_refunded`, which falls
when a refund fails or is canceled (docs.stripe.com/refunds). Endpoints get one of the two or both, in any order. So:

    the newest total is believed, whatever single refunds were reported before it;
    a refund made later adds to it, and one that it contains and that failed later is taken off again;
    a refund of the same second, or of an unknown time, is taken to be contained as far as the total goes;
    what failed is taken off as far as no other refund explains the total.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class RefundTotal:
    """What of a payment stood refunded at `at`: half seconds of Unix time, odd where the second's events are in it;
    0 where that is not known, of totals that earlier releases stored.

    `released` is how much of it seems to be the rest of an authorisation that was never captured.
    """

    minor: int
    at: int = 0
    released: int = 0

    def net_of(self, released_minor: int | None) -> Self:
        """Only what was refunded; `released_minor` is what is known to have been released, where it is known."""
        released = self.released if released_minor is None else min(released_minor, self.minor)
        return replace(self, minor=self.minor - released, released=0)

    def newest(self, other: Self | None) -> Self:
        """Of one moment the larger: refunds are made one by one."""
        return self if other is None or (self.at, self.minor) > (other.at, other.minor) else other

    def as_json(self) -> dict[str, int]:
        return {"minor": self.minor, "at": self.at, "released": self.released}

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """From `as_json()`, or from the bare amount that earlier releases stored."""
        return cls(stored) if isinstance(stored, int) else cls(**stored)


class Refund(Protocol):
    """One refund. Times are Unix seconds, None where the provider does not say."""

    @property
    def amount_minor(self) -> int: ...
    @property
    def reversed(self) -> bool: ...
    @property
    def made_at(self) -> int | None: ...
    @property
    def reversed_at(self) -> int | None: ...


def refunded(total: RefundTotal | None, refunds: Sequence[Refund]) -> int:
    """Minor units that stand refunded now."""
    if total is None:
        return sum(one.amount_minor for one in refunds if not one.reversed)
    later = [one for one in refunds if _was_made_after(one, total)]
    earlier = [one for one in refunds if not _was_made_after(one, total) and not _had_failed(one, total)]
    of_the_moment = [one for one in earlier if not total.at or one.made_at in (None, total.at / 2)]
    contained = max(total.minor, sum(one.amount_minor for one in of_the_moment))
    unexplained = max(contained - sum(one.amount_minor for one in earlier if not one.reversed), 0)
    failed = min(sum(one.amount_minor for one in earlier if one.reversed), unexplained)
    return contained - failed + sum(one.amount_minor for one in later if not one.reversed)


def _was_made_after(refund: Refund, total: RefundTotal) -> bool:
    return bool(total.at) and refund.made_at is not None and refund.made_at * 2 > total.at


def _had_failed(refund: Refund, total: RefundTotal) -> bool:
    """Did the total leave it out already? One of an unknown time is older than every total that has a time."""
    return refund.reversed and (refund.reversed_at or 0) * 2 < total.at
