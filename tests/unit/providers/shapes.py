"""Our own events in the vendors' shapes, and what signs them: the vendors' own helpers."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import stripe
from Adyen import util as adyen_util  # type: ignore[import-untyped]  # the library ships no types
from standardwebhooks import Webhook

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2026, 11, 20, 9, 20, tzinfo=UTC)
UNIX_NOW = int(NOW.timestamp())

SANDBOX_SECRET = "whsec_bGVkZ2VyYmVhdC1zYW5kYm94LXNlY3JldC0wMQ=="
STRIPE_SECRET = "whsec_ledgerbeat_stripe_secret"
ADYEN_SECRET = "4C65646765726265617420746573742048D3A1C5E7F9012345678899AABBCCDD"


def fixture(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return loaded


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


def sandbox_body(
    type_: str = "deposit.captured", *, event_id: str = "evt_sandbox_0001", **data: Any
) -> bytes:
    envelope = fixture("sandbox_event")
    return encoded(envelope | {"id": event_id, "type": type_, "data": envelope["data"] | data})


def sandbox_headers(
    body: bytes, *, secret: str = SANDBOX_SECRET, at: datetime = NOW, event_id: str = "evt_sandbox_0001"
) -> dict[str, str]:
    return {
        "Webhook-Id": event_id,
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign(event_id, at, body.decode()),
    }


def stripe_body(type_: str, subject: str = "stripe_charge", **changes: Any) -> bytes:
    return encoded(fixture("stripe_event") | {"type": type_, "data": {"object": fixture(subject) | changes}})


def stripe_headers(body: bytes, *, secret: str = STRIPE_SECRET, at: int = UNIX_NOW) -> dict[str, str]:
    signed: str = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)
    return {"Stripe-Signature": signed}


def adyen_item(code: str = "AUTHORISATION", success: object = "true", **changes: Any) -> dict[str, Any]:
    return fixture("adyen_item") | {"eventCode": code, "success": success} | changes


def adyen_modification(code: str, success: object = "true", **changes: Any) -> dict[str, Any]:
    """An event about a payment made earlier: its own pspReference, the payment's as originalReference."""
    ids = {"pspReference": "LBMODIFICATION01", "originalReference": "LBPAYMENT0000001"}
    return adyen_item(code, success, **(ids | changes))


def adyen_signed(item: dict[str, Any], secret: str = ADYEN_SECRET) -> dict[str, Any]:
    signature = adyen_util.generate_notification_sig(item, secret).decode()
    return item | {"additionalData": item.get("additionalData", {}) | {"hmacSignature": signature}}


def adyen_body(*items: dict[str, Any]) -> bytes:
    wrapped = [{"NotificationRequestItem": item} for item in items]
    return encoded({"live": "true", "notificationItems": wrapped})


def adyen_payload_headers(body: bytes, secret: str = ADYEN_SECRET) -> dict[str, str]:
    return {"HmacSignature": adyen_util.generate_payload_sig(body, secret).decode()}
