"""Whatever happens to a payment, and however its provider reports it: the wallet ends as the provider's truth says."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.webhooks.facts import Deposit
from tests.unit.families.playing import Play
from tests.unit.families.truth import AdyenPayment, Payment, StripePayment
from tests.unit.providers.shapes import adyen_body, encoded
from tests.unit.providers.vendors import NEW_API, OLD_API, Event
from worker.providers import adyen, stripe
from worker.providers.port import Capture, ProviderEvent

DISPUTED_TWICE = 15000
"""Disputes and their fees go beyond the payment; refunds do not."""


@st.composite
def stripe_payments(draw: st.DrawFn) -> StripePayment:
    payment = StripePayment(
        api=draw(st.sampled_from([NEW_API, OLD_API])), rest_has_transaction=draw(st.booleans())
    )
    if draw(st.booleans()):
        payment.pay()
    else:
        payment.authorise()
        for final in draw(st.sampled_from([[True], [False, True], [False, False, True]])):
            payment.second += draw(st.integers(1, 3))
            payment.capture(draw(st.integers(1, 3300)), final=final)
    for number in range(draw(st.integers(0, 5))):
        payment.second += draw(st.integers(1, 3))
        _go_on(draw, payment, f"{number}")
    if draw(st.integers(0, 4)) == 0:
        payment.second += 1
        payment.bounce()
    return payment


def _go_on(draw: st.DrawFn, payment: StripePayment, number: str) -> None:
    refundable = payment.captured - payment.refunded
    step = draw(st.sampled_from(["refund", "refund", "end", "succeed", "dispute", "give back"]))
    if step == "refund" and refundable > 0:
        amount = draw(st.integers(1, refundable))
        payment.refund(f"re_{number}", amount, pending=draw(st.booleans()), withdrawn=draw(st.booleans()))
    elif step == "end" and payment.refunds:
        status = draw(st.sampled_from(["failed", "canceled"]))
        payment.end_refund(draw(st.sampled_from(sorted(payment.refunds))), status)  # type: ignore[arg-type]  # of two
    elif step == "succeed" and payment.refunds:
        payment.succeed(draw(st.sampled_from(sorted(payment.refunds))))
    elif step == "dispute" and payment.charged_back < DISPUTED_TWICE:
        payment.dispute(f"du_{number}", draw(st.integers(1, 10500)))
    elif step == "give back" and (lost := [name for name, one in payment.disputes.items() if one.lost]):
        name = draw(st.sampled_from(sorted(lost)))
        payment.give_back(name, draw(st.integers(1, payment.disputes[name].lost)))


@st.composite
def adyen_payments(draw: st.DrawFn) -> AdyenPayment:
    naming = draw(st.sampled_from(["original", "payment", "dispute"]))
    payment = AdyenPayment(by_hand=draw(st.booleans()), naming=naming)  # type: ignore[arg-type]  # one of three
    payment.authorise()
    if payment.by_hand or draw(st.booleans()):
        for number in range(draw(st.integers(1, 3))):
            payment.second += 1
            payment.capture(f"CAPTURE{number:09}", draw(st.integers(1, 3000)))
        if len(payment.captures) > 1 and draw(st.booleans()):
            payment.second += 1
            payment.fail_capture(draw(st.sampled_from(sorted(payment.captures))))
    for number in range(draw(st.integers(0, 4))):
        payment.second += draw(st.integers(1, 3))
        _refund_or_return(draw, payment, number)
    if draw(st.booleans()):
        _dispute(draw, payment)
    return payment


def _refund_or_return(draw: st.DrawFn, payment: AdyenPayment, number: int) -> None:
    left = payment.captured - payment.came_back - payment.refunded
    step = draw(st.sampled_from(["refund", "end", "take back"]))
    if step == "refund" and left > 0:
        payment.refund(f"REFUND{number:010}", draw(st.integers(1, left)))
    elif step == "end" and payment.refunds:
        code = draw(st.sampled_from(["REFUND_FAILED", "REFUNDED_REVERSED"]))
        payment.end_refund(draw(st.sampled_from(sorted(payment.refunds))), code)  # type: ignore[arg-type]  # of two
    elif step == "take back" and not payment.came_back and left > 0:
        payment.take_back(f"RETURN{number:010}", draw(st.integers(1, left)))


def _dispute(draw: st.DrawFn, payment: AdyenPayment) -> None:
    payment.second += 1
    payment.dispute("DISPUTE000000001", draw(st.integers(1, payment.captured)))
    if draw(st.booleans()):
        payment.second += 1
        payment.win("DISPUTE000000001")
        if draw(st.booleans()):
            payment.second += 1
            payment.lose_again("DISPUTE000000001", draw(st.integers(0, 1500)))


def stripe_events(sent: Sequence[Event]) -> list[list[ProviderEvent]]:
    return [list(stripe.parse(encoded(one), {})) for one in sent]


def adyen_events(sent: Sequence[Event], capture: Capture) -> list[list[ProviderEvent]]:
    return [list(adyen.parse(adyen_body(one), {}, capture=capture)) for one in sent]


def played(data: st.DataObject, provider: str, events: list[list[ProviderEvent]]) -> Play:
    """In random order, doubled, in random batches; the same event once, as the intake takes it."""
    order = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=4))))
    play = Play(Deposit(provider, "order-1", "ada", "EUR", 10000))
    accepted: set[str] = set()
    batch: list[ProviderEvent] = []
    for body in order:
        batch += [one for one in body if str(one.as_args()) not in accepted]
        accepted |= {str(one.as_args()) for one in body}
        if data.draw(st.booleans()):
            play.hear(batch)
            batch = []
    play.hear(batch)
    return play


def agrees(play: Play, payment: Payment) -> None:
    assert (play.parked, play.dead) == ([], [])
    assert (play.wallet, play.shortfall, play.duplicate) == (
        max(payment.standing, 0),
        min(payment.standing, 0),
        0,
    )
    position = play.deposit.position
    assert (position.total, len(set(play.keys))) == (payment.standing, len(play.keys))


@settings(max_examples=600, deadline=None)
@given(st.data(), stripe_payments())
def test_stripes_events_in_any_order_end_as_stripes_truth(
    data: st.DataObject, payment: StripePayment
) -> None:
    agrees(played(data, "stripe", stripe_events(payment.sent)), payment)


@settings(max_examples=400, deadline=None)
@given(st.data(), adyen_payments())
def test_adyens_events_in_any_order_end_as_adyens_truth(data: st.DataObject, payment: AdyenPayment) -> None:
    capture: Capture = "manual" if payment.by_hand else "automatic"
    agrees(played(data, "adyen", adyen_events(payment.sent, capture)), payment)
