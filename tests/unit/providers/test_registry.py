"""The one way in: verify, then read; and no input makes it fail otherwise."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.providers.shapes import (
    ADYEN_SECRET,
    NOW,
    SANDBOX_SECRET,
    STRIPE_SECRET,
    adyen_body,
    adyen_item,
    adyen_payload_headers,
    adyen_signed,
    encoded,
    fixture,
    sandbox_body,
    sandbox_headers,
    stripe_body,
    stripe_headers,
)
from worker.providers.fields import NEEDS_AMOUNT
from worker.providers.port import PAYOUT_MOVES, BadSignature, MalformedEvent, ProviderEvent, WebhookRefused
from worker.providers.registry import ADAPTERS, KEY_FORMS, receive, secret_problem
from worker.providers.signatures import sign_standard_webhook

SECRETS = {"sandbox": SANDBOX_SECRET, "stripe": STRIPE_SECRET, "adyen": ADYEN_SECRET}


def genuine(adapter: str) -> tuple[dict[str, str], bytes]:
    if adapter == "sandbox":
        return sandbox_headers(body := sandbox_body()), body
    if adapter == "stripe":
        return stripe_headers(body := stripe_body("charge.succeeded")), body
    return {}, adyen_body(adyen_signed(adyen_item()))


@pytest.mark.parametrize("adapter", list(ADAPTERS))
def test_a_genuine_webhook_is_received(adapter: str) -> None:
    headers, body = genuine(adapter)
    received = receive(adapter, ["00", SECRETS[adapter]], headers, body, NOW)
    assert received.secret_index == 1
    assert [(event.move, event.reference, event.amount_minor) for event in received.events] == [
        ("capture_total" if adapter == "stripe" else "captured", "dep-1001", 2500)
    ]


@pytest.mark.parametrize("adapter", list(ADAPTERS))
def test_any_flipped_byte_is_refused(adapter: str) -> None:
    headers, body = genuine(adapter)
    at = body.index(b"2500")
    with pytest.raises(BadSignature):
        receive(adapter, [SECRETS[adapter]], headers, body[:at] + b"9" + body[at + 1 :], NOW)


def test_how_the_money_is_captured_is_handed_through() -> None:
    headers, body = genuine("adyen")
    received = receive("adyen", [ADYEN_SECRET], headers, body, NOW, "manual")
    assert [event.move for event in received.events] == ["authorised"]


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"id":1,}', b"\xff", b'{"a":NaN}', b'"text"'])
def test_an_authentic_body_that_is_no_json_object_is_malformed(body: bytes) -> None:
    headers = sign_standard_webhook(SANDBOX_SECRET, "evt_1", int(NOW.timestamp()), body)
    with pytest.raises(MalformedEvent):
        receive("sandbox", [SANDBOX_SECRET], headers, body, NOW)


@pytest.mark.parametrize(
    ("adapter", "secret", "usable"),
    [
        ("sandbox", SANDBOX_SECRET, True),
        ("sandbox", "whsec_", False),
        ("sandbox", "whsec_!", False),
        ("stripe", STRIPE_SECRET, True),
        ("stripe", " ", False),
        ("adyen", ADYEN_SECRET, True),
        ("adyen", "ABC", False),
    ],
)
def test_an_unusable_secret_is_told_without_showing_it(adapter: str, secret: str, usable: bool) -> None:
    problem = secret_problem(adapter, secret)
    assert (problem is None) == usable
    assert usable or problem == f"A webhook secret of the adapter {adapter} must be {KEY_FORMS[adapter]}."


def test_every_adapter_says_how_its_secrets_are_written() -> None:
    assert set(KEY_FORMS) == set(ADAPTERS)


# What a vendor, or someone with a stolen key, could put into the fields we read.
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")),
    st.sampled_from(
        ["EUR", "isk", "succeeded", "refund", "charge", "true", "CHARGEBACK", 2**63, -1, 0, 10**30]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=4,
)


def changed(record: dict[str, Any], draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """`record` with some of its fields, at any depth, missing or replaced."""
    result = {}
    for name, value in record.items():
        fate = draw(st.sampled_from(["keep", "keep", "keep", "drop", "replace"]))
        if fate == "replace":
            result[name] = draw(VALUES)
        elif fate == "keep":
            result[name] = changed(value, draw) if isinstance(value, dict) else value
    return result


STRIPE_SUBJECTS = [
    ("charge.refunded", "stripe_charge"),
    ("charge.captured", "stripe_charge"),
    ("refund.updated", "stripe_refund"),
    ("charge.dispute.created", "stripe_dispute"),
    ("payout.paid", "stripe_payout"),
    ("transfer.created", "stripe_transfer"),
]


@st.composite
def authentic(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, dict[str, str], bytes]:
    adapter = draw(st.sampled_from(["sandbox", "stripe", "adyen", "transfer"]))
    if adapter == "sandbox":
        type_ = draw(st.sampled_from(["deposit.captured", "payout.paid"]))
        body = encoded(changed(fixture("sandbox_event") | {"type": type_}, draw))
        return adapter, sandbox_headers(body), body
    if adapter == "stripe":
        type_, subject = draw(st.sampled_from(STRIPE_SUBJECTS))
        body = encoded(changed(json.loads(stripe_body(type_, subject)), draw))
        return adapter, stripe_headers(body), body
    if adapter == "transfer":
        body = encoded(changed(fixture("adyen_transfer"), draw))
        return "adyen", adyen_payload_headers(body), body
    return adapter, {}, adyen_body(changed(adyen_item("REFUND"), draw), changed(adyen_item(), draw))


@settings(deadline=None)
@given(authentic(), st.sampled_from(["automatic", "manual"]))
def test_an_authentic_event_becomes_a_move_or_a_problem_never_an_error(
    webhook: tuple[str, dict[str, str], bytes], capture: Any
) -> None:
    adapter, headers, body = webhook
    for event in ADAPTERS[adapter].parse(body, headers, capture=capture):
        assert_sound(event)


def assert_sound(event: ProviderEvent) -> None:
    assert ProviderEvent.from_args(json.loads(json.dumps(event.as_args()))) == event
    assert 1 <= len(event.event_key) <= 200
    assert event.event_key.isascii()
    assert event.event_key.isprintable()
    assert event.problem is None or event.move is None
    if event.move is not None:
        assert event.reference or event.object_id or event.move in PAYOUT_MOVES
        assert event.object_id or event.move == "failed"
    if event.move in NEEDS_AMOUNT:
        assert event.amount_minor is not None
        assert (0 if event.move == "refund_total" else 1) <= event.amount_minor < 2**63
        assert event.currency


@settings(deadline=None)
@given(
    st.sampled_from(list(ADAPTERS)),
    st.lists(st.text(), max_size=2),
    st.dictionaries(
        st.sampled_from(["webhook-id", "Stripe-Signature", "HmacSignature"]) | st.text(), st.text()
    ),
    st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_anything_else_is_refused(
    adapter: str, secrets: list[str], headers: dict[str, str], body: bytes
) -> None:
    with pytest.raises(WebhookRefused):
        receive(adapter, secrets, headers, body, NOW)
    try:
        ADAPTERS[adapter].parse(body, headers)
    except MalformedEvent:
        return
