"""What is known of one deposit: every capture, refund and chargeback told so far, and the sums they make. Pure.

The order in which the parts were told leaves no trace in the sums: that is what makes events safe to reorder.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from models.ledger.codes import clearing_code, suspense_code, wallet_code
from models.ledger.outcomes import Leg

SHORTFALL = suspense_code("shortfall")
"""Bears what a refund or chargeback takes and the wallet no longer has."""
DUPLICATE_CAPTURE = suspense_code("duplicate_capture")
"""Keeps what a customer paid a second time for one reference, until a person gives it back."""


@dataclass(frozen=True, slots=True)
class Part:
    """One capture, refund or chargeback of the payment `object_id`, in minor units.

    `moved_minor` is what its own posting moved: less than the amount for a refund that a total had already told.
    """

    amount_minor: int
    object_id: str
    moved_minor: int
    reversed: bool = False
    duplicate: bool = False


Parts = Mapping[str, Part]
"""part id -> part"""


@dataclass(frozen=True, slots=True)
class Deposit:
    """The facts of one deposit. `totals` are the refund totals that moved money and `sequences` the newest
    sequence number, both by payment (`object_id`)."""

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
    totals: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
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

    def captured_of(self, payment: str) -> int:
        return _standing(_of(payment, self.captures))

    def charged_back_of(self, payment: str) -> int:
        return _standing(_of(payment, self.chargebacks))

    def refunded_of(self, payment: str) -> int:
        """The larger of the total told and the parts told, less the refunds that came back."""
        parts = _of(payment, self.refunds)
        told = max((*self.totals.get(payment, ()), sum(part.amount_minor for part in parts)))
        return told - sum(part.amount_minor for part in parts if part.reversed)

    def unattributed_of(self, payment: str) -> int:
        """What the total told of refunds exceeds the parts told."""
        parts = sum(part.amount_minor for part in _of(payment, self.refunds))
        return max((*self.totals.get(payment, ()), parts)) - parts

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
        """The ledger key of one effect. The reference's colons are escaped, so that no two effects share a key."""
        reference = self.reference.replace("%", "%25").replace(":", "%3A")
        return f"deposit:{self.provider}:{reference}:{effect}"

    def credited(self, payment: str, amount_minor: int) -> tuple[Leg, ...]:
        """The legs of money that came in."""
        return (
            Leg(self._account_of(payment), self.currency, amount_minor),
            Leg(clearing_code(self.provider), self.currency, -amount_minor),
        )

    def taken(self, payment: str, amount_minor: int) -> tuple[Leg, ...]:
        """The legs of money that went back; what the wallet lacks, suspense bears."""
        account = self._account_of(payment)
        cover = SHORTFALL if account != DUPLICATE_CAPTURE else None
        return (
            Leg(account, self.currency, -amount_minor, cover),
            Leg(clearing_code(self.provider), self.currency, amount_minor),
        )

    def given_back(self, took: Mapping[str, int], amount_minor: int) -> tuple[Leg, ...]:
        """The legs that undo `amount_minor` of what was taken (`took`: account -> minor units, without clearing).

        Suspense comes first: what it bore for this deposit is made good before the wallet is. Raises ValueError
        when less was taken than is to be given back.
        """
        legs: list[Leg] = []
        left = amount_minor
        for code in sorted(took, key=lambda code: code != SHORTFALL):
            back = min(left, took[code])
            if back > 0:
                legs.append(Leg(code, self.currency, back))
                left -= back
        if left:
            raise ValueError(f"{self.subject}: {left} more to give back than was taken")
        return (*legs, Leg(clearing_code(self.provider), self.currency, -amount_minor))

    def _account_of(self, payment: str) -> str:
        return DUPLICATE_CAPTURE if self.is_second_payment(payment) else wallet_code(self.owner)

    def parts_json(self) -> dict[str, Any]:
        """The column `parts`."""
        return {
            "failed": self.failed,
            "captures": {part_id: asdict(part) for part_id, part in self.captures.items()},
            "refunds": {part_id: asdict(part) for part_id, part in self.refunds.items()},
            "chargebacks": {part_id: asdict(part) for part_id, part in self.chargebacks.items()},
            "totals": dict(self.totals),
            "sequences": dict(self.sequences),
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
            totals={payment: tuple(told) for payment, told in parts.get("totals", {}).items()},
            sequences=parts.get("sequences", {}),
        )


def wait_keys(provider: str, reference: str | None, *object_ids: str | None) -> tuple[str, ...]:
    """What waits for a deposit, known by our reference or by the provider's payments."""
    by_reference = (f"deposit:{provider}:ref:{reference}",) if reference else ()
    return by_reference + tuple(
        f"deposit:{provider}:obj:{object_id}" for object_id in object_ids if object_id
    )


def _of(payment: str, parts: Parts) -> list[Part]:
    return [part for part in parts.values() if part.object_id == payment]


def _standing(parts: Iterable[Part]) -> int:
    return sum(part.amount_minor for part in parts if not part.reversed)


def _parts(stored: Mapping[str, Any], name: str) -> Parts:
    return {part_id: Part(**part) for part_id, part in stored.get(name, {}).items()}
