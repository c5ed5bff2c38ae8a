"""What callers send: jobs with their headers, webhooks with their signatures."""

import json
import time
from typing import Any

from tests.integration.http.serving import ACME_TOKEN, SANDBOX_SECRET
from worker.providers.signatures import sign_standard_webhook

CREDIT = "/v1/jobs/wallets.credit"
SANDBOX = "/v1/webhooks/acme/sandbox"


def credit(amount_minor: int = 5, owner: str = "ada") -> dict[str, Any]:
    return {"owner": owner, "amount_minor": amount_minor, "currency": "EUR", "reason": "promo"}


def job_headers(key: str | None = "key-1", token: str = ACME_TOKEN) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return headers if key is None else {**headers, "Idempotency-Key": key}


def captured(event_id: str = "evt_1", reference: str = "order-1", amount_minor: int = 2000) -> bytes:
    """The body of a sandbox event."""
    data = {
        "id": f"dep_{reference}",
        "reference": reference,
        "amount_minor": amount_minor,
        "currency": "EUR",
        "status": "captured",
        "sequence": 1,
    }
    event = {"id": event_id, "type": "deposit.captured", "occurred_at": "2026-03-14T12:00:00Z", "data": data}
    return json.dumps(event).encode()


def signed(
    body: bytes, event_id: str = "evt_1", secret: str = SANDBOX_SECRET, age_seconds: int = 0
) -> dict[str, str]:
    return sign_standard_webhook(secret, event_id, int(time.time()) - age_seconds, body)
