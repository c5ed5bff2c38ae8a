"""A shop whose providers tell of it through the real door: announce, receive, drain, look what stands."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
from sqlalchemy import text

from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.integration.http.requests import job_headers
from tests.integration.http.serving import ADYEN_SECRET, STRIPE_SECRET
from worker.database import Transaction
from worker.providers import signatures

EUR = 10_000


@dataclass
class Shop:
    """acme's. Amounts are 100.00 EUR; each shop has references of its own."""

    client: httpx.Client
    transaction: Transaction
    _numbers: Any = field(default_factory=lambda: count(1))

    def expect(self, provider: str, reference: str = "order-1", owner: str = "ada") -> None:
        """Announce a deposit."""
        args = {
            "provider": provider,
            "reference": reference,
            "owner": owner,
            "amount_minor": EUR,
            "currency": "EUR",
        }
        headers = job_headers(f"expect-{provider}-{reference}")
        assert self.client.post("/v1/jobs/deposits.expect", json=args, headers=headers).status_code == 202

    def stripe(self, event: Mapping[str, Any] | bytes) -> httpx.Response:
        """Deliver an event of Stripe's, signed over these bytes."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        return self._drained(
            self.client.post("/v1/webhooks/acme/stripe", content=body, headers=stripe_headers(body))
        )

    def adyen(self, *items: Mapping[str, Any], live: object = "true", sign: bool = True) -> httpx.Response:
        """Deliver a notification of Adyen's."""
        wrapped = [{"NotificationRequestItem": adyen_signed(item) if sign else item} for item in items]
        body = json.dumps({"live": live, "notificationItems": wrapped}).encode()
        return self._drained(self.client.post("/v1/webhooks/acme/adyen", content=body))

    def _drained(self, answer: httpx.Response) -> httpx.Response:
        drain(self.transaction, "acme", routing=ROUTING, clock=lambda: datetime.now(UTC), seconds_max=60)
        return answer

    def charge(
        self, type_: str = "charge.succeeded", event: Mapping[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """An event about a captured charge of order-1."""
        number = next(self._numbers)
        charge = {
            "id": "ch_1", "object": "charge", "amount": EUR, "amount_captured": EUR, "amount_refunded": 0,
            "captured": True, "currency": "eur", "failure_balance_transaction": None,
            "metadata": {"reference": "order-1"}, "paid": True, "payment_intent": "pi_1", "refunded": False,
            "status": "succeeded",
        }  # fmt: skip
        envelope = {
            "id": f"evt_{number}", "object": "event", "api_version": "2026-10-28.endive", "created": int(time.time()),
            "livemode": True, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": type_,
        }  # fmt: skip
        return envelope | {"data": {"object": charge | changes}} | dict(event or {})

    def payment(self, code: str = "AUTHORISATION", **changes: Any) -> dict[str, Any]:
        """An item about order-1."""
        item = {
            "amount": {"currency": "EUR", "value": EUR}, "eventCode": code, "eventDate": "2026-11-30T09:00:00+01:00",
            "merchantAccountCode": "TeaGardenECOM", "merchantReference": "order-1", "paymentMethod": "visa",
            "pspReference": f"PSP{next(self._numbers):013}", "reason": "", "success": "true",
        }  # fmt: skip
        return item | changes

    def wallet(self, owner: str = "ada") -> int:
        """What the owner may spend."""
        rows = self.rows(
            "SELECT available_minor FROM wallets WHERE tenant = 'acme' AND owner = :owner", owner=owner
        )
        return sum(int(row["available_minor"]) for row in rows)

    def jobs(self, name: str = "webhooks.event") -> list[tuple[str, str | None]]:
        """State and code of each event's job, in order."""
        rows = self.rows(
            "SELECT state, coalesce(result ->> 'code', last_error, result ->> 'cause') AS code FROM jobs "
            "WHERE name = :name ORDER BY seq",
            name=name,
        )
        return [(row["state"], row["code"]) for row in rows]

    def causes(self) -> list[str]:
        """Of the dead ones."""
        rows = self.rows("SELECT result ->> 'cause' AS cause FROM jobs WHERE state = 'dead' ORDER BY seq")
        return [row["cause"] for row in rows]

    def bodies(self) -> list[bytes]:
        """The webhooks that were kept."""
        return [bytes(row["body"]) for row in self.rows("SELECT body FROM webhook_deliveries ORDER BY id")]

    def rows(self, query: str, **values: Any) -> Sequence[Mapping[str, Any]]:
        with self.transaction() as session:
            return [dict(row) for row in session.execute(text(query), values).mappings()]


def stripe_headers(body: bytes) -> dict[str, str]:
    sent_at = int(time.time())
    digest = hmac.new(STRIPE_SECRET.encode(), b"%d." % sent_at + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={sent_at},v1={digest}"}


def adyen_signed(item: Mapping[str, Any]) -> dict[str, Any]:
    """With the signature over its fields, as our own reading of the scheme has it (held against Adyen's elsewhere)."""
    digest = hmac.new(bytes.fromhex(ADYEN_SECRET), signatures._adyen_signed(item), hashlib.sha256).digest()
    return {**item, "additionalData": {"hmacSignature": base64.b64encode(digest).decode()}}
