"""What Adyen's notifications mean."""

import json
from typing import Any
from uuid import UUID

import pytest

from models.money import BIGINT_MAX
from models.payouts.payout import attempt_reference
from tests.unit.providers.shapes import (
    ADYEN_SECRET,
    NOW,
    adyen_body,
    adyen_item,
    adyen_modification,
    adyen_payload_headers,
    adyen_signed,
    encoded,
    fixture,
)
from worker.providers import adyen, adyen_items
from worker.providers.port import BadSignature, Capture, MalformedEvent, ProviderEvent

PAYMENT, OWN = "LBPAYMENT0000001", "LBMODIFICATION01"


def parsed(item: dict[str, Any], capture: Capture = "automatic") -> ProviderEvent:
    (event,) = adyen.parse(adyen_body(item), {}, capture=capture)
    return event


def test_an_authorisation_is_read_whole() -> None:
    assert parsed(adyen_item()) == ProviderEvent(
        event_key="AUTHORISATION:LBPAYMENT0000001:true",
        type="AUTHORISATION:true",
        move="captured",
        reference="dep-1001",
        object_id=PAYMENT,
        part_id=PAYMENT,
        amount_minor=2500,
        currency="EUR",
        sequence=None,
        occurred_at="2026-11-20T09:15:30+00:00",
    )


CAPTURED, TAKEN_BACK = ("captured", OWN), ("capture_reversed", PAYMENT)
FAILED, NOTHING = ("failed", None), (None, None)
TABLE = [
    # event                     automatic                       manual
    ("CAPTURE:true", CAPTURED, CAPTURED),
    ("CAPTURE:false", NOTHING, NOTHING),
    ("CAPTURE_FAILED:true", ("capture_reversed", OWN), ("capture_reversed", OWN)),
    ("CAPTURE_FAILED:false", NOTHING, NOTHING),
    ("CANCELLATION:true", TAKEN_BACK, FAILED),
    ("CANCELLATION:false", NOTHING, NOTHING),
    ("TECHNICAL_CANCEL:true", TAKEN_BACK, FAILED),
    ("EXPIRE:true", ("expired", None), ("expired", None)),
    ("OFFER_CLOSED:true", FAILED, FAILED),
    ("SETTLED_REVERSED:true", ("returned", OWN), ("returned", OWN)),
    ("SETTLED_REVERSED:false", NOTHING, NOTHING),
    ("REFUND:true", ("refunded", OWN), ("refunded", OWN)),
    ("REFUND:false", NOTHING, NOTHING),
    ("REFUND_FAILED:true", ("refund_reversed", OWN), ("refund_reversed", OWN)),
    ("REFUNDED_REVERSED:true", ("refund_reversed", OWN), ("refund_reversed", OWN)),
    ("CHARGEBACK:true", ("chargeback", OWN), ("chargeback", OWN)),
    ("CHARGEBACK_REVERSED:true", ("chargeback_reversed", OWN), ("chargeback_reversed", OWN)),
    ("SECOND_CHARGEBACK:true", ("chargeback", f"{OWN}:2"), ("chargeback", f"{OWN}:2")),
    ("NOTIFICATION_OF_CHARGEBACK:true", NOTHING, NOTHING),
    ("REQUEST_FOR_INFORMATION:true", NOTHING, NOTHING),
    ("PREARBITRATION_WON:true", NOTHING, NOTHING),
    ("AUTHORISATION_ADJUSTMENT:true", NOTHING, NOTHING),
    ("REPORT_AVAILABLE:true", NOTHING, NOTHING),
    ("PAYOUT_THIRDPARTY:true", NOTHING, NOTHING),
    ("SOMETHING_NEW:true", NOTHING, NOTHING),
    ("CANCEL_OR_REFUND:false", NOTHING, NOTHING),
]


@pytest.mark.parametrize("boolean", [False, True])
@pytest.mark.parametrize(("event", "automatic", "manual"), TABLE)
def test_each_event_has_its_move(
    event: str, automatic: tuple[str | None, str | None], manual: tuple[str | None, str | None], boolean: bool
) -> None:
    code, success = event.split(":")
    item = adyen_signed(adyen_modification(code, success == "true" if boolean else success))
    for capture, (move, part_id) in (("automatic", automatic), ("manual", manual)):
        seen = parsed(item, "manual" if capture == "manual" else "automatic")
        assert (seen.move, seen.part_id, seen.problem) == (move, part_id, None)
        assert (seen.object_id, seen.reference, seen.type) == (PAYMENT, "dep-1001", event)
        assert seen.event_key == f"{code}:{OWN}:{success}"


