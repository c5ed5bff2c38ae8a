"""What is known of one deposit: every capture, refund and chargeback reported so far, and the sums they make. Pure.

The order in which the parts were reported leaves no trace in the sums: that is what makes events safe to reorder.

    payment   captured - returned - refunded - charged back  =  what stands of it
    deposit   what stands of all its payments, up to the announced amount, is the owner's (`Position.wallet`);
              what is above it was paid twice (`Position.duplicate`) until a person allocates it;
              what went back beyond a payment is nobody's money but ours (`Position.shortfall`)
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Self

from models.deposits import wait_keys
from models.ledger.codes import clearing_code, key_part, suspense_code, wallet_code
from models.ledger.outcomes import Leg
from tasks.webhooks.refunds import RefundTotal, refunded

SHORTFALL = suspense_code("shortfall")
"""Bears what a refund or chargeback takes and the wallet no longer has, or the payment never had."""
DUPLICATE_CAPTURE = suspense_code("duplicate_capture")
"""Keeps what was paid beyond the announced amount by a further payment, until it goes back or is allocated."""

RELEASE_SECONDS = 60
"""A rest is released with the capture that leaves it over; so much later it may be reported."""
NEVER_LEFT = 0
"""`reversed_at` of a refund that only released the rest of an authorisation: it is in no total of refunds."""


@dataclass(frozen=True, slots=True)
class Part:
    """One capture, refund, chargeback or return of the payment `object_id`, in minor units.

    `returned_minor`: what of a chargeback was reinstated; `reversed`: all of the part came back. `made_at` and
    `reversed_at` say when a refund was made and failed at the provider (Unix seconds; None where it does not say).
    `duplicate`: a second payment as earlier releases recorded it: all of it is beyond the announced amount.
    """

    amount_minor: int
    object_id: str
    reversed: bool = False
    duplicate: bool = False
    returned_minor: int = 0
    made_at: int | None = None
    reversed_at: int | None = None

    @property
    def standing_minor(self) -> int:
        return 0 if self.reversed else self.amount_minor - self.returned_minor


Parts = Mapping[str, Part]
"""part id -> part"""


class Release(NamedTuple):
    """The rest of an authorisation that a capture gave back unpaid, and the second of that capture."""

    minor: int
    at: int


class Position(NamedTuple):
    """Where a deposit's money stands: with its owner, as a duplicate, and beyond what was captured (<= 0)."""

    wallet: int = 0
    duplicate: int = 0
    shortfall: int = 0

    @property
    def total(self) -> int:
        """What the provider owes us for the deposit."""
        return sum(self)


