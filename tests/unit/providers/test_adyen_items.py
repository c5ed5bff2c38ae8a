"""Which items of a notification may come unsigned, and what a key that stands twice is worth."""

import json
from typing import Any

import pytest

from tests.unit.providers.shapes import ADYEN_SECRET, NOW, adyen_body, adyen_item, adyen_signed
from worker.providers import adyen
from worker.providers.ownership import Ownership
from worker.providers.port import UNSIGNED, BadSignature, MalformedEvent
from worker.providers.registry import receive

REPORT = adyen_item(
    "REPORT_AVAILABLE", pspReference="settlement_detail_report_batch_7.csv", merchantReference=""
)


def verified(*items: dict[str, Any]) -> int:
    return adyen.verify([ADYEN_SECRET], {}, adyen_body(*items), NOW)


@pytest.mark.parametrize(
    "more",
    [{}, {"additionalData": {}}, {"additionalData": {"hmacSignature": ""}}, {"additionalData": {"hmacSignature": None}},
     {"additionalData": None}, {"success": "false"}, {"amount": {"value": 10_000, "currency": "EUR"}}],
)  # fmt: skip
def test_an_unsigned_report_is_passed_over(more: dict[str, Any]) -> None:
    body = adyen_body(REPORT | more)
    received = receive("adyen", [ADYEN_SECRET], {}, body, NOW, ours=Ownership())
    assert (received.secret_index, received.events) == (UNSIGNED, ())


def test_a_signed_report_is_an_event_like_any_other() -> None:
    body = adyen_body(adyen_signed(REPORT))
    received = receive("adyen", ["00", ADYEN_SECRET], {}, body, NOW)
    assert (received.secret_index, [event.type for event in received.events]) == (
        1,
        ["REPORT_AVAILABLE:true"],
    )


def test_beside_signed_items_it_is_left_out() -> None:
    body = adyen_body(REPORT, adyen_signed(adyen_item()), REPORT)
    received = receive("adyen", [ADYEN_SECRET], {}, body, NOW)
    assert (received.secret_index, [event.move for event in received.events]) == (0, ["captured"])


@pytest.mark.parametrize(
    "code",
    ["AUTHORISATION", "CAPTURE", "REFUND", "CHARGEBACK", "PAIDOUT_REVERSED", "report_available", "REPORT_AVAILABLE ",
     None, ["REPORT_AVAILABLE"], "SOMETHING_NEW"],
)  # fmt: skip
@pytest.mark.parametrize("beside", [[], [REPORT], [adyen_signed(adyen_item())]])
def test_nothing_else_may_come_unsigned(code: object, beside: list[dict[str, Any]]) -> None:
    with pytest.raises(BadSignature):
        verified(*beside, adyen_item() | {"eventCode": code})


def test_a_signature_that_is_there_must_hold() -> None:
    with pytest.raises(BadSignature):
        verified(REPORT | {"additionalData": {"hmacSignature": "A" * 43 + "="}})


def twice(body: bytes, name: str, value: object) -> bytes:
    """With one more member of that name, before the genuine one."""
    member = json.dumps(name).encode()
    return body.replace(member, member + b": " + json.dumps(value).encode() + b", " + member, 1)


@pytest.mark.parametrize(
    "name",
    ["pspReference", "merchantAccountCode", "merchantReference", "value", "eventCode", "hmacSignature"],
)
def test_a_signed_field_that_stands_twice_is_signed_by_nobody(name: str) -> None:
    body = twice(adyen_body(adyen_signed(adyen_item())), name, "another")
    with pytest.raises(BadSignature, match="stands twice"):
        adyen.verify([ADYEN_SECRET], {}, body, NOW)


@pytest.mark.parametrize("name", ["notificationItems", "NotificationRequestItem"])
def test_nor_is_one_list_of_two(name: str) -> None:
    with pytest.raises(MalformedEvent, match="stands twice"):
        adyen.verify([ADYEN_SECRET], {}, twice(adyen_body(adyen_signed(adyen_item())), name, {}), NOW)


def test_an_unsigned_field_that_is_read_makes_it_a_problem_and_one_that_is_not_does_not() -> None:
    body = adyen_body(adyen_signed(adyen_item()))
    (read,) = receive("adyen", [ADYEN_SECRET], {}, twice(body, "eventDate", "x"), NOW).events
    assert (read.move, read.problem) == (None, "unknown: eventDate stands twice in its object")
    (unread,) = receive("adyen", [ADYEN_SECRET], {}, twice(body, "paymentMethod", "x"), NOW).events
    assert (unread.move, unread.problem) == ("captured", None)


def test_the_body_around_the_items_is_bounded_before_it_is_read() -> None:
    body = adyen_body(adyen_signed(adyen_item() | {"padding": [{}] * 10_000}))
    with pytest.raises(MalformedEvent, match="objects and lists"):
        adyen.verify([ADYEN_SECRET], {}, body, NOW)