@pytest.mark.parametrize(
    ("success", "capture", "move"),
    [
        ("true", "automatic", "captured"),
        ("true", "manual", "authorised"),
        ("false", "automatic", "failed"),
        ("false", "manual", "failed"),
    ],
)
def test_an_authorisation_is_money_only_when_captured_with_it(
    success: str, capture: Capture, move: str | None
) -> None:
    assert parsed(adyen_item(success=success), capture).move == move


@pytest.mark.parametrize(
    ("action", "automatic", "manual"),
    [("cancel", TAKEN_BACK, FAILED), ("refund", ("refunded", OWN), ("refunded", OWN))],
)
def test_cancel_or_refund_says_which_it_became(
    action: str, automatic: tuple[str, str | None], manual: tuple[str, str | None]
) -> None:
    item = adyen_modification("CANCEL_OR_REFUND", additionalData={"modification.action": action})
    for seen, (move, part_id) in ((parsed(item), automatic), (parsed(item, "manual"), manual)):
        assert (seen.move, seen.part_id, seen.type) == (move, part_id, "CANCEL_OR_REFUND:true")


@pytest.mark.parametrize(
    "additional", [None, {}, {"modification.action": "both"}, {"modification.action": ["refund"]}]
)
def test_cancel_or_refund_that_does_not_say_is_a_problem(additional: Any) -> None:
    seen = parsed(adyen_modification("CANCEL_OR_REFUND", additionalData=additional), "manual")
    assert seen.problem is not None
    assert "modification.action" in seen.problem


def test_every_row_of_the_table_is_tested() -> None:
    tested = {event for event, _, _ in TABLE} | {
        "AUTHORISATION:true",
        "AUTHORISATION:false",
        "CANCEL_OR_REFUND:true:cancel",
        "CANCEL_OR_REFUND:true:refund",
    }
    assert {row for rows in adyen.MOVES.values() for row in rows} <= tested


@pytest.mark.parametrize("code", ["MONEY_TELEPORTED", "REFUND_NOT_CLEARED"])
@pytest.mark.parametrize("success", ["true", "false"])
def test_a_code_in_no_list_is_said_to_be_unknown(code: str, success: str) -> None:
    event = parsed(adyen_item(code, success))
    assert (event.move, event.problem, event.refusal) == (None, None, "unknown_event_type")


@pytest.mark.parametrize("code", sorted(adyen.NON_FINANCIAL_CODES))
def test_a_code_that_moves_no_money_is_known(code: str) -> None:
    event = parsed(adyen_signed(adyen_item(code)))
    assert (event.move, event.problem, event.refusal) == (None, None, None)


@pytest.mark.parametrize("reference", ["", None])
def test_a_modification_needs_no_reference_of_ours_where_it_names_the_payment(reference: str | None) -> None:
    event = parsed(adyen_modification("REFUND", merchantReference=reference))
    assert (event.move, event.reference, event.object_id) == ("refunded", None, "LBPAYMENT0000001")


def test_refused_then_authorised_is_news_not_a_duplicate() -> None:
    refused, authorised = parsed(adyen_item(success="false")), parsed(adyen_item())
    assert refused.event_key != authorised.event_key
    assert refused.object_id == authorised.object_id


def test_an_authorisation_of_nothing_is_a_card_check() -> None:
    seen = parsed(adyen_item(amount={"currency": "EUR", "value": 0}))
    assert (seen.move, seen.problem) == (None, None)


@pytest.mark.parametrize("original", [None, "", "with space"])
def test_without_an_original_the_event_is_about_the_payment_itself(original: Any) -> None:
    assert parsed(adyen_item(originalReference=original)).object_id == PAYMENT


@pytest.mark.parametrize(
    ("currency", "value", "iso"),
    [
        ("EUR", 2500, 2500),
        ("JPY", 2500, 2500),
        ("BHD", 2500, 2500),
        ("CLP", 2500, 25),
        ("ISK", 100, 1),
        ("CVE", 25, 2500),
        ("IDR", 1, 100),
        ("MGA", 2500, 2500),
    ],
)
def test_amounts_become_iso_minor_units(currency: str, value: int, iso: int) -> None:
    seen = parsed(adyen_item(amount={"currency": currency, "value": value}))
    assert (seen.amount_minor, seen.currency, seen.problem) == (iso, currency, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"currency": "CLP", "value": 2550}},
        {"amount": {"currency": "IDR", "value": BIGINT_MAX}},
        {"amount": {"currency": "QQQ", "value": 100}},
        {"amount": {"currency": "eur", "value": 100}},
        {"amount": {"currency": "EUR", "value": "100"}},
        {"amount": {"currency": "EUR", "value": 1.5}},
        {"amount": {"currency": "EUR", "value": True}},
        {"amount": {"currency": "EUR", "value": False}},
        {"amount": {"currency": "EUR", "value": -1}},
        {"amount": {"currency": "EUR"}},
        {"amount": None},
        {"amount": 2500},
        {"merchantReference": ""},
        {"merchantReference": None},
        {"merchantReference": "x" * 256},
        {"merchantReference": {"a": 1}},
    ],
)
def test_a_move_without_what_it_needs_is_a_problem(changes: dict[str, Any]) -> None:
    seen = parsed(adyen_item(**changes))
    assert (seen.event_key, seen.move) == ("AUTHORISATION:LBPAYMENT0000001:true", None)
    assert seen.problem is not None