@dataclass(frozen=True, slots=True)
class Deposit:
    """The facts of one deposit.

    By payment (`object_id`): `totals` are the newest refund totals, `released` what of them was never captured,
    `sequences` the newest sequence numbers, `allocated` what a person gave the owner of a duplicate, and `given_back`
    how much was ever refunded at least, as a person said who gave it back.
    """

    provider: str
    reference: str
    owner: str
    currency: str
    expected_minor: int
    failed: bool = False
    object_ids: tuple[str, ...] = ()
    captures: Parts = field(default_factory=dict)
    refunds: Parts = field(default_factory=dict)
    chargebacks: Parts = field(default_factory=dict)
    returns: Parts = field(default_factory=dict)
    totals: Mapping[str, RefundTotal] = field(default_factory=dict)
    released: Mapping[str, Release] = field(default_factory=dict)
    sequences: Mapping[str, int] = field(default_factory=dict)
    allocated: Mapping[str, int] = field(default_factory=dict)
    given_back: Mapping[str, int] = field(default_factory=dict)
    version: int = 0

    @property
    def payments(self) -> tuple[str, ...]:
        """The payments that money moved for."""
        parts = (*self.captures.values(), *self.refunds.values(), *self.chargebacks.values())
        return tuple(dict.fromkeys([*(part.object_id for part in parts), *self.totals]))

    @property
    def captured_minor(self) -> int:
        return sum(map(self.captured_of, self.payments))

    @property
    def refunded_minor(self) -> int:
        return sum(map(self.refunded_of, self.payments))

    @property
    def charged_back_minor(self) -> int:
        return sum(map(self.charged_back_of, self.payments))

    @property
    def state(self) -> str:
        """One of models.deposits.STATES, from the sums alone."""
        if self.captured_minor == 0:
            return "failed" if self.failed or self.captures else "expected"
        if self.charged_back_minor:
            return "charged_back"
        return "refunded" if self.refunded_minor >= self.captured_minor else "captured"

    @property
    def position(self) -> Position:
        """Whose the money is. A single payment is its owner's as a whole, whatever was announced."""
        standing = {payment: self.standing_of(payment) for payment in self.payments}
        apart = sum(minor for payment, minor in standing.items() if minor > 0 and self._is_apart(payment))
        counted = [minor for payment, minor in standing.items() if minor > 0 and not self._is_apart(payment)]
        owned = min(sum(counted), max(self.expected_minor, *counted, 0))
        beyond = sum(counted) - owned + apart
        allocated = min(sum(map(self.allocated_of, standing)), beyond)
        return Position(
            owned + allocated, beyond - allocated, sum(min(minor, 0) for minor in standing.values())
        )

    def allocated_of(self, payment: str) -> int:
        """What went back since is allocated no more."""
        return min(self.allocated.get(payment, 0), max(self.standing_of(payment), 0))

    def _is_apart(self, payment: str) -> bool:
        return any(part.duplicate for part in _of(payment, self.captures))

    @property
    def subject(self) -> str:
        return f"deposit:{self.provider}:{self.reference}"

    @property
    def wait_keys(self) -> tuple[str, ...]:
        """What events parked for this deposit may be waiting for."""
        return wait_keys(self.provider, self.reference, *self.object_ids)

    @property
    def has_history(self) -> bool:
        """Can money have gone back already? False for a deposit that was just captured."""
        went_back = self.refunds or self.totals or self.chargebacks or self.returns
        return bool(went_back) or len(self.captures) > 1

    def standing_of(self, payment: str) -> int:
        """What is left of a payment; below 0 when more went back than was captured."""
        return self.captured_of(payment) - self.refunded_of(payment) - self.charged_back_of(payment)

    def captured_of(self, payment: str) -> int:
        """What was captured of a payment and not returned since."""
        return max(_standing(self._captures_of(payment)) - self._returned_of(payment), 0)

    def ever_captured_of(self, payment: str) -> int:
        """The same, of whatever failed or was returned since."""
        return sum(part.amount_minor for part in self._captures_of(payment))

    def _captures_of(self, payment: str) -> list[Part]:
        """Captures with ids of their own, where there are any, say how much of the authorisation (the part with the
        payment's id) was taken."""
        parts = {part_id: part for part_id, part in self.captures.items() if part.object_id == payment}
        return [part for part_id, part in parts.items() if part_id != payment] or list(parts.values())

    def _returned_of(self, payment: str) -> int:
        return _standing(_of(payment, self.returns))

    def charged_back_of(self, payment: str) -> int:
        """Disputes, and what was returned beyond the captures."""
        beyond = max(self._returned_of(payment) - _standing(self._captures_of(payment)), 0)
        return _standing(_of(payment, self.chargebacks)) + beyond

    def refunded_of(self, payment: str) -> int:
        total, release = self.totals.get(payment), self.released.get(payment)
        net = total and total.net_of(release.minor if release else None)
        reported = refunded(net, self._refunds_of(payment, total, release))
        return reported + max(self.given_back.get(payment, 0) - self.ever_refunded_of(payment), 0)

    def ever_refunded_of(self, payment: str) -> int:
        """What the provider has reported, also where it failed since: so much of what was given back is known."""
        total, release = self.totals.get(payment), self.released.get(payment)
        net = total.net_of(release.minor if release else None).minor if total else 0
        left = [one for one in self._refunds_of(payment, total, release) if one.reversed_at != NEVER_LEFT]
        return max(net, sum(one.amount_minor for one in left))

    def _refunds_of(self, payment: str, total: RefundTotal | None, release: Release | None) -> list[Part]:
        """Without the one that only released a rest, where none says so: of its amount, made with the capture."""
        refunds = _of(payment, self.refunds)
        rest = release.minor if release else total.released if total else 0
        until = release.at + RELEASE_SECONDS if release else total.at // 2 if total else 0
        if not rest or any(one.amount_minor == rest and one.reversed_at == NEVER_LEFT for one in refunds):
            return refunds
        alike = [one for one in refunds if one.amount_minor == rest and (one.made_at or 0) <= until]
        first = min(alike, key=lambda one: one.made_at or 0, default=None)
        return [one for one in refunds if one is not first]

    def with_capture(self, part_id: str, part: Part) -> Self:
        return replace(self, captures={**self.captures, part_id: part})

    def with_refund(self, part_id: str, part: Part) -> Self:
        return replace(self, refunds={**self.refunds, part_id: part})

    def with_chargeback(self, part_id: str, part: Part) -> Self:
        return replace(self, chargebacks={**self.chargebacks, part_id: part})

    def with_return(self, part_id: str, part: Part) -> Self:
        return replace(self, returns={**self.returns, part_id: part})

    def key(self, effect: str) -> str:
        """The ledger key of one effect."""
        return f"deposit:{self.provider}:{key_part(self.reference)}:{effect}"

    def legs(self, before: Position, borne_minor: int = 0) -> tuple[Leg, ...]:
        """The legs that take the ledger from `before` to this deposit's position.

        What the wallet lacks when money goes back, suspense bears; `borne_minor` is what it bears for this deposit so
        far. Money that comes in makes that good first: so the ledger is the same in whatever order events come.
        """
        after = self.position
        wallet, shortfall = after.wallet - before.wallet, after.shortfall - before.shortfall
        repaid = max(min(borne_minor + before.shortfall, wallet), 0)
        legs = (
            Leg(SHORTFALL, self.currency, shortfall + repaid),
            Leg(wallet_code(self.owner), self.currency, wallet - repaid, SHORTFALL if wallet < 0 else None),
            Leg(DUPLICATE_CAPTURE, self.currency, after.duplicate - before.duplicate),
            Leg(clearing_code(self.provider), self.currency, before.total - after.total),
        )
        return tuple(leg for leg in legs if leg.amount_minor)

    def as_row(self) -> dict[str, Any]:
        """What the row of `deposits` says of these facts: the sums, and the parts they are sums of."""
        return {
            "captured_minor": self.captured_minor,
            "refunded_minor": self.refunded_minor,
            "charged_back_minor": self.charged_back_minor,
            "state": self.state,
            "object_ids": self.object_ids,
            "parts": {
                "failed": self.failed,
                "captures": _stored(self.captures),
                "refunds": _stored(self.refunds),
                "chargebacks": _stored(self.chargebacks),
                "returns": _stored(self.returns),
                "totals": {payment: total.as_json() for payment, total in self.totals.items()},
                "released": {payment: list(release) for payment, release in self.released.items()},
                "sequences": dict(self.sequences),
                "allocated": dict(self.allocated),
                "given_back": dict(self.given_back),
            },
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The facts of a row of `deposits`."""
        parts = row["parts"]
        return cls(
            provider=row["provider"],
            reference=row["reference"],
            owner=row["owner"],
            currency=row["currency"],
            expected_minor=row["expected_minor"],
            failed=parts.get("failed", False),
            object_ids=tuple(row["object_ids"]),
            captures=_parts(parts, "captures"),
            refunds=_parts(parts, "refunds"),
            chargebacks=_parts(parts, "chargebacks"),
            returns=_parts(parts, "returns"),
            totals={name: RefundTotal.from_json(total) for name, total in parts.get("totals", {}).items()},
            released={name: Release(*told) for name, told in parts.get("released", {}).items()},
            sequences=parts.get("sequences", {}),
            allocated=parts.get("allocated", {}),
            given_back=parts.get("given_back", {}),
            version=row.get("version", 0),
        )


def _of(payment: str, parts: Parts) -> list[Part]:
    return [part for part in parts.values() if part.object_id == payment]


def _standing(parts: Iterable[Part]) -> int:
    return sum(part.standing_minor for part in parts)


def _stored(parts: Parts) -> dict[str, dict[str, Any]]:
    """Only what differs from a plain part: most are."""
    return {part_id: _stored_part(part) for part_id, part in parts.items()}


def _stored_part(part: Part) -> dict[str, Any]:
    others = {
        one.name: getattr(part, one.name) for one in fields(part) if getattr(part, one.name) != one.default
    }
    return {"amount_minor": part.amount_minor, "object_id": part.object_id} | others


def _parts(stored: Mapping[str, Any], name: str) -> Parts:
    return {part_id: Part(**part) for part_id, part in stored.get(name, {}).items()}
