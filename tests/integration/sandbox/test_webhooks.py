"""Webhooks of the sandbox provider: signature, retries, order, redelivery, injected events."""

import json
import socket
import time
from dataclasses import replace
from datetime import UTC, datetime

from standardwebhooks import Webhook

from ops.sandbox.config import SandboxConfig
from ops.sandbox.webhooks import sign
from tests.integration.sandbox.running import Receiver, Sandbox, running_sandbox


def test_the_signature_is_the_published_one() -> None:
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_reference_library_verifies_what_we_sign() -> None:
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"a":"\xc3\xa9"}'
    headers = sign(secret, "evt_1", datetime.now(UTC), body)
    assert Webhook(secret).verify(body.decode(), headers) == json.loads(body)


def test_a_refused_webhook_is_tried_again_and_stays_the_same(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.script = [(503, {}), (500, {}), (401, {})]
    sandbox.deposit("d-1")
    sandbox.flush()
    [webhook] = sandbox.get("/_webhooks").json()["data"]
    assert (webhook["state"], webhook["tries"], webhook["last_status"]) == ("delivered", 4, 202)
    assert receiver.ids == [webhook["id"]]


def test_after_five_tries_it_is_kept_and_can_be_redelivered(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.script = [(503, {})] * 5
    sandbox.deposit("d-1")
    sandbox.flush()
    [webhook] = sandbox.get("/_webhooks", params={"state": "failed"}).json()["data"]
    assert (webhook["tries"], webhook["last_status"], receiver.events) == (5, 503, [])
    sandbox.post(f"/_webhooks/{webhook['id']}/redeliver")
    sandbox.flush()
    assert receiver.ids == [webhook["id"]]
    assert sandbox.get("/_webhooks").json()["data"][0]["state"] == "delivered"


def test_a_receiver_that_is_down_is_named_in_the_webhooks_error(config: SandboxConfig) -> None:
    with running_sandbox(replace(config, webhook_url="http://127.0.0.1:9/nobody")) as sandbox:
        sandbox.deposit("d-1")
        sandbox.flush()
        [webhook] = sandbox.get("/_webhooks").json()["data"]
        assert (webhook["state"], webhook["last_error"]) == ("failed", "ConnectionRefusedError")


def test_retry_after_is_obeyed(sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.script = [(429, {"retry-after": "60"})]
    sandbox.deposit("d-1")
    answer = sandbox.post("/_flush", json={"timeout_seconds": 0.3}).json()
    assert answer == {"idle": False, "pending": 1}
    assert receiver.events == []


def test_events_of_one_object_arrive_in_order(sandbox: Sandbox, receiver: Receiver) -> None:
    deposits = [sandbox.deposit(f"d-{n}") for n in range(20)]
    for deposit in deposits:
        for _ in range(4):
            sandbox.post(f"/deposits/{deposit['id']}/refunds", json={"amount_minor": 1})
    sandbox.flush()
    for deposit in deposits:
        mine = [e["data"]["sequence"] for e in receiver.events if e["data"]["id"] == deposit["id"]]
        assert mine == [1, 2, 3, 4, 5]


def test_any_event_can_be_injected(sandbox: Sandbox, receiver: Receiver) -> None:
    data = {"id": "dep_unknown", "reference": "nobody", "amount_minor": 1, "currency": "EUR", "sequence": 9}
    event = sandbox.post("/_events", json={"type": "deposit.refunded", "data": data}).json()
    sandbox.flush()
    assert [(e["id"], e["type"], e["data"]) for e in receiver.events] == [
        (event["id"], "deposit.refunded", data)
    ]


def test_without_an_endpoint_events_wait_to_be_redelivered(config: SandboxConfig, receiver: Receiver) -> None:
    with running_sandbox(replace(config, webhook_url=None)) as sandbox:
        sandbox.deposit("d-1")
        [webhook] = sandbox.get("/_webhooks").json()["data"]
        assert webhook["state"] == "unsent"
        assert sandbox.post("/_webhooks/evt_none/redeliver").status_code == 404
        assert sandbox.post(f"/_webhooks/{webhook['id']}/redeliver").status_code == 409
        sandbox.post("/_settings", json={"webhook_url": receiver.url})
        sandbox.post(f"/_webhooks/{webhook['id']}/redeliver")
        sandbox.flush()
        assert receiver.ids == [webhook["id"]]


def test_a_receiver_that_never_answers_does_not_hold_up_the_stop(config: SandboxConfig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with running_sandbox(replace(config, webhook_url=url)) as sandbox:
            sandbox.deposit("d-1")
            assert sandbox.post("/_flush", json={"timeout_seconds": 0.2}).json()["idle"] is False
            began = time.monotonic()
        assert time.monotonic() - began < config.delivery_timeout_seconds


def test_hundreds_of_deposits_each_sent_twice_arrive(sandbox: Sandbox, receiver: Receiver) -> None:
    sandbox.script("webhook_duplicate:1", scope="deposits")
    for n in range(300):
        sandbox.deposit(f"d-{n}")
    sandbox.flush()
    assert len(receiver.ids) == 600
    assert len(set(receiver.ids)) == 300