@pytest.mark.parametrize(
    "changes", [{"pspReference": None}, {"pspReference": "a b"}, {"pspReference": "x" * 200}]
)
def test_an_item_without_identity_is_named_by_body_and_place(changes: dict[str, Any]) -> None:
    nameless = adyen_item(**changes)
    first, second, third = adyen.parse(adyen_body(nameless, adyen_item(), nameless), {})
    assert first.event_key.startswith("sha256:")
    assert third.event_key == f"{first.event_key}:2"
    assert second.move == "captured"


@pytest.mark.parametrize(
    "changes", [{"success": "maybe"}, {"success": None}, {"success": 1}, {"eventCode": None}]
)
def test_an_item_whose_code_or_success_is_unreadable_is_a_problem(changes: dict[str, Any]) -> None:
    seen = parsed(adyen_item() | changes)
    assert seen.problem is not None
    assert seen.move is None


def test_each_item_is_an_event() -> None:
    events = adyen.parse(adyen_body(adyen_item(), adyen_modification("REFUND")), {})
    assert [event.move for event in events] == ["captured", "refunded"]


class TestVerify:
    def test_a_signed_notification_passes(self) -> None:
        body = adyen_body(adyen_signed(adyen_item()), adyen_signed(adyen_modification("CAPTURE")))
        assert adyen.verify([ADYEN_SECRET], {}, body, NOW) == 0

    def test_one_genuine_and_one_forged_item_are_refused(self) -> None:
        genuine = adyen_signed(adyen_item())
        with pytest.raises(BadSignature):
            adyen.verify([ADYEN_SECRET], {}, adyen_body(genuine, genuine | {"success": "false"}), NOW)

    def test_an_empty_list_proves_nothing(self) -> None:
        with pytest.raises(BadSignature):
            adyen.verify([ADYEN_SECRET], {}, adyen_body(), NOW)

    def test_too_many_items_are_refused_before_their_signatures_cost_anything(self) -> None:
        signed = adyen_signed(adyen_item())
        assert adyen.verify([ADYEN_SECRET], {}, adyen_body(*[signed] * adyen_items.ITEMS_MAX), NOW) == 0
        with pytest.raises(MalformedEvent):
            adyen.verify([ADYEN_SECRET], {}, adyen_body(*[signed] * (adyen_items.ITEMS_MAX + 1)), NOW)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"{}",
            b'{"notificationItems":{}}',
            b'{"notificationItems":[1]}',
            b'{"notificationItems":[{}]}',
            b'{"notificationItems":[{"NotificationRequestItem":[]}]}',
            b'{"notificationItems":[],"notificationItems":[]}',
        ],
    )
    def test_a_body_of_another_shape_is_malformed(self, body: bytes) -> None:
        with pytest.raises(MalformedEvent):
            adyen.verify([ADYEN_SECRET], {}, body, NOW)
        with pytest.raises(MalformedEvent):
            adyen.parse(body, {})

    def test_a_forged_transfer_around_a_genuine_item_is_not_read(self) -> None:
        envelope = json.loads(adyen_body(adyen_signed(adyen_item()))) | fixture("adyen_transfer")
        body = encoded(envelope)
        assert adyen.verify([ADYEN_SECRET], {}, body, NOW) == 0
        assert [event.type for event in adyen.parse(body, {})] == ["AUTHORISATION:true"]


def transfer(**changes: Any) -> ProviderEvent:
    """The event of a transfer's webhook."""
    envelope = fixture("adyen_transfer")
    body = encoded(envelope | {"data": envelope["data"] | changes})
    (event,) = adyen.parse(body, adyen_payload_headers(body))
    return event


