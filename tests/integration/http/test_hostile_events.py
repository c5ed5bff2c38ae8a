"""Authentic webhooks and jobs with the oddest content: taken for what they are worth or refused, never a 5xx.

And what is taken is drained to the end: no handler breaks on anything that a door lets in.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from time import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.ledger.verify import verify
from tasks.intake.routing import ROUTING
from tasks.intake.service import drain
from tests.integration.http import serving
from tests.integration.http.requests import CREDIT, captured, credit, job_headers
from tests.unit.providers import shapes
from worker.database import Transaction
from worker.providers import signatures
from worker.providers.port import BadSignature

SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=SUPPRESSED, database=None)

NUMBERS = st.sampled_from(
    [
        0,
        -1,
        2**31,
        2**63 - 1,
        2**63,
        -(2**63) - 1,
        2**64,
        10**300,
        0.1,
        2000.0,
        1e308,
        float("nan"),
        float("-inf"),
    ]
)
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["", " ", "\0", "\ud800", "\udfff\ud800", "\u202e", "\ufeff", "é" * 300, "x" * 100_000, "'; DROP TABLE jobs; --",
     "%s", "eur", "EUR\n", "\uff25\uff35\uff32", "٢٠٠٠", "2000", "true", "deposit.captured", "order-1"]
)  # fmt: skip
VALUES = st.recursive(
    NUMBERS | TEXTS | st.booleans() | st.none() | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
BODIES = [
    b"", b"null", b"[]", b'"text"', b"7", b"{", b"\xff", b"\xef\xbb\xbf{}", b"{}\0", b'{"id": 1}{"id": 2}',
    b'{"id": "evt_1", "id": "evt_2"}', b'{"data": {"amount_minor": 1, "amount_minor": 2000}}', b'{"id": NaN}',
    b'{"id": "\\u0000"}', b'{"\\ud800": 1}', b"[" * 100_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"data": ' + b"9" * 200_000 + b"}", b'{"id": "' + b"x" * 250_000 + b'"}', b'{"data": 1e400}', b"{'id': 1}",
    "{}".encode("utf-16"), b'{"notificationItems": []}', b'{"notificationItems": [[]]}',
    b'{"notificationItems": ' + json.dumps([{}] * 101).encode() + b"}", b"{" + b'"a":1,' * 30_000 + b'"b":2}',
]  # fmt: skip


def stripe_headers(body: bytes) -> dict[str, str]:
    sent_at = int(time())
    digest = hmac.new(serving.STRIPE_SECRET.encode(), b"%d." % sent_at + body, hashlib.sha256).hexdigest()
    return {"Stripe-Signature": f"t={sent_at},v1={digest}"}


def adyen_headers(body: bytes) -> dict[str, str]:
    """Of a balance platform's webhook, which is signed as a whole."""
    return {"HmacSignature": adyen_digest(body)}


def adyen_digest(signed: bytes) -> str:
    key = bytes.fromhex(serving.ADYEN_SECRET)
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def sandbox_headers(body: bytes) -> dict[str, str]:
    return signatures.sign_standard_webhook(serving.SANDBOX_SECRET, "evt_1", int(time()), body)


SIGNED_BY: Mapping[str, Callable[[bytes], dict[str, str]]] = {
    "sandbox": sandbox_headers,
    "stripe": stripe_headers,
    "adyen": adyen_headers,
}


@pytest.fixture
def client(client: httpx.Client, transaction: Transaction) -> Iterator[httpx.Client]:
    """In the end all that was taken is drained: nothing broke, and the books are in order."""
    for provider in (*SIGNED_BY, "adyen-items"):
        args = {"provider": provider.removesuffix("-items"), "reference": "order-1", "owner": "ada",
                "amount_minor": 2000, "currency": "EUR"}  # fmt: skip
        client.post("/v1/jobs/deposits.expect", json=args, headers=job_headers(f"expect-{provider}"))
    yield client
    drain(transaction, "acme", routing=ROUTING, clock=lambda: datetime.now(UTC), seconds_max=60)
    unfinished = text("SELECT id, state, last_error FROM jobs WHERE state IN ('queued', 'cooling')")
    with transaction() as session:
        assert session.execute(unfinished).all() == []
        assert [check for check in verify(session) if check.broken] == []


