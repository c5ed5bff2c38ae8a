"""What Stripe and Adyen send, made short: objects and events with the fields that decide, everything else as it comes.

Stripe's seconds are the test's own: `at` counts from the first event, so that order and time can part ways.
"""

from typing import Any

OLD_API, NEW_API = "2023-10-16", "2026-10-28.endive"
"""Before and after 2024-10-28, when refunds got events of their own."""
BEGAN = 1_790_000_000
Event = dict[str, Any]


def charge(amount: int = 10000, taken: int | None = None, **more: Any) -> Event:
    """A charge of our deposit, of which `taken` is captured (all, when nothing is said)."""
    taken = amount if taken is None else taken
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": amount,
        "amount_captured": taken,
        "amount_refunded": 0,
        "captured": taken > 0,
        "currency": "eur",
        "failure_balance_transaction": None,
        "metadata": {"reference": "order-1"},
        "paid": True,
        "payment_intent": "pi_1",
        "refunded": False,
        "status": "succeeded",
        **more,
    }


def refund(amount: int, status: str = "succeeded", **more: Any) -> Event:
    return {
        "id": "re_1",
        "object": "refund",
        "amount": amount,
        "balance_transaction": "txn_1",
        "charge": "ch_1",
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "status": status,
        **more,
    }


def dispute(amount: int, *moved: int, status: str = "needs_response", **more: Any) -> Event:
    """`moved` are the amounts of its balance transactions."""
    rows = [
        {"object": "balance_transaction", "id": f"txn_d{n}", "amount": one, "currency": "eur"}
        for n, one in enumerate(moved)
    ]
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": amount,
        "balance_transactions": rows,
        "charge": "ch_1",
        "currency": "eur",
        "metadata": {},
        "payment_intent": "pi_1",
        "status": status,
        **more,
    }


def intent(status: str, **more: Any) -> Event:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 10000,
        "amount_received": 0,
        "currency": "eur",
        "latest_charge": None,
        "metadata": {"reference": "order-1"},
        "status": status,
        **more,
    }


def stripe_event(
    type_: str, subject: Event, at: int = 0, *, before: Event | None = None, api: str = NEW_API, **more: Any
) -> Event:
    """An event whose id is made of what it says; `before` are its previous attributes."""
    data = {"object": subject} | ({"previous_attributes": before} if before else {})
    return {
        "id": f"evt_{type_}_{subject.get('id')}_{at}_{len(str(subject))}".replace(".", "_"),
        "object": "event",
        "api_version": api,
        "created": BEGAN + at,
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
        "data": data,
        **more,
    }


def adyen_item(
    code: str,
    psp: str = "PSP0000000000001",
    value: int = 10000,
    *,
    original: str | None = None,
    success: object = "true",
    **more: Any,
) -> Event:
    """A notification item of our deposit."""
    item = {
        "amount": {"currency": "EUR", "value": value},
        "eventCode": code,
        "eventDate": "2026-11-30T09:00:00+01:00",
        "merchantAccountCode": "TeaGardenECOM",
        "merchantReference": "order-1",
        "paymentMethod": "visa",
        "pspReference": psp,
        "reason": "",
        "success": success,
        **more,
    }
    return item if original is None else item | {"originalReference": original}