class TestBalancePlatform:
    def test_a_transfer_is_read_whole_and_keeps_its_order(self) -> None:
        body = encoded(fixture("adyen_transfer"))
        headers = adyen_payload_headers(body)
        assert adyen.verify([ADYEN_SECRET], headers, body, NOW) == 0
        assert adyen.parse(body, headers) == (
            ProviderEvent(
                event_key="transfer:LBTRANSFER000001:3",
                type="balancePlatform.transfer.updated",
                move="payout_paid",
                reference="payout-77-1",
                object_id="LBTRANSFER000001",
                part_id=None,
                amount_minor=41000,
                currency="EUR",
                sequence=3,
                occurred_at="2026-11-20T09:15:30+00:00",
            ),
        )

    def test_a_transfer_signed_as_a_whole_needs_that_signature(self) -> None:
        body = encoded(fixture("adyen_transfer"))
        with pytest.raises(BadSignature):
            adyen.verify([ADYEN_SECRET], adyen_payload_headers(body + b" "), body, NOW)

    @pytest.mark.parametrize(
        "data", [None, {}, {"id": "T1"}, {"sequenceNumber": 1}, {"id": "T1", "sequenceNumber": "1"}]
    )
    def test_a_transfer_without_identity_is_a_problem(self, data: object) -> None:
        body = encoded(fixture("adyen_transfer") | {"data": data})
        (event,) = adyen.parse(body, {"hmacsignature": "x"})
        assert event.event_key.startswith("sha256:")
        assert event.problem is not None

    @pytest.mark.parametrize(
        ("status", "move"),
        [
            ("received", "payout_submitted"),
            ("approvalPending", "payout_submitted"),
            ("pendingApproval", "payout_submitted"),
            ("pendingExecution", "payout_submitted"),
            ("pending", "payout_submitted"),
            ("authorised", "payout_submitted"),
            ("bookingPending", "payout_submitted"),
            ("booked", "payout_paid"),
            ("credited", "payout_paid"),
            ("failed", "payout_failed"),
            ("refused", "payout_failed"),
            ("rejected", "payout_failed"),
            ("cancelled", "payout_failed"),
            ("expired", "payout_failed"),
            ("returned", "payout_returned"),
        ],
    )
    @pytest.mark.parametrize("category", adyen.PAYOUT_CATEGORIES)
    def test_each_status_has_its_move(self, status: str, move: str, category: str) -> None:
        event = transfer(status=status, category=category, reason="accountClosed")
        assert (event.move, event.problem) == (move, None)
        assert event.code == ("accountClosed" if move in ("payout_failed", "payout_returned") else None)

    def test_every_status_of_the_table_is_tested(self) -> None:
        assert len(adyen.TRANSFER_MOVES) == 15

    @pytest.mark.parametrize("status", ["error", "undefined", "something_new", None, 7, ""])
    def test_a_status_that_proves_nothing_is_a_problem(self, status: object) -> None:
        event = transfer(status=status)
        assert (event.move, event.problem is None) == (None, False)
        assert event.event_key == "transfer:LBTRANSFER000001:3"

    @pytest.mark.parametrize(
        "changes",
        [{"direction": "incoming"}, {"direction": None}, {"category": "internal"}, {"category": "issuedCard"},
         {"category": None}],
    )  # fmt: skip
    def test_a_transfer_that_pays_nobody_moves_nothing(self, changes: dict[str, Any]) -> None:
        event = transfer(**changes)
        assert (event.move, event.problem) == (None, None)

    def test_a_transfer_to_another_balance_account_is_a_payout_when_it_has_our_reference(self) -> None:
        ours = attempt_reference(UUID(int=77), 12)
        assert transfer(category="internal", reference=ours).move == "payout_paid"
        assert transfer(category="internal", reference=ours, direction="incoming").move is None
        assert transfer(category="internal", reference=f"{ours}x").move is None
        assert transfer(category="internal", reference=None).move is None

    def test_an_amount_is_read_with_adyens_decimals(self) -> None:
        assert transfer(amount={"value": 250000, "currency": "ISK"}).amount_minor == 2500
        assert transfer(amount={"value": "x", "currency": "EUR"}).amount_minor is None
        assert transfer(amount=None).move == "payout_paid"

    def test_the_deprecated_notifications_of_payouts_move_nothing(self) -> None:
        for code in ("PAYOUT_THIRDPARTY", "PAYOUT_DECLINE", "PAYOUT_EXPIRE", "PAIDOUT_REVERSED"):
            (event,) = adyen.parse(adyen_body(adyen_item(code)), {})
            assert (event.move, event.problem) == (None, None)

    def test_other_balance_platform_events_are_kept_by_their_body(self) -> None:
        body = encoded({"type": "balancePlatform.accountHolder.updated", "data": {"id": "AH1"}})
        (event,) = adyen.parse(body, {"hmacsignature": "x"})
        assert (event.event_key[:7], event.move, event.problem) == ("sha256:", None, None)
