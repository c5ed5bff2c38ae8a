"""A provider's truth about one payment of 100.00 EUR, and the webhooks that Stripe and Adyen would send of it.

`standing` is what the merchant has of it in the end. Each step takes at least a second, and all that is sent of it has
the second of the step.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.unit.providers.vendors import (
    BEGAN,
    NEW_API,
    Event,
    adyen_item,
    charge,
    dispute,
    refund,
    stripe_event,
)

AMOUNT = 10000


@dataclass
class Refunded:
    amount: int
    made: int
    transaction: str | None


@dataclass
class Disputed:
    withdrawn: int
    given_back: list[int] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.withdrawn - sum(self.given_back)


@dataclass
class Payment:
    """What is true. `second` is the provider's clock."""

    captured: int = 0
    refunds: dict[str, Refunded] = field(default_factory=dict)
    disputes: dict[str, Disputed] = field(default_factory=dict)
    came_back: int = 0
    second: int = 0
    sent: list[Event] = field(default_factory=list)

    @property
    def refunded(self) -> int:
        return sum(one.amount for one in self.refunds.values())

    @property
    def charged_back(self) -> int:
        return sum(one.lost for one in self.disputes.values())

    @property
    def standing(self) -> int:
        return self.captured - self.came_back - self.refunded - self.charged_back


@dataclass
class StripePayment(Payment):
    """`one_capture`: the rest that it leaves over is in `amount_refunded`, as Stripe has it only there."""

    api: str = NEW_API
    one_capture: bool = True
    is_final: bool = False
    rest_has_transaction: bool = False

    def charge(self, **more: Any) -> Event:
        released = AMOUNT - self.captured if self.one_capture and self.is_final else 0
        known = {"captured": self.is_final, "amount_refunded": self.refunded + released}
        return charge(AMOUNT, taken=self.captured, **(known | more))

    def send(self, type_: str, subject: Event, **more: Any) -> None:
        self.sent.append(stripe_event(type_, subject, self.second, api=self.api, **more))

    def authorise(self) -> None:
        self.send("charge.succeeded", self.charge())

    def pay(self) -> None:
        self.captured, self.is_final = AMOUNT, True
        self.send("charge.succeeded", self.charge())

    def capture(self, amount: int, *, final: bool) -> None:
        self.captured, self.is_final = self.captured + amount, final
        self.one_capture = self.one_capture and final
        if not self.one_capture:
            self.send("charge.updated", self.charge(), before={"balance_transaction": None})
        if not final:
            return
        self.send("charge.captured", self.charge())
        if self.one_capture and self.captured < AMOUNT:
            moved_by = "txn_rest" if self.rest_has_transaction else None
            known: Event = {"id": "re_rest", "created": BEGAN + self.second, "balance_transaction": moved_by}
            rest = refund(AMOUNT - self.captured, **known)
            self.tell_of_refund(rest, "refund.created")
            self.send("charge.refunded", self.charge())

    def tell_of_refund(self, subject: Event, type_: str) -> None:
        """Before 2024-10-28 there is one type, and it is not for the making of a refund."""
        if self.api == NEW_API:
            self.send(type_, subject)
        elif type_ != "refund.created" or subject["balance_transaction"] is None:
            self.send("charge.refund.updated", subject)

    def refund_object(self, name: str, one: Refunded, status: str) -> Event:
        known = {"id": name, "created": BEGAN + one.made, "balance_transaction": one.transaction}
        return refund(one.amount, status, **known)

    def refund(self, name: str, amount: int, *, pending: bool, withdrawn: bool) -> None:
        """A pending one may have left the balance already, or not."""
        self.refunds[name] = one = Refunded(
            amount, self.second, "txn_r" if withdrawn or not pending else None
        )
        self.send("charge.refunded", self.charge())
        subject = self.refund_object(name, one, "pending" if pending else "succeeded")
        self.tell_of_refund(subject, "refund.created")

    def succeed(self, name: str) -> None:
        self.refunds[name].transaction = "txn_r"
        self.tell_of_refund(self.refund_object(name, self.refunds[name], "succeeded"), "refund.updated")

    def end_refund(self, name: str, status: Literal["failed", "canceled"]) -> None:
        one = self.refunds.pop(name)
        type_ = "refund.failed" if status == "failed" else "refund.updated"
        self.tell_of_refund(self.refund_object(name, one, status), type_)

    def dispute_object(self, name: str, status: str) -> Event:
        one = self.disputes[name]
        return dispute(one.withdrawn, -one.withdrawn, *one.given_back, status=status, id=name)

    def dispute(self, name: str, amount: int) -> None:
        self.disputes[name] = Disputed(amount)
        opened = dispute(amount, id=name)
        self.send("charge.dispute.created", opened)
        self.send("charge.dispute.funds_withdrawn", self.dispute_object(name, "needs_response"))

    def give_back(self, name: str, amount: int) -> None:
        """All of it when it is won, what was refunded already when it is lost."""
        self.disputes[name].given_back.append(amount)
        status = "won" if self.disputes[name].lost == 0 else "lost"
        self.send("charge.dispute.closed", self.dispute_object(name, status))
        self.send("charge.dispute.funds_reinstated", self.dispute_object(name, status))

    def bounce(self) -> None:
        """The bank returns the debit."""
        self.came_back = self.captured
        self.send(
            "charge.failed", self.charge(status="failed", paid=False, failure_balance_transaction="txn_f")
        )


