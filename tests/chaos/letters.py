"""What the three providers send, in their own shapes, signed by their own libraries at the moment of sending."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.chaos.wanted import Told
from tests.e2e.app import App
from tests.e2e.clients import Request
from tests.unit.providers import shapes


def letter(app: App, told: Told) -> Request:
    """The webhook that tells it, to this app's tenant."""
    return {"sandbox": _sandbox, "stripe": _stripe, "adyen": _adyen}[told.provider](app, told)


def _sandbox(app: App, told: Told) -> Request:
    data = {"id": f"dep_{told.reference}", "reference": told.reference, "amount_minor": told.amount_minor,
            "status": told.move, "sequence": 2 if told.move == "refunded" else 1}  # fmt: skip
    body = shapes.sandbox_body(f"deposit.{told.move}", event_id=told.event_key, **data)
    signed = shapes.sandbox_headers(
        body, secret=app.secret("sandbox"), at=datetime.now(UTC), event_id=told.event_key
    )
    return app.webhook("sandbox", body, signed)


def _stripe(app: App, told: Told) -> Request:
    """A refund names the charge only: its deposit is found by that."""
    charge = f"ch_{told.reference}"
    if told.move == "refunded":
        refund: dict[str, Any] = {"id": f"re_{told.reference}", "charge": charge, "amount": told.amount_minor,
                  "payment_intent": None}  # fmt: skip
        event = json.loads(shapes.stripe_body("refund.created", "stripe_refund", **refund))
    else:
        type_ = {"captured": "charge.succeeded", "failed": "charge.failed"}[told.move]
        paid: dict[str, Any] = {"id": charge, "amount": told.amount_minor, "amount_captured": told.amount_minor,
                "metadata": {"reference": told.reference}}  # fmt: skip
        event = json.loads(shapes.stripe_body(type_, **paid))
    body = shapes.encoded(event | {"id": told.event_key})
    signed = shapes.stripe_headers(body, secret=app.secret("stripe"), at=int(datetime.now(UTC).timestamp()))
    return app.webhook("stripe", body, signed)


def _adyen(app: App, told: Told) -> Request:
    amount = {"currency": "EUR", "value": told.amount_minor}
    ids: dict[str, Any] = {"merchantReference": told.reference, "amount": amount}
    if told.move == "refunded":
        own = {"pspReference": f"RF{told.reference}", "originalReference": f"PSP{told.reference}"}
        item = shapes.adyen_modification("REFUND", **own, **ids)
    else:
        success = "true" if told.move == "captured" else "false"
        item = shapes.adyen_item(success=success, pspReference=f"PSP{told.reference}", **ids)
    signed = shapes.adyen_signed(item, app.secret("adyen"))
    return app.webhook("adyen", shapes.adyen_body(signed), {})
