"""Webhooks come in: verified, kept as they came, one job per event, once."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
from sqlalchemy import text

from tests.factories import job_rows
from tests.integration.http.requests import SANDBOX, captured, signed
from tests.integration.http.serving import ADYEN_SECRET, SANDBOX_OLD_SECRET, STRIPE_SECRET
from worker.database import Transaction


def deliveries(transaction: Transaction) -> list[Any]:
    with transaction() as session:
        return list(session.execute(text("SELECT * FROM webhook_deliveries ORDER BY id")))


def stripe_headers(body: bytes) -> dict[str, str]:
    sent_at = int(time.time())
    digest = hmac.new(STRIPE_SECRET.encode(), f"{sent_at}.".encode() + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={sent_at},v1={digest}"}


def adyen_item(psp_reference: str, reference: str) -> dict[str, Any]:
    signed_text = f"{psp_reference}::TestMerchant:{reference}:1130:EUR:AUTHORISATION:true"
    digest = hmac.new(bytes.fromhex(ADYEN_SECRET), signed_text.encode(), hashlib.sha256).digest()
    item = {
        "pspReference": psp_reference,
        "merchantAccountCode": "TestMerchant",
        "merchantReference": reference,
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "success": "true",
        "eventDate": "2026-03-14T12:00:00+01:00",
        "additionalData": {"hmacSignature": base64.b64encode(digest).decode()},
    }
    return {"NotificationRequestItem": item}


def test_a_webhook_is_kept_with_a_job_for_its_event(client: httpx.Client, transaction: Transaction) -> None:
    body = captured()
    response = client.post(SANDBOX, content=body, headers=signed(body))
    assert (response.status_code, response.json()) == (202, {"received": 1, "duplicate": False})
    (delivery,) = deliveries(transaction)
    (job,) = job_rows(transaction)
    assert (delivery.tenant, delivery.provider, delivery.secret_index) == ("acme", "sandbox", 0)
    assert bytes(delivery.body) == body
    assert bytes(delivery.body_sha256) == hashlib.sha256(body).digest()
    assert delivery.event_keys == ["evt_1"]
    assert (job["name"], job["origin"], job["delivery_id"]) == ("webhooks.event", "provider", delivery.id)
    assert job["idempotency_key"].startswith("sandbox:evt_1:")
    assert job["args"]["provider"] == "sandbox"
    assert (job["args"]["move"], job["args"]["reference"], job["args"]["amount_minor"]) == (
        "captured",
        "order-1",
        2000,
    )


def test_the_same_webhook_again_is_a_duplicate(client: httpx.Client, transaction: Transaction) -> None:
    body = captured()
    client.post(SANDBOX, content=body, headers=signed(body))
    for age_seconds in (0, 60):
        again = client.post(SANDBOX, content=body, headers=signed(body, age_seconds=age_seconds))
        assert (again.status_code, again.json()) == (202, {"received": 1, "duplicate": True})
    assert len(deliveries(transaction)) == len(job_rows(transaction)) == 1


def test_the_same_event_in_other_bytes_is_kept_and_is_the_same_job(
    client: httpx.Client, transaction: Transaction
) -> None:
    body = captured()
    respelled = json.dumps(json.loads(body), indent=2).encode()
    client.post(SANDBOX, content=body, headers=signed(body))
    again = client.post(SANDBOX, content=respelled, headers=signed(respelled))
    assert again.json() == {"received": 1, "duplicate": True}
    assert (len(deliveries(transaction)), len(job_rows(transaction))) == (2, 1)


def test_the_same_event_id_with_another_amount_is_news(
    client: httpx.Client, transaction: Transaction
) -> None:
    for amount in (2000, 2001):
        body = captured(amount_minor=amount)
        assert client.post(SANDBOX, content=body, headers=signed(body)).json()["duplicate"] is False
    assert [row["args"]["amount_minor"] for row in job_rows(transaction)] == [2000, 2001]


def test_the_old_secret_is_still_good_and_the_metric_tells(client: httpx.Client) -> None:
    body = captured()
    response = client.post(SANDBOX, content=body, headers=signed(body, secret=SANDBOX_OLD_SECRET))
    assert response.status_code == 202
    shown = client.get("/metrics").text
    assert 'ledgerbeat_webhook_secret_matched_total{index="1",provider="sandbox",tenant="acme"} 1.0' in shown


def test_stripe_signs_in_its_own_way(client: httpx.Client, transaction: Transaction) -> None:
    charge = {"id": "ch_1", "object": "charge", "amount": 1130, "currency": "eur", "metadata": {}}
    event = {
        "id": "evt_stripe_1",
        "object": "event",
        "type": "charge.succeeded",
        "created": int(time.time()),
        "data": {"object": charge},
    }
    body = json.dumps(event).encode()
    response = client.post("/v1/webhooks/acme/stripe", content=body, headers=stripe_headers(body))
    assert (response.status_code, response.json()) == (202, {"received": 1, "duplicate": False})
    assert [row["args"]["type"] for row in job_rows(transaction)] == ["charge.succeeded"]


def test_each_item_of_an_adyen_notification_is_a_job(client: httpx.Client, transaction: Transaction) -> None:
    items = [adyen_item("psp-1", "order-1"), adyen_item("psp-2", "order-2")]
    body = json.dumps({"live": "true", "notificationItems": items}).encode()
    first = client.post("/v1/webhooks/acme/adyen", content=body)
    assert (first.status_code, first.json()) == (202, {"received": 2, "duplicate": False})
    alone = json.dumps({"live": "true", "notificationItems": items[:1]}).encode()
    assert client.post("/v1/webhooks/acme/adyen", content=alone).json() == {"received": 1, "duplicate": True}
    assert [row["args"]["reference"] for row in job_rows(transaction)] == ["order-1", "order-2"]
    assert {row["delivery_id"] for row in job_rows(transaction)} == {deliveries(transaction)[0].id}


def test_a_forged_item_among_genuine_ones_spoils_all(client: httpx.Client, transaction: Transaction) -> None:
    items = [adyen_item("psp-1", "order-1"), adyen_item("psp-2", "order-2")]
    items[1]["NotificationRequestItem"]["amount"]["value"] = 999_999
    body = json.dumps({"live": "true", "notificationItems": items}).encode()
    response = client.post("/v1/webhooks/acme/adyen", content=body)
    assert (response.status_code, response.json()["code"]) == (401, "bad_signature")
    assert job_rows(transaction) == deliveries(transaction) == []


def test_a_repeated_signature_header_is_refused(client: httpx.Client) -> None:
    body = captured()
    headers = [*signed(body).items(), ("webhook-signature", "v1,AAAA")]
    assert client.post(SANDBOX, content=body, headers=headers).json()["code"] == "bad_signature"