Naming = Literal["original", "payment", "dispute"]
"""How a dispute's later events name it: with `originalReference`, or with one id alone."""


@dataclass
class AdyenPayment(Payment):
    """`by_hand`: each capture is an event of its own, and the authorisation is worth what they say."""

    by_hand: bool = False
    naming: Naming = "original"
    psp: str = "PAYMENT000000001"
    captures: dict[str, int] = field(default_factory=dict)

    def send(self, code: str, psp: str, value: int, original: str | None = None) -> None:
        date = f"2026-11-30T09:{self.second // 60:02}:{self.second % 60:02}+01:00"
        self.sent.append(adyen_item(code, psp, value, original=original, eventDate=date))

    def authorise(self) -> None:
        self.captured = 0 if self.by_hand else AMOUNT
        self.send("AUTHORISATION", self.psp, AMOUNT)

    def capture(self, name: str, amount: int) -> None:
        self.captures[name] = amount
        self.captured = sum(self.captures.values())
        self.send("CAPTURE", name, amount, self.psp)

    def fail_capture(self, name: str) -> None:
        amount = self.captures.pop(name)
        self.captured = sum(self.captures.values())
        self.send("CAPTURE_FAILED", name, amount, self.psp)

    def refund(self, name: str, amount: int) -> None:
        self.refunds[name] = Refunded(amount, self.second, None)
        self.send("REFUND", name, amount, self.psp)

    def end_refund(self, name: str, code: Literal["REFUND_FAILED", "REFUNDED_REVERSED"]) -> None:
        self.send(code, name, self.refunds.pop(name).amount, self.psp)

    def dispute(self, name: str, amount: int) -> None:
        self.disputes[name] = Disputed(amount)
        self.send("NOTIFICATION_OF_CHARGEBACK", name, amount, self.psp)
        self.send("CHARGEBACK", name, amount, self.psp)

    def _named(self, code: str, name: str, value: int) -> None:
        psp = self.psp if self.naming == "payment" else name
        self.send(code, psp, value, self.psp if self.naming == "original" else None)

    def win(self, name: str) -> None:
        one = self.disputes[name]
        self._named("CHARGEBACK_REVERSED", name, one.withdrawn)
        one.given_back.append(one.withdrawn)

    def lose_again(self, name: str, fees: int) -> None:
        one = self.disputes[name]
        one.given_back.append(-one.withdrawn - fees)
        self._named("SECOND_CHARGEBACK", name, one.withdrawn + fees)

    def take_back(self, name: str, amount: int) -> None:
        self.came_back += amount
        self.send("SETTLED_REVERSED", name, amount, self.psp)
