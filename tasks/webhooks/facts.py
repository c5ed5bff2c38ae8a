"""What is known of one deposit: every capture, refund and chargeback told so far, and the sums they make. Pure.

The order in which the parts were told leaves no trace in the sums: that is what makes events safe to reorder.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from models.deposits import wait_keys
from models.ledger.codes import clearing_code, key_part, suspense_code, wallet_code
from models.ledger.outcomes import Leg

SHORTFALL = suspense_code("shortfall")
"""Bears what a refund or chargeback takes and the wallet no longer has."""
DUPLICATE_CAPTURE = suspense_code("duplicate_capture")
"""Keeps what a customer paid a second time for one reference, until a person gives it back."""


@dataclass(frozen=True, slots=True)
class Part:
    """One capture, refund or chargeback of the payment `object_id`, in minor units.

    `duplicate`: a capture of a second payment, which nobody had expected.
    """

    amount_minor: int
    object_id: str
    reversed: bool = False
    duplicate: bool = False


_PART_FIELDS = tuple(one.name for one in fields(Part))
Parts = Mapping[str, Part]
"""part id -> part"""


@dataclass(frozen=True, slots=True)
class Deposit:
    """The facts of one deposit. `totals` are the largest refund totals told, and `sequences` the newest sequence
    numbers, both by payment (`object_id`)."""

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
    totals: Mapping[str, int] = field(default_factory=dict)
    sequences: Mapping[str, int] = field(default_factory=dict)

    @property
    def captured_minor(self) -> int:
        return _standing(self.captures.values())

    @property
    def refunded_minor(self) -> int:
        payments = {part.object_id for part in self.refunds.values()} | set(self.totals)
        return sum(self.refunded_of(payment) for payment in payments)

    @property
    def charged_back_minor(self) -> int:
        return _standing(self.chargebacks.values())

    @property
    def state(self) -> str:
        """One of models.deposits.STATES, from the sums alone."""
        if self.captured_minor == 0:
            return "failed" if self.failed or self.captures else "expected"
        if self.charged_back_minor:
            return "charged_back"
        return "refunded" if self.refunded_minor >= self.captured_minor else "captured"

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
        return bool(self.refunds or self.totals or self.chargebacks) or len(self.captures) > 1

    def captured_of(self, payment: str) -> int:
        return _standing(_of(payment, self.captures))

    def charged_back_of(self, payment: str) -> int:
        return _standing(_of(payment, self.chargebacks))

    def refunded_of(self, payment: str) -> int:
        """The larger of the total told and the parts told, less the refunds that came back."""
        parts = _of(payment, self.refunds)
        told = max(self.totals.get(payment, 0), sum(part.amount_minor for part in parts))
        return told - sum(part.amount_minor for part in parts if part.reversed)

    def unattributed_of(self, payment: str) -> int:
        """What the refund total told exceeds the refunds told one by one."""
        parts = sum(part.amount_minor for part in _of(payment, self.refunds))
        return max(self.totals.get(payment, 0) - parts, 0)

    def is_second_payment(self, payment: str) -> bool:
        """Has the customer paid already, with another payment? The parts of one payment stay together."""
        own = _of(payment, self.captures)
        if own:
            return own[0].duplicate
        return any(not part.reversed and not part.duplicate for part in self.captures.values())

    def with_capture(self, part_id: str, part: Part) -> Self:
        return replace(self, captures={**self.captures, part_id: part})

    def with_refund(self, part_id: str, part: Part) -> Self:
        return replace(self, refunds={**self.refunds, part_id: part})

    def with_chargeback(self, part_id: str, part: Part) -> Self:
        return replace(self, chargebacks={**self.chargebacks, part_id: part})

    def key(self, effect: str) -> str:
        """The ledger key of one effect."""
        return f"deposit:{self.provider}:{key_part(self.reference)}:{effect}"

    def legs(self, payment: str, minor: int, shortfall_minor: int = 0) -> tuple[Leg, ...]:
        """The legs of money that came in (`minor` > 0) or went back (`minor` < 0) for a payment.

        What the wallet lacks when money goes back, suspense bears; `shortfall_minor` is what it has borne for this
        deposit so far. Money that comes in makes that good first: so the ledger is the same in whatever order
        events are told.
        """
        clearing = Leg(clearing_code(self.provider), self.currency, -minor)
        if self.is_second_payment(payment):
            return (Leg(DUPLICATE_CAPTURE, self.currency, minor), clearing)
        wallet = wallet_code(self.owner)
        if minor < 0:
            return (Leg(wallet, self.currency, minor, SHORTFALL), clearing)
        repaid = min(shortfall_minor, minor)
        own = (Leg(SHORTFALL, self.currency, repaid), Leg(wallet, self.currency, minor - repaid), clearing)
        return tuple(leg for leg in own if leg.amount_minor)

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
                "totals": dict(self.totals),
                "sequences": dict(self.sequences),
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
            totals=parts.get("totals", {}),
            sequences=parts.get("sequences", {}),
        )


def _of(payment: str, parts: Parts) -> list[Part]:
    return [part for part in parts.values() if part.object_id == payment]


def _standing(parts: Iterable[Part]) -> int:
    return sum(part.amount_minor for part in parts if not part.reversed)


def _stored(parts: Parts) -> dict[str, dict[str, Any]]:
    return {part_id: {name: getattr(part, name) for name in _PART_FIELDS} for part_id, part in parts.items()}


def _parts(stored: Mapping[str, Any], name: str) -> Parts:
    return {part_id: Part(**part) for part_id, part in stored.get(name, {}).items()}