def send(client: httpx.Client, provider: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """Refused or taken; what is taken is one JSON object."""
    answer = client.post(f"/v1/webhooks/acme/{provider}", content=body, headers=dict(headers))
    assert answer.status_code in {202, 400, 401, 413}, answer.text
    if answer.status_code == 202:
        assert isinstance(parsed(body), dict)
    return answer


def parsed(body: bytes) -> object:
    """By Python's own reader, which converts no number that is too long."""
    try:
        return json.loads(body.decode(), parse_constant=pytest.fail)
    except RecursionError:
        return {}  # taken as an event of which nothing is known but its bytes
    except ValueError as error:
        return {} if "limit" in str(error) else pytest.fail("not JSON")


@pytest.mark.parametrize("provider", SIGNED_BY)
def test_a_corpus_of_odd_bodies(client: httpx.Client, provider: str) -> None:
    for body in BODIES:
        send(client, provider, body, SIGNED_BY[provider](body))
        assert send(client, provider, body, {}).status_code in {400, 401}


def mutated(genuine: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A genuine event of which some members are gone, or something else."""
    members = {name: odd(value) for name, value in genuine.items()}
    return st.fixed_dictionaries(members).map(lambda event: {k: v for k, v in event.items() if v is not GONE})


def odd(value: Any) -> st.SearchStrategy[Any]:
    same = mutated(value) if isinstance(value, dict) else st.just(value)
    return st.integers(0, 11).flatmap(lambda dice: {0: VALUES, 1: st.just(GONE)}.get(dice, same))


GONE = object()


@FUZZ
@given(event=mutated(json.loads(captured())))
def test_sandbox_events_with_odd_members(client: httpx.Client, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    send(client, "sandbox", body, sandbox_headers(body))


@pytest.mark.parametrize("subject", ["stripe_charge", "stripe_refund", "stripe_dispute"])
def test_stripe_events_with_odd_members(client: httpx.Client, subject: str) -> None:
    types = [
        "charge.succeeded",
        "charge.refunded",
        "charge.dispute.created",
        "refund.updated",
        "charge.failed",
    ]
    genuine = shapes.fixture("stripe_event") | {"data": {"object": shapes.fixture(subject)}}

    @settings(FUZZ, max_examples=40)
    @given(event=mutated(genuine), type_=st.sampled_from(types))
    def fuzz(event: dict[str, Any], type_: str) -> None:
        body = json.dumps({**event, "type": type_}).encode()
        send(client, "stripe", body, stripe_headers(body))

    fuzz()


@FUZZ
@given(items=st.lists(mutated(shapes.fixture("adyen_item")), max_size=3))
def test_adyen_items_with_odd_members(client: httpx.Client, items: list[dict[str, Any]]) -> None:
    for item in items:
        if isinstance(item.get("additionalData"), dict):
            item["additionalData"]["hmacSignature"] = signed_item(item)
    body = json.dumps(
        {"live": "true", "notificationItems": [{"NotificationRequestItem": one} for one in items]}
    )
    send(client, "adyen", body.encode(), {})


def signed_item(item: dict[str, Any]) -> str:
    """As our own reading of the scheme has it; the empty text, which is refused, where it has none."""
    try:
        return adyen_digest(signatures._adyen_signed(item))
    except BadSignature:
        return ""


@FUZZ
@given(event=mutated(shapes.fixture("adyen_transfer")))
def test_balance_platform_events_with_odd_members(client: httpx.Client, event: dict[str, Any]) -> None:
    body = json.dumps(event).encode()
    send(client, "adyen", body, adyen_headers(body))


HEADER_VALUES = st.binary(max_size=40) | st.sampled_from(
    [
        b"",
        b",",
        b"v1,",
        b"v1," * 50,
        b"t=1,v1=0",
        b"t=,v1=",
        b"t=9" * 400,
        b"\xff\xfe",
        b"1e9",
        b"-1",
        b"9" * 400,
    ]
)


@FUZZ
@given(
    provider=st.sampled_from(sorted(SIGNED_BY)),
    values=st.lists(HEADER_VALUES, min_size=3, max_size=3),
    twice=st.booleans(),
)
def test_odd_headers(client: httpx.Client, provider: str, values: list[bytes], twice: bool) -> None:
    names = ["webhook-id", "webhook-timestamp", "webhook-signature", "stripe-signature", "hmacsignature"]
    printable = [bytes(byte for byte in value if byte >= 32 and byte != 127).strip() for value in values]
    headers = [(name.encode(), printable[index % 3]) for index, name in enumerate(names)] * (1 + twice)
    answer = client.post(f"/v1/webhooks/acme/{provider}", content=captured(), headers=headers)
    assert answer.status_code in {400, 401}


@FUZZ
@given(args=mutated(credit()), key=st.text(st.characters(codec="latin-1"), max_size=300))
def test_jobs_with_odd_members(client: httpx.Client, args: dict[str, Any], key: str) -> None:
    """Nothing is taken but a credit that is exactly what it should be."""
    clean = "".join(letter for letter in key if ord(letter) >= 32 and ord(letter) != 127).strip()
    headers = [(name.encode(), value.encode()) for name, value in job_headers(None).items()]
    headers.append((b"Idempotency-Key", clean.encode("latin-1")))
    answer = client.post(CREDIT, content=json.dumps(args).encode(), headers=headers)
    assert answer.status_code in {202, 400, 413, 422}, answer.text
    if answer.status_code == 202:
        assert set(args) == set(credit())
        assert type(args["amount_minor"]) is int
        assert 0 < args["amount_minor"] < 2**63
