"""Webhooks in the vendors' own shapes, signed as the vendors sign them: for the demo, which has no vendor account."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime

FORGERY = "whsec_not_the_secret_of_this_endpoint"


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a vendor would POST."""

    body: bytes
    headers: dict[str, str]


def stripe_charge(
    event_id: str, reference: str, amount_minor: int, *, secret: str, at: datetime, type_: str = "charge.succeeded",
    refunded_minor: int = 0,
) -> Webhook:  # fmt: skip
    """A charge event as Stripe sends it: `Stripe-Signature: t=...,v1=HMAC-SHA256(secret, "t.body")`."""
    charge = {
        "id": f"ch_{reference}",
        "object": "charge",
        "amount": amount_minor,
        "amount_captured": amount_minor,
        "amount_refunded": refunded_minor,
        "captured": True,
        "currency": "eur",
        "metadata": {"reference": reference},
        "paid": True,
        "payment_intent": None,
        "refunded": refunded_minor == amount_minor,
        "status": "succeeded",
    }
    event = {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(at.timestamp()),
        "livemode": True,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": type_,
        "data": {"object": charge},
    }
    body = json.dumps(event).encode()
    moment = str(int(at.timestamp()))
    signature = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return Webhook(body, {"stripe-signature": f"t={moment},v1={signature}"})


def adyen_authorisation(psp_reference: str, reference: str, amount_minor: int, *, secret: str) -> Webhook:
    """A standard notification as Adyen sends it, each item signed with the hexadecimal key."""
    item = {
        "pspReference": psp_reference,
        "merchantAccountCode": "LedgerbeatDemo",
        "merchantReference": reference,
        "amount": {"value": amount_minor, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "eventDate": datetime.now(UTC).isoformat(),
        "success": "true",
    }
    signed = f"{psp_reference}::LedgerbeatDemo:{reference}:{amount_minor}:EUR:AUTHORISATION:true"
    digest = hmac.new(bytes.fromhex(secret), signed.encode(), hashlib.sha256).digest()
    item["additionalData"] = {"hmacSignature": base64.b64encode(digest).decode()}
    body = json.dumps({"live": "true", "notificationItems": [{"NotificationRequestItem": item}]})
    return Webhook(body.encode(), {})
